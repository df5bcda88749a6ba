"""Measuring whatever predicts ab, on photos."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from kcolor.data.pipeline import batches
from kcolor.evaluation.metrics import METRICS, per_photo, summarise

# (N, H, W, 1) lightness to (N, H, W, 2) ab, both in physical units.
Predictor = Callable[[np.ndarray], np.ndarray]
# target -> metric -> its value, the ends of its interval, the photos' number
Measured = dict[str, dict[str, dict[str, float]]]

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


def predicted(predict: Predictor, pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yields what is predicted for photos, (N, H, W, 2), batch by batch.

    Args:
        predict: What is asked.
        pixels: uint8 (n, H, W, 3).
    """
    for lightness, _ in batches(pixels, BATCH):
        yield predict(lightness)


def figures(
    colourings: Iterable[np.ndarray],
    pixels: np.ndarray,
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Returns the figures of each photo that the metrics are made of.

    Args:
        colourings: (N, H, W, 2), the ab of the photos, batch by batch.
        pixels: uint8 (n, H, W, 3), the true photos.
        weights: Of colours, for rebalanced metrics.
    """
    parts = [
        per_photo(lightness, ab, colouring, weights)
        for (lightness, ab), colouring in zip(
            batches(pixels, BATCH), colourings, strict=True
        )
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

    >>> from kcolor.evaluation.references import grey
    >>> black = np.zeros((2, 16, 16, 3), np.uint8)
    >>> round(values(grey, black)["rmse_ab"], 3)
    0.0
    """
    measured = figures(predicted(predict, pixels), pixels, weights)
    return {
        name: float(metric.summary(measured))
        for name, metric in METRICS.items()
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


def to_json(measured: Measured) -> str:
    """Returns what was measured as JSON, null where a figure is no number.

    Example:

    >>> from kcolor.evaluation.references import grey
    >>> black = np.zeros((2, 8, 8, 3), np.uint8)
    >>> "null" in to_json(measure({"grey": grey}, black))  # too small for SSIM
    True
    """

    def plain(part):
        if isinstance(part, dict):
            return {name: plain(value) for name, value in part.items()}
        is_nan = isinstance(part, float) and math.isnan(part)
        return None if is_nan else part

    return json.dumps(plain(measured), indent=2, allow_nan=False) + "\n"


def table(measured: Measured, metrics: Sequence[str] = SHOWN) -> str:
    """Returns what `measure` gave as a table for a terminal.

    Args:
        measured: target -> metric -> `value`, `low` and `high`.
        metrics: The rows.

    Example:

    >>> from kcolor.evaluation.references import grey
    >>> black = np.zeros((2, 16, 16, 3), np.uint8)
    >>> print(table(measure({"grey": grey}, black)))  # doctest: +ELLIPSIS
                                           grey
    rmse_ab                 0.00 [ 0.00,  0.00]
    ...
    """
    return _aligned(
        [
            ["", *measured],
            *(
                [metric, *(_cell(found[metric]) for found in measured.values())]
                for metric in metrics
            ),
        ]
    )


def report(measured: Measured) -> str:
    """Returns all that `evaluate` gave, as tables for a terminal."""
    (first, some), *_ = measured.items()
    metrics, one = list(some), next(iter(some.values()))
    parts = [f"{one['n']} photos, 95 % intervals over photos:"]
    parts.append(table(measured, metrics))
    if len(measured) > 1:
        parts.append(f"difference from {first} on the same photos:")
        others = {
            name: {m: found[m]["difference"] for m in metrics}
            for name, found in measured.items()
            if name != first
        }
        parts.append(table(others, metrics))
    for metric in metrics if "domains" in one else ():
        domains = some[metric]["domains"]
        higher = METRICS[metric].better == "higher"
        ranked = sorted(
            domains, key=lambda name: domains[name]["value"], reverse=higher
        )
        rows = [
            [
                f"{name} ({domains[name]['n']})",
                *(
                    _cell(found[metric]["domains"][name])
                    for found in measured.values()
                ),
            ]
            for name in ranked
        ]
        parts.append(f"{metric} by domain (photos), {first}'s best first:")
        parts.append(_aligned([["", *measured], *rows]))
    return "\n\n".join(parts)


def _cell(figure: dict[str, float]) -> str:
    return "{value:.2f} [{low:5.2f}, {high:5.2f}]".format(**figure)


def _aligned(rows: list[list[str]]) -> str:
    """Returns rows whose first column stands left, all others right."""
    first, *others = (max(map(len, c)) + 2 for c in zip(*rows, strict=True))
    return "\n".join(
        f"{name:{first}}"
        + "".join(
            f"{cell:>{width}}"
            for cell, width in zip(cells, others, strict=True)
        )
        for name, *cells in rows
    )
