"""Metrics over photos with how sure they are: the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from kcolor.evaluation.metrics import (
    COLOUR_METRICS,
    METRICS,
    Figures,
    Metric,
)

# How many photos are drawn at once: enough to be fast, few enough for the
# cache.
_DRAWS_AT_ONCE = 2**17

# Draws of metrics of sets, each as slow as the metric: enough for a spread.
_DRAWS_OF_SETS = 30

# Figures by which photos are sorted.
_ORDER = ("distance_ab", "absolute_ab", "squared_rgb", "squared_ab")


def summarise(
    figures: Figures,
    metrics: Sequence[str] = COLOUR_METRICS,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Computes metrics, each with its bootstrap interval over photos.

    The interval tells how the metric would vary with other photos of the same
    kind, by drawing photos with replacement. It knows nothing of how a second
    training would differ. All metrics share the draws, but those of sets: they
    are slow, so of a few draws the spread alone is taken.

    Args:
        figures: The figures of all photos, as arrays of shape `(photos,)`.
        metrics: Names of those to compute. Defaults to those of colour.
        resamples: Integer, how often to draw. Defaults to 1000.
        confidence: Float, the share of such intervals that hold the true
            value. Defaults to 0.95.
        seed: Integer, the seed of the draws. Defaults to 0.

    Returns:
        For each metric a dictionary: its `value`, the `low` and `high` end of
        its interval, and `n`, the number of photos. With one photo the ends
        equal the value. A figure that is not a number makes its metrics so.

    Example:

    >>> import keras
    >>> from kcolor.evaluation.figures import per_photo
    >>> ab = keras.ops.full((4, 16, 16, 2), 10.0)
    >>> figures = per_photo(keras.ops.full((4, 16, 16, 1), 50.0), ab, 0 * ab)
    >>> summarise(figures)["mae_ab"]
    {'value': 10.0, 'low': 10.0, 'high': 10.0, 'n': 4}
    """
    return _bootstrapped([figures], metrics, resamples, confidence, seed)


def differences(
    figures: Figures,
    reference: Figures,
    metrics: Sequence[str] = COLOUR_METRICS,
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
        metrics: As in `summarise`.
        resamples: As in `summarise`.
        confidence: As in `summarise`.
        seed: As in `summarise`.

    Returns:
        As `summarise`. An interval on one side of 0 tells them apart.

    Example:

    >>> import keras
    >>> from kcolor.evaluation.figures import per_photo
    >>> ab = keras.ops.full((4, 16, 16, 2), 10.0)
    >>> lightness = keras.ops.full((4, 16, 16, 1), 50.0)
    >>> one, two = (per_photo(lightness, ab, x * ab) for x in (0.0, 0.5))
    >>> differences(one, two)["mae_ab"]
    {'value': 5.0, 'low': 5.0, 'high': 5.0, 'n': 4}

    Reference:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", ch. 8.
    """

    return _bootstrapped(
        [figures, reference], metrics, resamples, confidence, seed
    )


def _bootstrapped(
    models: list[Figures],
    names: Sequence[str],
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Returns metrics of one model, or how far they are above another's."""
    models = [
        {name: np.asarray(x) for name, x in figures.items()}
        for figures in models
    ]
    flat = [_of_dimensions(figures, 1) for figures in models]
    # Sorted, so that the intervals do not depend on the order of the photos.
    # Not by what judges say, or intervals would depend on who else is asked.
    order = np.lexsort([figures[name] for figures in flat for name in _ORDER])
    flat = [{n: np.float64(x[order]) for n, x in f.items()} for f in flat]
    deep = [_of_dimensions(figures, 2) for figures in models]
    deep = [{n: x[order] for n, x in f.items()} for f in deep]
    photos = len(order)
    random = np.random.default_rng(seed)
    tail = (1 - confidence) / 2
    chosen = [METRICS[name] for name in names]
    single = [metric for metric in chosen if not metric.of_sets]
    found = {}

    # === Metrics of single photos ===
    if single:
        parts = []
        at_once = max(1, _DRAWS_AT_ONCE // photos)
        for start in range(0, resamples, at_once):
            size = (min(at_once, resamples - start), photos)
            rows = random.integers(photos, size=size)
            parts.append(_values(flat, single, rows))
        resampled = np.concatenate(parts, axis=-1)
        values = _values(flat, single, np.arange(photos))
        # A draw may miss the one photo that has no number.
        resampled[np.isnan(values)] = np.nan
        low, high = np.quantile(resampled, [tail, 1 - tail], axis=-1)
        # Near 0, an absolute difference is below most of its resamples.
        low, high = np.minimum(low, values), np.maximum(high, values)
        for metric, *ends in zip(single, values, low, high, strict=True):
            found[metric.name] = ends

    # === Metrics of sets ===
    for metric in chosen:
        if metric.of_sets:
            random = np.random.default_rng(seed)
            value = _value(deep, metric, None)
            draws = [
                _value(
                    deep,
                    metric,
                    np.bincount(
                        random.integers(photos, size=photos), minlength=photos
                    ),
                )
                for _ in range(min(_DRAWS_OF_SETS, resamples))
            ]
            # Not their quantiles: a draw, in which photos occur twice, is
            # farther from any set than the photos themselves are.
            reach = norm.ppf(1 - tail) * np.std(draws)
            found[metric.name] = [value, value - reach, value + reach]

    return {
        name: {
            "value": float(found[name][0]),
            "low": float(found[name][1]),
            "high": float(found[name][2]),
            "n": photos,
        }
        for name in names
    }


def _of_dimensions(figures: Figures, count: int) -> Figures:
    return {name: x for name, x in figures.items() if x.ndim == count}


def _values(
    models: list[Figures], metrics: list[Metric], rows: np.ndarray
) -> np.ndarray:
    """Returns metrics of single photos, (metrics, ...)."""
    parts = []
    for figures in models:
        drawn = {name: x[rows] for name, x in figures.items()}
        parts.append(np.stack([metric.summary(drawn) for metric in metrics]))
    return _compared(parts)


def _value(
    models: list[Figures], metric: Metric, counts: np.ndarray | None
) -> float:
    """Returns a metric of sets."""
    return _compared([metric.summary(figures, counts) for figures in models])


def _compared(values: list):
    """Returns the one model's values, or how far they are above the other's."""
    return values[0] - values[1] if len(values) > 1 else values[0]
