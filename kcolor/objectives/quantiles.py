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

HALVINGS = 16  # from the range of ab to less than a hundredth


def bin_at(shares: Tensor, quantile: Tensor) -> Tensor:
    """Returns the first bin up to which more than a quantile of all lies.

    Args:
        shares: (..., bins), not negative, of any sum above 0.
        quantile: (...), from 0 to 1, broadcast to the shares.

    Returns:
        int32 (...).

    Example:

    >>> shares = keras.ops.array([0.5, 0.0, 0.5])
    >>> [int(bin_at(shares, q)) for q in (0.0, 0.4, 0.6, 1.0)]
    [0, 0, 2, 2]
    """
    below = keras.ops.cumsum(shares, axis=-1)
    # Of their own sum, which rounding keeps from being 1.
    is_passed = below <= keras.ops.expand_dims(quantile, -1) * below[..., -1:]
    count = keras.ops.sum(keras.ops.cast(is_passed, "int32"), axis=-1)
    return keras.ops.minimum(count, shares.shape[-1] - 1)


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
