"""The plots of a report."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from plotly import graph_objects as go

from kcolor.evaluation.measure import Measured
from kcolor.evaluation.metrics import COLOUR_METRICS, METRICS
from kcolor.page import plots

OVER = ("epoch", "seconds")
DOMAINS_SHOWN = 40
# Of a plot on a phone, in pixels, where labels are placed.
WIDTH, HEIGHT = 300, 280
LETTER, LINE = 6.5, 15
# On a logarithmic axis.
ROUND = [m * 10.0**k for k in range(-4, 7) for m in (1, 2, 5)]


def curves(
    histories: dict[str, list[dict]], looks: dict[str, dict[str, str]]
) -> go.Figure:
    """Returns how the validation metrics of runs went.

    Args:
        histories: run -> one row an epoch, as in `history.csv`.
        looks: As `look` gives them, by target.
    """
    figure = plots.empty()
    known = {name for rows in histories.values() for name in rows[0]}
    metrics = [name for name in COLOUR_METRICS if f"val_{name}" in known]
    for metric, over, name in itertools.product(metrics, OVER, histories):
        rows, key = histories[name], f"val_{metric}"
        x = np.array([float(row[over]) for row in rows])
        y = np.array([float(row.get(key, np.nan)) for row in rows])
        figure.add_scatter(
            x=np.cumsum(x) if over == "seconds" else x,
            y=np.float32(y),
            name=plots.plain(name),
            mode="lines+markers" if len(rows) < 50 else "lines",
            line={"color": looks[name]["color"], "dash": looks[name]["dash"]},
            marker={"symbol": looks[name]["symbol"], "size": 5},
            meta={"metric": metric, "over": over},
            hovertemplate=f"%{{y:.4g}}<br>{over} %{{x:.0f}}",
        )
    longest = max(len(rows) for rows in histories.values())
    # There is no epoch 1.5.
    step = 1 if longest <= 10 else None
    figure.layout.meta = {
        "epoch": {"xaxis.dtick": step},
        "seconds": {"xaxis.dtick": None},
    }
    return figure


def domains(
    measured: Measured,
    metrics: Sequence[str],
    looks: dict[str, dict[str, str]],
) -> go.Figure:
    """Returns metrics domain by domain, the first target's best on top.

    Of many domains the best and the worst are shown.

    Args:
        measured: What `evaluate` gave, with domains.
        metrics: Those to choose from.
        looks: As `look` gives them, by target.
    """
    figure, labels = plots.empty(), {}
    first = next(iter(measured.values()))
    for metric in metrics:
        found = first[metric]["domains"]
        sign = -1 if METRICS[metric].better == "higher" else 1
        values = {name: sign * part["value"] for name, part in found.items()}
        ranked = sorted(found, key=lambda d: (np.isnan(values[d]), values[d]))
        if len(ranked) > DOMAINS_SHOWN:
            half = DOMAINS_SHOWN // 2
            ranked = ranked[:half] + ranked[-half:]
        labels[metric] = [f"{plots.short(d)} ({found[d]['n']})" for d in ranked]
        # Targets stand below each other, so that no interval hides another.
        lines = np.linspace(-0.35, 0.35, len(measured) + 2)[1:-1]
        for name, line in zip(measured, lines, strict=True):
            parts = [measured[name][metric]["domains"][d] for d in ranked]
            figure.add_scatter(
                x=[part["value"] for part in parts],
                y=np.arange(len(parts)) + line,
                error_x=plots.interval(parts),
                name=plots.plain(name),
                mode="markers",
                marker={**plots.marker(looks[name]), "size": 8},
                text=[plots.plain(domain) for domain in ranked],
                meta={"metric": metric},
                hovertemplate="%{text}: %{x:.4g}",
            )
    rows = np.arange(len(labels[metrics[0]]))
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        tickvals=rows,
        ticklabelstandoff=8,
        automargin=True,
        showgrid=False,
        minor={"tickvals": rows[1:] - 0.5, "showgrid": True},
    )
    figure.update_layout(
        height=60 + len(rows) * (16 + 11 * len(measured)),
        meta={m: {"yaxis.ticktext": names} for m, names in labels.items()},
    )
    return figure


def costs(
    measured: Measured,
    metrics: Sequence[str],
    paid: dict[str, dict[str, float]],
    looks: dict[str, dict[str, str]],
) -> go.Figure:
    """Returns metrics against what they cost.

    Args:
        measured: What `evaluate` gave.
        metrics: Those to choose from.
        paid: cost -> target -> how much, where it is known.
        looks: As `look` gives them, by target.
    """
    figure = plots.empty()
    for metric, cost in itertools.product(metrics, paid):
        names = list(paid[cost])
        found = [measured[name][metric] for name in names]
        x = np.array(list(paid[cost].values()))
        places = _places(np.log(x), found, names)
        for name, part, place in zip(names, found, places, strict=True):
            figure.add_scatter(
                x=[paid[cost][name]],
                y=[part["value"]],
                error_y=plots.interval([part]),
                name=plots.plain(name),
                text=[plots.short(name)],
                textposition=place,
                mode="markers+text",
                marker={**plots.marker(looks[name]), "size": 10},
                cliponaxis=False,
                meta={"metric": metric, "against": cost},
                hovertemplate=f"{metric} %{{y:.4g}}<br>{cost} %{{x:.3g}}",
            )
    figure.update_xaxes(type="log", tickvals=ROUND)
    figure.layout.meta = {
        # Too few of the round numbers stand between costs that differ little.
        cost: {
            "xaxis.tickmode": "auto"
            if 1 < max(of.values()) / min(of.values()) < 7
            else "array"
        }
        for cost, of in paid.items()
    }
    return figure


# Of a label's middle from its point: in widths of the label, in pixels.
_PLACES = {
    "middle right": (0.5, 9, 0),
    "middle left": (-0.5, -9, 0),
    "top center": (0, 0, LINE),
    "bottom center": (0, 0, -LINE),
    "top right": (0.5, 4, LINE),
    "top left": (-0.5, -4, LINE),
    "bottom right": (0.5, 4, -LINE),
    "bottom left": (-0.5, -4, -LINE),
}


def _places(
    x: np.ndarray, parts: list[dict[str, float]], labels: Sequence[str]
) -> list[str]:
    """Returns where each point's label stands, so that none covers another.

    As far as that can be, on a plot of a phone's width: one label after the
    other takes the place where it hides least, of points and intervals too.
    """
    x = WIDTH * _unit(x)
    ends = [[part[end] for part in parts] for end in ("low", "value", "high")]
    low, y, high = HEIGHT * _unit(np.array(ends))
    points = [
        box
        for a, b, *bar in zip(x, y, low, high, strict=True)
        for box in (
            (a - 6, b - 6, a + 6, b + 6),
            (a - 1, bar[0], a + 1, bar[1]),
        )
    ]
    taken, places = [], []
    for number, label in enumerate(labels):
        width = LETTER * len(plots.short(label))
        hidden, boxes = {}, {}
        for place, (share, right, up) in _PLACES.items():
            left = x[number] + (share - 0.5) * width + right
            bottom = y[number] + up - LINE / 2
            box = boxes[place] = (left, bottom, left + width, bottom + LINE)
            outside = max(0, -left) + max(0, left + width - WIDTH)
            hidden[place] = outside * LINE + sum(
                _overlap(box, other) for other in points + taken
            )
        places.append(min(hidden, key=hidden.get))
        taken.append(boxes[places[-1]])
    return places


def _unit(values: np.ndarray) -> np.ndarray:
    """Returns values between 0 and 1: the least, and the largest."""
    known = values[~np.isnan(values)]
    least, spread = min(known, default=0), np.ptp(known) if len(known) else 0
    return np.nan_to_num((values - least) / (spread or 1), nan=0.5)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
