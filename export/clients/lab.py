"""Lab as the models understand it (sRGB, D65), for clients; needs NumPy."""

import numpy as np

WHITE = np.array([0.95047, 1.0, 1.08883])
XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)


def lightness_of(rgb: np.ndarray) -> np.ndarray:
    """Returns L, 0 to 100.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        (H, W) float32.
    """
    values = rgb / 255
    linear = np.where(
        values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92
    )
    luminance = linear @ XYZ_FROM_RGB[1]
    root = np.where(
        luminance > 0.008856, np.cbrt(luminance), 7.787 * luminance + 16 / 116
    )
    return (116 * root - 16).clip(0, 100).astype(np.float32)


def rgb_of(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Returns the colours; those a screen does not have are cut off.

    Args:
        lightness: (H, W), 0 to 100.
        ab: (H, W, 2).

    Returns:
        (H, W, 3) uint8.
    """
    y = (lightness.astype(np.float64) + 16) / 116
    roots = np.stack([y + ab[..., 0] / 500, y, y - ab[..., 1] / 200], -1)
    # A blue beyond any there is would have a negative root.
    roots[..., 2] = roots[..., 2].clip(min=0)
    xyz = WHITE * np.where(
        roots > 0.2068966, roots**3, (roots - 16 / 116) / 7.787
    )
    linear = (xyz @ np.linalg.inv(XYZ_FROM_RGB).T).clip(0, 1)
    values = np.where(
        linear > 0.0031308,
        1.055 * linear ** (1 / 2.4) - 0.055,
        12.92 * linear,
    )
    return np.rint(255 * values).astype(np.uint8)
