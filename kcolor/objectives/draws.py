"""Drawing from the distributions that networks predict for each pixel.

Draws are coherent: all pixels of a photo share their random numbers, so that
neighbours that agree on the distribution agree on the colour. Independent
pixels would be a speckle that no photo has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcolor.late import keras

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


def at_quantile(shares: Tensor, quantile: Tensor) -> Tensor:
    """Returns the first bin up to which more than a quantile of all lies.

    Args:
        shares: (..., bins), not negative, of any sum above 0.
        quantile: (...), from 0 to 1, broadcast to the shares.

    Returns:
        int32 (...).

    Example:

    >>> shares = keras.ops.array([0.5, 0.0, 0.5])
    >>> [int(at_quantile(shares, q)) for q in (0.0, 0.4, 0.6, 1.0)]
    [0, 0, 2, 2]
    """
    below = keras.ops.cumsum(shares, axis=-1)
    # Of their own sum, which rounding keeps from being 1.
    is_passed = below <= keras.ops.expand_dims(quantile, -1) * below[..., -1:]
    count = keras.ops.sum(keras.ops.cast(is_passed, "int32"), axis=-1)
    return keras.ops.minimum(count, shares.shape[-1] - 1)
