"""Measuring whatever predicts ab, on photos, by the metrics of colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from kcolor.data.pipeline import batches
from kcolor.evaluation.figures import as_seen, per_photo
from kcolor.evaluation.intervals import summarise
from kcolor.evaluation.metrics import COLOUR_METRICS, METRICS
from kcolor.exports import Predictor

# target -> metric -> its value, the ends of its interval, the photos' number
Measured = dict[str, dict[str, dict[str, float]]]

BATCH, BATCH_PIXELS = 32, 32 * 256**2  # photos at once, and their pixels
FARTHEST = 1e6  # what is farther from grey, in ab units, is no colour
# A third faster than step by step.
_per_photo = tf.function(per_photo, autograph=False, reduce_retracing=True)
SHOWN = (
    "rmse_ab",
    "mae_ab",
    "l2_ab",
    "auc",
    "auc_rebalanced",
    "psnr_rgb",
    "colorfulness",
    "colorfulness_gap",
)


def batch_size(pixels: np.ndarray) -> int:
    """Returns how many photos are measured at once, fewer of large ones.

    Args:
        pixels: uint8 (n, H, W, 3).

    Example:

    >>> batch_size(np.zeros((9, 64, 64, 3), np.uint8))
    32
    >>> batch_size(np.zeros((9, 1024, 1024, 3), np.uint8))
    2
    """
    _, height, width, _ = pixels.shape
    return max(1, min(BATCH, BATCH_PIXELS // (height * width)))


def predicted(predict: Predictor, pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yields what is predicted for photos, (N, H, W, 2), batch by batch.

    Args:
        predict: What is asked.
        pixels: uint8 (n, H, W, 3).
    """
    for lightness, _ in batches(pixels, batch_size(pixels)):
        yield predict(lightness)


def figures(
    colourings: Iterable[np.ndarray],
    pixels: np.ndarray,
    weights: np.ndarray | None = None,
    coloured: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Returns the figures of each photo that the metrics are made of.

    Args:
        colourings: (N, H, W, 2), the ab of the photos, batch by batch.
        pixels: uint8 (n, H, W, 3), the true photos.
        weights: Of colours, for rebalanced metrics.
        coloured: uint8 (n, H, W, 3): is filled with what a viewer sees of the
            colourings, grey where they are not a number.
    """
    parts, start = [], 0
    for (lightness, ab), colouring in zip(
        batches(pixels, batch_size(pixels)), colourings, strict=True
    ):
        colouring = _finite(colouring)
        parts.append(_per_photo(lightness, ab, colouring, weights))
        if coloured is not None:
            stop = start + len(colouring)
            coloured[start:stop] = as_seen(lightness, np.nan_to_num(colouring))
            start = stop
    return {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
    }


def _finite(colouring: np.ndarray) -> np.ndarray:
    """Returns ab with nan for what no colour is near.

    What is infinite, or soon would be, is a large error for some metrics and
    none for others.
    """
    return np.where(np.abs(colouring) < FARTHEST, colouring, np.nan)


def least_error(
    colourings: Iterable[Iterable[np.ndarray]], pixels: np.ndarray
) -> np.ndarray:
    """Returns each photo's squared error of ab by its nearest draw, (n,).

    Args:
        colourings: Draws of the photos' ab, (N, H, W, 2) each, batch by batch.
        pixels: uint8 (n, H, W, 3), the true photos.
    """
    parts = []
    truth = batches(pixels, batch_size(pixels))
    for (_, ab), draws in zip(truth, colourings, strict=True):
        errors = [
            np.mean(np.square(_finite(draw) - ab), axis=(1, 2, 3))
            for draw in draws
        ]
        parts.append(np.min(errors, axis=0))
    return np.concatenate(parts)


def values(
    predict: Predictor, pixels: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Returns the value of each metric of colour, without an interval.

    Args:
        predict: What is measured.
        pixels: uint8 (n, H, W, 3), the true photos.
        weights: Of colours, for rebalanced metrics.

    Example:

    >>> from kcolor.evaluation.references import grey
    >>> black = np.zeros((2, 16, 16, 3), np.uint8)
    >>> round(values(grey, black)["rmse_ab"], 3)
    0.0
    """
    measured = figures(predicted(predict, pixels), pixels, weights)
    return {
        name: float(METRICS[name].summary(measured)) for name in COLOUR_METRICS
    }


def measure(
    targets: Mapping[str, Predictor],
    pixels: np.ndarray,
    weights: np.ndarray | None = None,
) -> Measured:
    """Measures several predictors on the same photos.

    Args:
        targets: What is measured, by name.
        pixels: uint8 (n, H, W, 3), the true photos.
        weights: Of colours, for rebalanced metrics.

    Returns:
        target -> metric -> its `value`, the `low` and `high` end of its 95 %
        interval, and `n`, the number of photos.
    """
    return {
        name: summarise(figures(predicted(predict, pixels), pixels, weights))
        for name, predict in targets.items()
    }
