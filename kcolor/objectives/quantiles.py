"""Drawing from the distributions that networks predict for each pixel.

Draws are coherent: all pixels of a photo share their quantiles, so that
neighbours that agree on the distribution agree on the colour. Independent
pixels would be a speckle that no photo has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kcolor.color import LARGEST_AB
from kcolor.late import keras

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor
    from keras.random import SeedGenerator

    from kcolor.forward import Forward

TINY = 1e-30  # to divide by
HALVINGS = 16  # from the range of ab to less than a hundredth


def draw(forward: Forward, seeds: SeedGenerator | int | None) -> Tensor:
    """Returns two quantiles for each photo, (N, 1, 1, 2), from 0 to 1."""
    return keras.random.uniform((forward.shape[0], 1, 1, 2), seed=seeds)


def bin_at(shares: Tensor, quantile: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the first bin up to which more than a quantile of all lies.

    Args:
        shares: (..., bins), not negative, of any sum above 0.
        quantile: (...), from 0 to 1, broadcast to the shares.

    Returns:
        The bin, int32 (...), and how far into it the quantile lies, from -0.5
        to 0.5, so that a draw moves on smoothly where the shares do.

    Example:

    >>> shares = keras.ops.array([0.5, 0.0, 0.5])
    >>> for quantile in (0.0, 0.25, 0.75, 1.0):
    ...     place, into = bin_at(shares, quantile)
    ...     print(int(place), float(into))
    0 -0.5
    0 0.0
    2 0.0
    2 0.5
    """
    below = keras.ops.cumsum(shares, axis=-1)
    # Of their own sum, which rounding keeps from being 1.
    reached = keras.ops.expand_dims(quantile, -1) * below[..., -1:]
    is_passed = keras.ops.cast(below <= reached, "int32")
    place = keras.ops.sum(is_passed, axis=-1)
    place = keras.ops.minimum(place, shares.shape[-1] - 1)
    share, end = (
        keras.ops.take_along_axis(values, place[..., None], axis=-1)
        for values in (shares, below)
    )
    into = (reached - end + share) / keras.ops.maximum(share, TINY)
    return place, keras.ops.clip(into[..., 0], 0.0, 1.0) - 0.5


def value_at(
    log_shares: Tensor, centres: Tensor, sigmas: Tensor, quantile: Tensor
) -> Tensor:
    """Returns the number below which a quantile of a mixture of Gaussians lies.

    Found by halving the range of ab: there is no formula.

    Args:
        log_shares: (..., components), logarithms of the shares, whose sum is 1.
        centres: (..., components), in ab units.
        sigmas: (..., components), in ab units.
        quantile: (...), from 0 to 1, broadcast to the shares.

    Returns:
        (...), in ab units.

    Example:

    >>> centre, sigma = keras.ops.array([7.0]), keras.ops.array([2.0])
    >>> round(float(value_at(keras.ops.zeros(1), centre, sigma, 0.5)), 1)
    7.0
    """
    shares = keras.ops.exp(log_shares)
    quantile = keras.ops.expand_dims(quantile, -1)
    low = keras.ops.full_like(shares[..., :1], -LARGEST_AB)
    high = -low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        distances = (middle - centres) / sigmas
        below = (1 + keras.ops.erf(distances / math.sqrt(2))) / 2
        share = keras.ops.sum(shares * below, axis=-1, keepdims=True)
        is_above = share > quantile
        low = keras.ops.where(is_above, low, middle)
        high = keras.ops.where(is_above, middle, high)
    return ((low + high) / 2)[..., 0]
