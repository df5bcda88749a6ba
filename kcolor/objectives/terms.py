"""Terms that any objective's loss can carry beside it.

They look at colours without asking where they are, which no loss of single
pixels does: a brown photo of a red and a green car has the wrong colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kcolor.late import keras

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

DIRECTIONS = 8  # of the slices, evenly over half a turn
PIXELS = 4096  # of a larger batch so many are sorted
GOLDEN_RATIO = (5**0.5 - 1) / 2


def chroma_transport(ab_pred: Tensor, ab_true: Tensor) -> Tensor:
    """Sliced Wasserstein distance between predicted and true ab of a batch.

    How far, on average over directions of the ab plane, the predicted colours
    must be moved along it to become the true ones.

    Args:
        ab_pred: (N, H, W, 2), in ab units.
        ab_true: (N, H, W, 2), in ab units.

    Returns:
        The distance, in ab units.

    Example:

    >>> ab = np.zeros((1, 4, 4, 2), np.float32)
    >>> shuffled = np.random.default_rng(0).permuted(ab + range(2), axis=1)
    >>> float(chroma_transport(shuffled, ab + range(2)))
    0.0

    Reference:
        Bonneel et al. 2015, "Sliced and Radon Wasserstein Barycenters of
        Measures", sec. 3, with the first power of the distance.
    """
    angles = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    slices = np.float32([np.cos(angles), np.sin(angles)])
    sorted_pred, sorted_true = (
        keras.ops.sort(keras.ops.matmul(_spread(ab), slices), axis=0)
        for ab in (ab_pred, ab_true)
    )
    return keras.ops.mean(keras.ops.abs(sorted_pred - sorted_true))


def chroma_gap(ab_pred: Tensor, ab_true: Tensor) -> Tensor:
    """Difference of the photos' mean chroma: how much less or more colourful.

    Args:
        ab_pred: (N, H, W, 2), in ab units.
        ab_true: (N, H, W, 2), in ab units.

    Returns:
        The absolute difference, mean over photos, in ab units.

    Example:

    >>> ab = np.float32([[[[3, 4]]]])
    >>> round(float(chroma_gap(0 * ab, ab)), 3)
    5.0
    """
    chroma_pred, chroma_true = (
        keras.ops.mean(length(ab), axis=(1, 2)) for ab in (ab_pred, ab_true)
    )
    return keras.ops.mean(keras.ops.abs(chroma_pred - chroma_true))


def length(vectors: Tensor) -> Tensor:
    """Returns the length of vectors on the last axis.

    Its gradient is finite at 0, too, where it is 0.
    """
    squares = keras.ops.sum(keras.ops.square(vectors), axis=-1)
    return keras.ops.sqrt(keras.ops.maximum(squares, 1e-12))


def _spread(ab: Tensor) -> Tensor:
    """Returns (pixels, 2): all of few, or many that are spread over all."""
    pixels = keras.ops.reshape(ab, (-1, 2))
    count = keras.ops.shape(pixels)[0]
    if isinstance(count, int) and count <= PIXELS:
        return pixels
    # Not each n-th, which would be the same few columns of every photo.
    places = np.float32(np.arange(PIXELS) * GOLDEN_RATIO % 1)
    chosen = keras.ops.cast(count, "float32") * places
    chosen = keras.ops.minimum(keras.ops.cast(chosen, "int32"), count - 1)
    return keras.ops.take(pixels, chosen, axis=0)
