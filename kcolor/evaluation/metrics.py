"""How far predicted colour is from the truth.

`per_photo` reduces a batch to a few figures for each photo, and `summarise`
turns the figures of all photos into metrics, each with an interval. So memory
does not grow with the photos' pixels, and every metric sees the same photos.

Of these metrics none is "the" score: people often prefer the prediction with
the worse PSNR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from kcolor.color import lab_to_rgb
from kcolor.late import keras
from kcolor.objectives.ce import CrossEntropy, soft_encoding

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    # Arrays of shape (..., photos). Resamples are the leading axes.
    Figures = Mapping[str, np.ndarray]

# Zhang et al.'s thresholds are the integers from 0 to this.
_LAST_THRESHOLD = 150

# The Gaussian window and the constants of Wang et al.'s SSIM.
_SSIM_WINDOW = np.exp(-np.square((np.arange(11) - 5) / 1.5) / 2)
_SSIM_WINDOW /= _SSIM_WINDOW.sum()
_SSIM_C1 = (0.01 * 255) ** 2
_SSIM_C2 = (0.03 * 255) ** 2

# Rounding to 8 bits has this squared error by itself.
_LEAST_SQUARED_ERROR = 1 / 12

# How many photos are drawn at once: enough to be fast, few enough for the
# cache.
_DRAWS_AT_ONCE = 2**17


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
        weight = ops.take(np.ravel(weights), cell, axis=0)
    true = _as_seen(lightness, ab_true)
    pred = _as_seen(lightness, ab_pred)
    return {
        "pixels": ops.sum(ops.ones_like(lightness), axis=(1, 2, 3)),
        "squared_ab": _photo_mean(ops.square(error)),
        "absolute_ab": _photo_mean(ops.abs(error)),
        "distance_ab": _photo_mean(distance),
        "reached_ab": _photo_mean(reached) / (_LAST_THRESHOLD + 1),
        "weight": _photo_mean(weight),
        "weighted_reached_ab": _photo_mean(weight * reached)
        / (_LAST_THRESHOLD + 1),
        "squared_rgb": _photo_mean(ops.square(pred - true)),
        "ssim_rgb": _ssim(true, pred),
        "colorfulness_true": _colorfulness(true),
        "colorfulness_pred": _colorfulness(pred),
    }


@dataclass(frozen=True)
class Metric:
    """One number that says how good predictions are.

    Args:
        name: Its name in tables and files.
        unit: What it is measured in, or an empty string.
        better: Which of two values is the better one.
        summary: Computes it over photos, the last axis of each of the figures
            that `per_photo` gives. Its docstring is the metric's definition.
    """

    name: str
    unit: str
    better: Literal["lower", "higher"]
    summary: Callable[[Figures], np.ndarray]


METRICS: dict[str, Metric] = {}


def _metric(unit: str, better: Literal["lower", "higher"]):
    """Returns a decorator that enters a summary function into `METRICS`."""

    def enter(summary):
        name = summary.__name__
        METRICS[name] = Metric(name, unit, better, summary)
        return summary

    return enter


@_metric(unit="ab", better="lower")
def rmse_ab(figures: Figures) -> np.ndarray:
    """Root of the mean squared error of a and b, over all pixels."""
    return np.sqrt(_pixel_mean(figures, "squared_ab"))


@_metric(unit="ab", better="lower")
def mae_ab(figures: Figures) -> np.ndarray:
    """Mean absolute error of a and b, over all pixels."""
    return _pixel_mean(figures, "absolute_ab")


@_metric(unit="ab", better="lower")
def l2_ab(figures: Figures) -> np.ndarray:
    """Mean distance in the ab plane, over all pixels."""
    return _pixel_mean(figures, "distance_ab")


@_metric(unit="dB", better="higher")
def psnr_rgb(figures: Figures) -> np.ndarray:
    """Peak signal-to-noise ratio of 8-bit sRGB, mean over photos.

    The squared error of a photo counts as no less than 1/12, that of rounding
    to 8 bits: a perfect photo has 58.9 dB. With no such bound, or one much
    lower, the few photos that are grey would outweigh all others.
    """
    return _psnr(figures["squared_rgb"]).mean(axis=-1)


@_metric(unit="dB", better="higher")
def psnr_rgb_pooled(figures: Figures) -> np.ndarray:
    """Peak signal-to-noise ratio of 8-bit sRGB, all photos as one.

    At most 58.9 dB, as `psnr_rgb`.
    """
    return _psnr(_pixel_mean(figures, "squared_rgb"))


@_metric(unit="", better="higher")
def ssim_rgb(figures: Figures) -> np.ndarray:
    """Structural similarity of 8-bit sRGB, mean over photos.

    Equals `tf.image.ssim`. It is NaN if any photo has fewer than 11 pixels in
    height or width.

    Reference:

    - [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    return figures["ssim_rgb"].mean(axis=-1)


@_metric(unit="%", better="higher")
def auc(figures: Figures) -> np.ndarray:
    """Share of pixels within t of the true ab, mean over t = 0, 1 .. 150.

    Reference:

    - [Zhang et al., 2016](https://arxiv.org/abs/1603.08511), section 3.1
    """
    return 100 * _pixel_mean(figures, "reached_ab")


@_metric(unit="%", better="higher")
def auc_rebalanced(figures: Figures) -> np.ndarray:
    """As `auc`, each pixel by the inverse share of its colour in training.

    On few photos it is what the few pixels of the rarest colours say, and the
    interval with it.

    Reference:

    - [Zhang et al., 2016](https://arxiv.org/abs/1603.08511), section 3.1
    """
    reached = _pixel_mean(figures, "weighted_reached_ab")
    return 100 * reached / _pixel_mean(figures, "weight")


@_metric(unit="", better="higher")
def colorfulness(figures: Figures) -> np.ndarray:
    """Colorfulness of the predicted photos in 8-bit sRGB, mean over photos.

    Best is the truth's, neither less nor more: see `colorfulness_gap`.

    Reference:

    - [Hasler and Suesstrunk, 2003](https://doi.org/10.1117/12.477378)
    """
    return figures["colorfulness_pred"].mean(axis=-1)


@_metric(unit="", better="lower")
def colorfulness_gap(figures: Figures) -> np.ndarray:
    """Absolute difference of `colorfulness` from that of the true photos.

    Reference:

    - [Hasler and Suesstrunk, 2003](https://doi.org/10.1117/12.477378)
    """
    return np.abs(
        colorfulness(figures) - figures["colorfulness_true"].mean(axis=-1)
    )


def summarise(
    figures: Figures,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Computes every metric, with its bootstrap interval over photos.

    The interval tells how the metric would vary with other photos of the same
    kind, by drawing photos with replacement. It knows nothing of how a second
    training would differ. All metrics share the draws.

    Args:
        figures: The figures of all photos, as arrays of shape `(photos,)`.
        resamples: Integer, how often to draw. Defaults to 1000.
        confidence: Float, the share of such intervals that hold the true
            value. Defaults to 0.95.
        seed: Integer, the seed of the draws. Defaults to 0.

    Returns:
        For each metric a dictionary: its `value`, the `low` and `high` end of
        its interval, and `n`, the number of photos. With one photo the ends
        equal the value. A figure that is not a number makes its metrics so.

    Example:

    >>> ab = keras.ops.full((4, 16, 16, 2), 10.0)
    >>> figures = per_photo(keras.ops.full((4, 16, 16, 1), 50.0), ab, 0 * ab)
    >>> summarise(figures)["mae_ab"]
    {'value': 10.0, 'low': 10.0, 'high': 10.0, 'n': 4}
    """
    return _bootstrapped([figures], _values, resamples, confidence, seed)


def differences(
    figures: Figures,
    reference: Figures,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Computes how far every metric is above another model's.

    Both models have coloured the same photos, and each draw of photos is of
    both: what makes a photo hard for both does not widen the interval. So it is
    far narrower than those of the two models look side by side.

    Args:
        figures: The figures of all photos, as arrays of shape `(photos,)`.
        reference: The other model's, in the same order.
        resamples: As in `summarise`.
        confidence: As in `summarise`.
        seed: As in `summarise`.

    Returns:
        As `summarise`. An interval on one side of 0 tells them apart.

    Example:

    >>> ab = keras.ops.full((4, 16, 16, 2), 10.0)
    >>> lightness = keras.ops.full((4, 16, 16, 1), 50.0)
    >>> one, two = (per_photo(lightness, ab, x * ab) for x in (0.0, 0.5))
    >>> differences(one, two)["mae_ab"]
    {'value': 5.0, 'low': 5.0, 'high': 5.0, 'n': 4}

    Reference:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", ch. 8.
    """

    def difference(one: Figures, other: Figures) -> np.ndarray:
        return _values(one) - _values(other)

    return _bootstrapped(
        [figures, reference], difference, resamples, confidence, seed
    )


def _values(figures: Figures) -> np.ndarray:
    return np.stack([metric.summary(figures) for metric in METRICS.values()])


def _bootstrapped(
    models: list[Figures],
    statistic: Callable[..., np.ndarray],
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Returns a statistic of each metric, with its interval over photos."""
    models = [
        {name: np.asarray(x, "float64") for name, x in figures.items()}
        for figures in models
    ]
    # Sorted, so that the intervals do not depend on the order of the photos.
    order = np.lexsort([x for figures in models for x in figures.values()])
    photos = len(order)

    def statistic_of(indices):
        return statistic(
            *(
                {name: x[indices] for name, x in figures.items()}
                for figures in models
            )
        )

    random = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // photos)
    parts = []
    for start in range(0, resamples, at_once):
        size = (min(at_once, resamples - start), photos)
        parts.append(statistic_of(order[random.integers(photos, size=size)]))
    resampled = np.concatenate(parts, axis=-1)
    values = statistic_of(order)
    # A draw may miss the one photo that has no number.
    resampled[np.isnan(values)] = np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=-1)
    # Near 0, an absolute difference is below most of its resamples.
    low, high = np.minimum(low, values), np.maximum(high, values)
    return {
        name: {
            "value": float(values[i]),
            "low": float(low[i]),
            "high": float(high[i]),
            "n": photos,
        }
        for i, name in enumerate(METRICS)
    }


def _pixel_mean(figures, name):
    # Photos may differ in size.
    return np.average(figures[name], weights=figures["pixels"], axis=-1)


def _psnr(squared_error):
    return 10 * np.log10(
        255**2 / np.maximum(squared_error, _LEAST_SQUARED_ERROR)
    )


def _photo_mean(values):
    return keras.ops.mean(values, axis=(1, 2, 3))


def _as_seen(lightness, ab):
    lab = keras.ops.concatenate([lightness, ab], axis=-1)
    return keras.ops.round(255.0 * lab_to_rgb(lab))


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
