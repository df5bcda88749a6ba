"""What was measured as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kcolor.evaluation.measure import SHOWN, Measured
from kcolor.evaluation.metrics import METRICS
from kcolor.terminal import aligned


def table(measured: Measured, metrics: Sequence[str] = SHOWN) -> str:
    """Returns what `measure` gave as a table for a terminal.

    Args:
        measured: target -> metric -> `value`, `low` and `high`.
        metrics: The rows.

    Example:

    >>> import numpy as np
    >>> from kcolor.evaluation.measure import measure
    >>> from kcolor.evaluation.references import grey
    >>> black = np.zeros((2, 16, 16, 3), np.uint8)
    >>> print(table(measure({"grey": grey}, black)))  # doctest: +ELLIPSIS
                                           grey
    rmse_ab                 0.00 [ 0.00,  0.00]
    ...
    """
    return aligned(
        [
            ["", *measured],
            *(
                [metric, *(_cell(found[metric]) for found in measured.values())]
                for metric in metrics
            ),
        ]
    )


def everything(measured: Measured) -> str:
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
        sign = -1 if METRICS[metric].better == "higher" else 1
        values = {name: sign * part["value"] for name, part in domains.items()}
        ranked = sorted(domains, key=lambda n: (np.isnan(values[n]), values[n]))
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
        parts.append(aligned([["", *measured], *rows]))
    return "\n\n".join(parts)


def _cell(figure: dict[str, float]) -> str:
    # 0 is added for there is a -0, too.
    value, low, high = (
        round(figure[name], 2) + 0.0 for name in ("value", "low", "high")
    )
    return f"{value:.2f} [{low:5.2f}, {high:5.2f}]"
