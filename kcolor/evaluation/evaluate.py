"""Measuring whatever predicts ab, on photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from kcolor.data.pipeline import batches
from kcolor.evaluation.metrics import METRICS, per_photo, summarise

# (N, H, W, 1) lightness to (N, H, W, 2) ab, both in physical units.
Predictor = Callable[[np.ndarray], np.ndarray]

BATCH = 32
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


def grey(lightness: np.ndarray) -> np.ndarray:
    """Predicts no colour at all: what every colorizer must beat."""
    return np.zeros((*lightness.shape[:-1], 2), np.float32)


def figures(
    predict: Predictor, pixels: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Returns the figures of each photo that the metrics are made of.

    Args:
        predict: What is measured.
        pixels: uint8 (n, H, W, 3), the true photos.
        weights: Of colours, for rebalanced metrics.
    """
    parts = [
        per_photo(lightness, ab, predict(lightness), weights)
        for lightness, ab in batches(pixels, BATCH)
    ]
    return {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
    }


def values(
    predict: Predictor, pixels: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Returns each metric's value, without an interval.

    Args:
        predict: What is measured.
        pixels: uint8 (n, H, W, 3), the true photos.
        weights: Of colours, for rebalanced metrics.

    Example:

    >>> black = np.zeros((2, 16, 16, 3), np.uint8)
    >>> round(values(grey, black)["rmse_ab"], 3)
    0.0
    """
    measured = figures(predict, pixels, weights)
    return {
        name: float(metric.summary(measured))
        for name, metric in METRICS.items()
    }


def measure(
    targets: Mapping[str, Predictor],
    pixels: np.ndarray,
    weights: np.ndarray | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
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
        name: summarise(figures(predict, pixels, weights))
        for name, predict in targets.items()
    }


def table(measured: dict[str, dict[str, dict[str, float]]]) -> str:
    """Returns what `measure` gave as a table for a terminal.

    Example:

    >>> black = np.zeros((2, 16, 16, 3), np.uint8)
    >>> print(table(measure({"grey": grey}, black)))  # doctest: +ELLIPSIS
                                           grey
    rmse_ab                 0.00 [ 0.00,  0.00]
    ...
    """
    rows = [["", *measured]]
    for metric in SHOWN:
        cells = [
            "{value:.2f} [{low:5.2f}, {high:5.2f}]".format(**metrics[metric])
            for metrics in measured.values()
        ]
        rows.append([metric, *cells])
    first, *others = (max(map(len, c)) + 2 for c in zip(*rows, strict=True))
    return "\n".join(
        f"{name:{first}}"
        + "".join(
            f"{cell:>{width}}"
            for cell, width in zip(cells, others, strict=True)
        )
        for name, *cells in rows
    )
