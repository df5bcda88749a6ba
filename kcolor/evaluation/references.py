"""Colourings that need no training: what every colorizer must beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kcolor.data.pipeline import batches
from kcolor.errors import UserError

MOST_COUNTED = 2_000  # photos, enough for a mean to a tenth of a unit


def grey(lightness: np.ndarray) -> np.ndarray:
    """Predicts no colour at all."""
    return np.zeros((*lightness.shape[:-1], 2), np.float32)


def mean_given_lightness(
    pixels: np.ndarray,
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns what predicts the training photos' mean ab at each lightness.

    No colorizer that looks at one pixel alone has a lower `rmse_ab`.

    Args:
        pixels: uint8 (n, H, W, 3), the training photos. At most 2,000 are
            counted, evenly spread over the n.

    Example:

    >>> red = np.full((1, 4, 4, 3), (255, 0, 0), np.uint8)
    >>> predict = mean_given_lightness(red)
    >>> predict(np.full((1, 1, 1, 1), 50.0))[0, 0, 0].round().tolist()
    [80.0, 67.0]
    """
    step = -(-len(pixels) // MOST_COUNTED)
    sums, counts = np.zeros((101, 2)), np.zeros(101)
    for lightness, ab in batches(pixels[::step], batch_size=256):
        levels = np.rint(lightness.numpy()).astype(int).ravel()
        counts += np.bincount(levels, minlength=101)
        for channel in range(2):
            sums[:, channel] += np.bincount(
                levels, ab.numpy()[..., channel].ravel(), minlength=101
            )
    (known,) = np.nonzero(counts)
    means = sums[known] / counts[known, None]

    def predict(lightness: np.ndarray) -> np.ndarray:
        lightness = np.asarray(lightness)[..., 0]
        channels = [np.interp(lightness, known, mean) for mean in means.T]
        return np.stack(channels, axis=-1).astype(np.float32)

    return predict


def another(count: int) -> np.ndarray:
    """Returns for each of so many photos the number of another one.

    Raises:
        UserError: There is only one.

    Example:

    >>> sorted(another(5).tolist()), bool((another(5) == np.arange(5)).any())
    ([0, 1, 2, 3, 4], False)
    """
    if count < 2:
        raise UserError("shuffled needs two photos at least: add photos")
    order = np.random.default_rng(0).permutation(count)
    other = np.empty(count, int)
    other[order] = np.roll(order, 1)
    return other
