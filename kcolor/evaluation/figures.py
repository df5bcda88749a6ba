"""What is kept of each photo to make the metrics of.

A batch is reduced to a few figures for each photo, so that memory does not grow
with the photos' pixels and every metric sees the same photos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kcolor.color import lab_to_rgb
from kcolor.late import keras
from kcolor.objectives.ce import CrossEntropy, soft_encoding

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

# Zhang et al.'s thresholds are the integers from 0 to this.
_LAST_THRESHOLD = 150

# The Gaussian window and the constants of Wang et al.'s SSIM.
_SSIM_WINDOW = np.exp(-np.square((np.arange(11) - 5) / 1.5) / 2)
_SSIM_WINDOW /= _SSIM_WINDOW.sum()
_SSIM_C1 = (0.01 * 255) ** 2
_SSIM_C2 = (0.03 * 255) ** 2


def color_weights(histogram: np.ndarray) -> np.ndarray:
    """Returns how much each colour weighs in rebalanced metrics.

    The inverse of its bin's share of the training pixels, smoothed as for the
    `ce` objective.

    Args:
        histogram: (256, 256) counts of the training pixels by rounded a and b,
            from -128 to 127.

    Returns:
        Float32 (256, 256), 1 in the mean over the training pixels' bins.
    """
    objective = CrossEntropy(rebalance=0.0).adapt(histogram)
    weights = 1 / np.asarray(objective.prior)
    weights /= np.asarray(objective.prior) @ weights
    nearest = soft_encoding(objective.bins)[0][:, 0]
    return np.float32(weights)[nearest].reshape(256, 256)


def per_photo(
    lightness: Tensor,
    ab_true: Tensor,
    ab_pred: Tensor,
    weights: np.ndarray | None = None,
) -> dict[str, Tensor]:
    """Returns the figures of each photo that the metrics are made of.

    Computes in float32 whatever the dtype policy is. Figures with `rgb` in
    their name and the colorfulness are of photos as a viewer sees them: 8-bit
    sRGB with the true lightness. A prediction that is not a number anywhere
    makes all figures of its photo so that depend on it.

    Args:
        lightness: Tensor of shape `(N, H, W, 1)`, 0..100.
        ab_true: Tensor of shape `(N, H, W, 2)`, in ab units.
        ab_pred: Tensor of shape `(N, H, W, 2)`, in ab units.
        weights: What `color_weights` gives for the training photos; None where
            all colours weigh the same.

    Returns:
        Float32 tensors of shape `(N,)` by name. `ssim_rgb` is NaN for photos
        of fewer than 11 pixels in height or width.

    Example:

    >>> figures = per_photo(
    ...     keras.ops.full((1, 16, 16, 1), 50.0),
    ...     ab_true=keras.ops.zeros((1, 16, 16, 2)),
    ...     ab_pred=keras.ops.full((1, 16, 16, 2), 10.0),
    ... )
    >>> float(figures["absolute_ab"][0])
    10.0
    """
    ops = keras.ops
    lightness, ab_true, ab_pred = (
        ops.cast(x, "float32") for x in (lightness, ab_true, ab_pred)
    )
    error = ab_pred - ab_true
    distance = ops.sqrt(ops.sum(ops.square(error), axis=-1, keepdims=True))
    reached = ops.clip(
        _LAST_THRESHOLD + 1 - ops.ceil(distance), 0, _LAST_THRESHOLD + 1
    )
    weight = ops.ones_like(lightness)
    if weights is not None:
        cell = ops.cast(ops.clip(ops.round(ab_true) + 128, 0, 255), "int32")
        cell = 256 * cell[..., :1] + cell[..., 1:]
        weight = ops.take(ops.reshape(weights, -1), cell, axis=0)
    steps = ops.abs(ops.round(ab_pred) - ops.round(ab_true))
    true = as_seen(lightness, ab_true)
    pred = as_seen(lightness, ab_pred)
    return {
        "pixels": ops.sum(ops.ones_like(lightness), axis=(1, 2, 3)),
        "squared_ab": _photo_mean(ops.square(error)),
        "absolute_ab": _photo_mean(ops.abs(error)),
        "distance_ab": _photo_mean(distance),
        "reached_ab": _photo_mean(reached) / (_LAST_THRESHOLD + 1),
        "weight": _photo_mean(weight),
        "weighted_reached_ab": _photo_mean(weight * reached)
        / (_LAST_THRESHOLD + 1),
        "within_2": _share_within(steps, 2.2 * 2),
        "within_5": _share_within(steps, 2.2 * 5),
        "squared_rgb": _photo_mean(ops.square(pred - true)),
        "ssim_rgb": _ssim(true, pred),
        "colorfulness_true": _colorfulness(true),
        "colorfulness_pred": _colorfulness(pred),
    }


def _photo_mean(values):
    return keras.ops.mean(values, axis=(1, 2, 3))


def as_seen(lightness: Tensor, ab: Tensor) -> Tensor:
    """Returns 8-bit sRGB as whole float32 numbers, (N, H, W, 3), 0..255."""
    lab = keras.ops.concatenate([lightness, ab], axis=-1)
    return keras.ops.round(255.0 * lab_to_rgb(lab))


def _share_within(steps, limit):
    """Returns the share of pixels of which no channel is further, (N,)."""
    ops = keras.ops
    # What is not a number is neither, and stays what it is.
    near = ops.where(steps <= limit, ops.ones_like(steps), steps)
    near = ops.where(steps > limit, ops.zeros_like(steps), near)
    return _photo_mean(near[..., :1] * near[..., 1:])


def _colorfulness(rgb):
    ops = keras.ops
    red, green, blue = ops.unstack(rgb, 3, axis=-1)
    opponents = ops.stack(
        [red - green, (red + green) / 2.0 - blue], axis=-1
    )  # red-green, yellow-blue
    means = ops.mean(opponents, axis=(1, 2), keepdims=True)
    variances = ops.mean(ops.square(opponents - means), axis=(1, 2))
    spread = ops.sqrt(ops.sum(variances, axis=-1))
    offset = ops.sqrt(ops.sum(ops.square(means), axis=(1, 2, 3)))
    return spread + 0.3 * offset


def _ssim(true, pred):
    # Not `keras.ops.image.ssim`: a GPU may round what a convolution multiplies
    # to TF32, whose 10 bits of mantissa are too few for squares of 8-bit
    # values; on a CPU, XLA takes forty times as long for it; and it cannot
    # take photos smaller than the window.
    ops = keras.ops
    squares = ops.square(true) + ops.square(pred)
    maps = ops.concatenate([true, pred, true * pred, squares], axis=-1)
    # All maps at once: fewer, larger steps.
    true, pred, product, squares = ops.split(_windowed(maps), 4, axis=-1)
    mean_product = true * pred
    mean_squares = ops.square(true) + ops.square(pred)
    covariance = product - mean_product
    variances = squares - mean_squares
    return _photo_mean(
        ((2.0 * mean_product + _SSIM_C1) / (mean_squares + _SSIM_C1))
        * ((2.0 * covariance + _SSIM_C2) / (variances + _SSIM_C2))
    )


def _windowed(values):
    """Returns Gaussian means wherever the window fits, which may be nowhere."""
    last = len(_SSIM_WINDOW) - 1
    for _ in range(2):
        values = sum(
            weight * values[:, i : (i - last) or None]
            for i, weight in enumerate(_SSIM_WINDOW.tolist())
        )
        values = keras.ops.swapaxes(values, 1, 2)  # Back the second time.
    return values
