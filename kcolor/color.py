"""sRGB and CIE Lab, and the ab bins that classifying objectives predict.

Lab here is what scikit-image calls Lab: the D65 white of the 2 degree
observer, and scikit-image's matrix and thresholds, digit for digit.
"""

import functools

import numpy as np

from kcolor.late import keras

# XYZ is kept relative to the white point, so (1, 1, 1) is white.
_WHITE = np.array([0.95047, 1.0, 1.08883])
_XYZ_FROM_RGB = (
    np.array(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    / _WHITE[:, np.newaxis]
)
_RGB_FROM_XYZ = np.linalg.inv(_XYZ_FROM_RGB)

# What no a or b of an sRGB colour exceeds: -86.2 to 98.3 and -107.9 to 94.5.
LARGEST_AB = 110.0

# Both transfer functions are a straight line below a threshold and a power
# above it.
_ENCODED_THRESHOLD = 0.04045
_LINEAR_THRESHOLD = 0.0031308
_XYZ_THRESHOLD = 0.008856
_CUBE_ROOT_THRESHOLD = 0.2068966

# The bins (a, b) of each row `(a, first b, last b)`; both in steps of 10.
_BIN_STEP = 10
_BIN_ROWS = {
    # Zhang et al.'s.
    313: (
        (-90, 50, 90),
        (-80, 20, 90),
        (-70, 0, 90),
        (-60, -20, 90),
        (-50, -30, 100),
        (-40, -40, 100),
        (-30, -50, 100),
        (-20, -50, 100),
        (-10, -60, 100),
        (0, -70, 100),
        (10, -80, 90),
        (20, -80, 90),
        (30, -90, 90),
        (40, -100, 90),
        (50, -100, 80),
        (60, -110, 80),
        (70, -110, 80),
        (80, -110, 70),
        (90, -110, 70),
        (100, -90, 0),
    ),
    # The nearest bin of every 8-bit sRGB colour.
    261: (
        (-90, 80, 80),
        (-80, 40, 80),
        (-70, 20, 90),
        (-60, 0, 90),
        (-50, -20, 90),
        (-40, -30, 90),
        (-30, -40, 90),
        (-20, -40, 90),
        (-10, -50, 90),
        (0, -60, 90),
        (10, -70, 80),
        (20, -70, 80),
        (30, -80, 80),
        (40, -90, 80),
        (50, -90, 70),
        (60, -100, 70),
        (70, -110, 70),
        (80, -110, 70),
        (90, -90, 0),
        (100, -70, -50),
    ),
}


def rgb_to_lab(rgb: "keras.KerasTensor") -> "keras.KerasTensor":
    """Converts sRGB colours to CIE Lab.

    Computes in float32 whatever the input's dtype and the dtype policy are:
    in bfloat16, ab would be off by up to 3.5.

    Args:
        rgb: Tensor or array of shape `(..., 3)`, sRGB in 0..1. Integers are
            not scaled: divide uint8 photos by 255 first.

    Returns:
        A float32 tensor of shape `(..., 3)`: L in 0..100, a and b in about
        -110..110.

    Example:

    >>> lab = rgb_to_lab([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    >>> keras.ops.convert_to_numpy(lab[:, 0]).round().tolist()
    [100.0, 53.0]

    Reference:

    - [IEC 61966-2-1](https://webstore.iec.ch/en/publication/6169) (sRGB)
    - [CIE 15:2004](https://cie.co.at/publications/colorimetry-3rd-edition)
      (Lab)
    """
    return light_to_lab(rgb_to_light(rgb))


def rgb_to_lightness(rgb: "keras.KerasTensor") -> "keras.KerasTensor":
    """Returns the L of `rgb_to_lab` alone, faster.

    Args:
        rgb: Tensor or array of shape `(..., 3)`, sRGB in 0..1.

    Returns:
        A float32 tensor of shape `(...)`, 0..100.

    Example:

    >>> float(rgb_to_lightness([1.0, 0.0, 0.0]).numpy().round())
    53.0
    """
    light = keras.ops.unstack(rgb_to_light(rgb), 3, axis=-1)
    (y,) = _transform(_XYZ_FROM_RGB[1:2], light)
    return 116.0 * _root(y) - 16.0


def rgb_to_light(rgb: "keras.KerasTensor") -> "keras.KerasTensor":
    """Returns the light of sRGB, without its gamma.

    Args:
        rgb: Tensor or array of any shape, sRGB in 0..1.

    Returns:
        A float32 tensor of that shape, 0..1.

    Example:

    >>> keras.ops.convert_to_numpy(rgb_to_light([0.0, 0.5, 1.0])).round(2)
    array([0.  , 0.21, 1.  ], dtype=float32)
    """
    rgb = keras.ops.cast(rgb, "float32")
    # `where` passes gradients to both its branches, and 0 times infinity is
    # NaN: `maximum` keeps the power, here and below, where it is finite.
    bright = keras.ops.maximum(rgb, _ENCODED_THRESHOLD)
    return keras.ops.where(
        rgb > _ENCODED_THRESHOLD,
        _power((bright + 0.055) / 1.055, 2.4),
        rgb / 12.92,
    )


def light_to_lab(light: "keras.KerasTensor") -> "keras.KerasTensor":
    """Converts the light of red, green and blue to CIE Lab.

    Args:
        light: float32 tensor of shape `(..., 3)`, 0..1.

    Returns:
        As `rgb_to_lab`.

    Example:

    >>> float(light_to_lab(keras.ops.ones((3,)))[0].numpy().round())
    100.0
    """
    light = keras.ops.unstack(light, 3, axis=-1)
    x, y, z = (_root(part) for part in _transform(_XYZ_FROM_RGB, light))
    return keras.ops.stack(
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1
    )


def lab_to_rgb(lab: "keras.KerasTensor") -> "keras.KerasTensor":
    """Converts CIE Lab colours to sRGB, clipped to what sRGB can show.

    Computes in float32 whatever the input's dtype and the dtype policy are.
    Where a channel is clipped, its gradient is zero.

    Args:
        lab: Tensor or array of shape `(..., 3)`: L in 0..100, a and b in
            about -110..110.

    Returns:
        A float32 tensor of shape `(..., 3)`, sRGB in 0..1.

    Example:

    >>> rgb = lab_to_rgb([[53.24, 80.09, 67.2], [50.0, 0.0, 110.0]])
    >>> keras.ops.convert_to_numpy(255 * rgb).round().tolist()
    [[255.0, 0.0, 0.0], [147.0, 116.0, 0.0]]

    Reference:

    - [IEC 61966-2-1](https://webstore.iec.ch/en/publication/6169) (sRGB)
    - [CIE 15:2004](https://cie.co.at/publications/colorimetry-3rd-edition)
      (Lab)
    """
    lab = keras.ops.cast(lab, "float32")
    linear = lab_to_light(*keras.ops.unstack(lab, 3, axis=-1))
    return light_to_rgb(keras.ops.stack(linear, axis=-1))


def lab_to_light(
    lightness: "keras.KerasTensor",
    a: "keras.KerasTensor",
    b: "keras.KerasTensor",
) -> list["keras.KerasTensor"]:
    """Converts CIE Lab to the light of sRGB's red, green and blue.

    That of colours which no screen shows is below 0 or above 1: `lab_to_rgb`
    clips it, by which the lightness changes, too.

    Args:
        lightness: float32 tensor of any shape, 0..100.
        a: float32 tensor of that shape.
        b: float32 tensor of that shape.

    Returns:
        Red, green and blue, of that shape each, not gamma-encoded.

    Example:

    >>> red, green, blue = lab_to_light(*keras.ops.array([50.0, 0.0, 110.0]))
    >>> [round(100 * float(light)) for light in (red, green, blue)]
    [29, 18, -5]
    """
    y = (lightness + 16.0) / 116.0
    x = y + a / 500.0
    # A z below 0 is no colour at all; scikit-image clips it too.
    z = keras.ops.maximum(y - b / 200.0, 0.0)
    return _transform(_RGB_FROM_XYZ, [_cube(part) for part in (x, y, z)])


def light_to_rgb(light: "keras.KerasTensor") -> "keras.KerasTensor":
    """Gamma-encodes light as sRGB, clipped to 0..1.

    Args:
        light: float32 tensor or array of any shape.

    Example:

    >>> keras.ops.convert_to_numpy(light_to_rgb([0.0, 0.5, 2.0])).round(2)
    array([0.  , 0.74, 1.  ], dtype=float32)
    """
    light = keras.ops.cast(light, "float32")
    bright = keras.ops.maximum(light, _LINEAR_THRESHOLD)
    rgb = keras.ops.where(
        light > _LINEAR_THRESHOLD,
        1.055 * _power(bright, 1 / 2.4) - 0.055,
        12.92 * light,
    )
    return keras.ops.clip(rgb, 0.0, 1.0)


@functools.cache
def gamut_bins(count: int = 313) -> np.ndarray:
    """Lists the centres of the ab bins that cover the sRGB gamut.

    The bins lie on a grid of step 10, sorted by a, then by b.

    Args:
        count: 313, the bins of Zhang et al., or 261, the subset of them that
            is the nearest bin of at least one 8-bit sRGB colour. Defaults to
            313.

    Returns:
        A read-only float32 array of shape `(count, 2)`: a and b.

    Raises:
        ValueError: If `count` is neither 313 nor 261.

    Example:

    >>> gamut_bins().shape
    (313, 2)
    >>> gamut_bins(261)[0].tolist()
    [-90.0, 80.0]

    Reference:

    - [Zhang et al., 2016](https://arxiv.org/abs/1603.08511), section 2.1
    """
    if count not in _BIN_ROWS:
        raise ValueError(f"There are 313 or 261 gamut bins, not {count!r}.")
    bins = np.array(
        [
            (a, b)
            for a, first, last in _BIN_ROWS[count]
            for b in range(first, last + 1, _BIN_STEP)
        ],
        dtype="float32",
    )
    bins.setflags(write=False)  # Every caller gets this one array.
    return bins


def _root(part):
    """Returns Lab's cube root of X, Y or Z."""
    bright = keras.ops.maximum(part, _XYZ_THRESHOLD)
    return keras.ops.where(
        part > _XYZ_THRESHOLD,
        _power(bright, 1 / 3),
        7.787 * part + 16.0 / 116.0,
    )


def _cube(root):
    """Returns X, Y or Z of its `_root`."""
    return keras.ops.where(
        root > _CUBE_ROOT_THRESHOLD,
        root * root * root,
        (root - 16.0 / 116.0) / 7.787,
    )


def _power(positive, exponent: float):
    # Several times faster than `**` in TensorFlow on processors, and as exact.
    return keras.ops.exp(exponent * keras.ops.log(positive))


def _transform(matrix, parts):
    # Sums, not a matrix product: a GPU may round a product's factors to TF32,
    # whose 10 bits of mantissa are too few for Lab.
    x, y, z = parts
    return [p * x + q * y + r * z for p, q, r in matrix.tolist()]
