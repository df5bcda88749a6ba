"""The plots of a report, drawn by plotly in the reader's browser."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from plotly import graph_objects as go

from kcolor.evaluation.measure import Measured
from kcolor.evaluation.metrics import COLOUR_METRICS, METRICS

# Of Okabe and Ito's palette, which eyes of all kinds tell apart, those that
# show on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("solid", "dot", "dash")
SYMBOLS = ("circle", "square", "diamond")
OVER = ("epoch", "seconds")
DOMAINS_SHOWN = 40
# Of a plot on a phone, in pixels, where labels are placed.
WIDTH, HEIGHT = 300, 280
LETTER, LINE = 6.5, 15
# On a logarithmic axis, in decades.
ROUND = [m * 10.0**k for k in range(-4, 7) for m in (1, 2, 5)]


def look(number: int) -> dict[str, str]:
    """Returns how a target looks in all plots: colour, dash and symbol.

    Args:
        number: Of the target.
    """
    turn, colour = divmod(number, len(COLOURS))
    return {
        "color": COLOURS[colour],
        "dash": DASHES[turn % len(DASHES)],
        "symbol": SYMBOLS[turn % len(SYMBOLS)],
    }


def curves(
    histories: dict[str, list[dict]], looks: dict[str, dict[str, str]]
) -> go.Figure:
    """Returns how the validation metrics of runs went.

    Args:
        histories: run -> one row an epoch, as in `history.csv`.
        looks: As `look` gives them, by target.
    """
    figure = _figure()
    known = {name for rows in histories.values() for name in rows[0]}
    metrics = [name for name in COLOUR_METRICS if f"val_{name}" in known]
    for metric, over, name in itertools.product(metrics, OVER, histories):
        rows, key = histories[name], f"val_{metric}"
        x = np.array([float(row[over]) for row in rows])
        y = np.array([float(row.get(key, np.nan)) for row in rows])
        figure.add_scatter(
            x=np.cumsum(x) if over == "seconds" else x,
            y=np.float32(y),
            name=name,
            mode="lines+markers" if len(rows) < 50 else "lines",
            line={"color": looks[name]["color"], "dash": looks[name]["dash"]},
            marker={"symbol": looks[name]["symbol"], "size": 5},
            meta={"metric": metric, "over": over},
            hovertemplate=f"%{{y:.4g}}<br>{over} %{{x:.0f}}",
        )
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
    figure, rows = _figure(), 0
    first = next(iter(measured.values()))
    for metric in metrics:
        found = first[metric]["domains"]
        sign = -1 if METRICS[metric].better == "higher" else 1
        ranked = sorted(found, key=lambda name: sign * found[name]["value"])
        if len(ranked) > DOMAINS_SHOWN:
            half = DOMAINS_SHOWN // 2
            ranked = ranked[:half] + ranked[-half:]
        rows = len(ranked)
        for name in measured:
            parts = [measured[name][metric]["domains"][d] for d in ranked]
            figure.add_scatter(
                x=[part["value"] for part in parts],
                y=[_short(f"{d} ({found[d]['n']})") for d in ranked],
                error_x=_interval(parts),
                name=name,
                mode="markers",
                marker={**_marker(looks[name]), "size": 8},
                orientation="h",
                offsetgroup=name,
                meta={"metric": metric},
            )
    figure.update_layout(
        height=60 + rows * (16 + 13 * len(measured)),
        scattermode="group",
        scattergap=0.35,
        hovermode="closest",
    )
    figure.update_yaxes(autorange="reversed", automargin=True, tickson="boundaries")
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
    figure = _figure()
    for metric, cost in itertools.product(metrics, paid):
        names = list(paid[cost])
        found = [measured[name][metric] for name in names]
        x = np.array(list(paid[cost].values()))
        y = np.array([part["value"] for part in found])
        places = _places(np.log(x), y, names)
        for name, part, place in zip(names, found, places, strict=True):
            figure.add_scatter(
                x=[paid[cost][name]],
                y=[part["value"]],
                error_y=_interval([part]),
                name=name,
                text=[_short(name)],
                textposition=place,
                mode="markers+text",
                marker={**_marker(looks[name]), "size": 10},
                cliponaxis=False,
                meta={"metric": metric, "against": cost},
                hovertemplate=f"{metric} %{{y:.4g}}<br>{cost} %{{x:.3g}}",
            )
    figure.update_xaxes(type="log", tickvals=ROUND)
    return figure


def choices(figure: go.Figure) -> dict[str, list[str]]:
    """Returns what a reader can choose between, by what it is called."""
    return {
        key: list(dict.fromkeys(trace.meta[key] for trace in figure.data))
        for key in figure.data[0].meta
    }


def to_html(figures: dict[str, go.Figure]) -> dict[str, Markup]:
    """Returns plots as parts of one page; the first brings plotly with it.

    Each shows at first the traces of the first of all choices.
    """
    parts = {}
    for name, figure in figures.items():
        first = {key: of[0] for key, of in choices(figure).items()}
        for trace in figure.data:
            trace.visible = trace.meta == first
        parts[name] = Markup(
            figure.to_html(
                config={"displayModeBar": False, "responsive": True},
                include_plotlyjs=not parts,
                full_html=False,
                div_id=f"plot-{name}",
            )
        )
    return parts


def _figure() -> go.Figure:
    """Returns an empty figure. The colours of its text are the page's."""
    axis = {"showline": False, "zeroline": False, "ticks": ""}
    return go.Figure(
        layout={
            "template": "none",
            "autosize": True,
            "height": 380,
            "showlegend": False,
            "margin": {"l": 48, "r": 16, "t": 16, "b": 36},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 12},
            "xaxis": axis,
            "yaxis": axis,
            "dragmode": False,
        }
    )


def _marker(look: dict[str, str]) -> dict[str, str]:
    return {"color": look["color"], "symbol": look["symbol"]}


def _interval(parts: list[dict[str, float]]) -> dict:
    return {
        "type": "data",
        "array": [part["high"] - part["value"] for part in parts],
        "arrayminus": [part["value"] - part["low"] for part in parts],
        "thickness": 1,
        "width": 0,
    }


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


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


def _places(x: np.ndarray, y: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Returns where each point's label stands, so that none covers another.

    As far as that can be, on a plot of a phone's width: one label after the
    other takes the place where it hides least.
    """
    x, y = WIDTH * _unit(x), HEIGHT * _unit(y)
    points = [(a - 6, b - 6, a + 6, b + 6) for a, b in zip(x, y, strict=True)]
    taken, places = [], []
    for number, label in enumerate(labels):
        width = LETTER * len(_short(label))
        others = points[:number] + points[number + 1 :] + taken
        boxes = {}
        for place, (share, right, up) in _PLACES.items():
            middle = x[number] + share * width + right
            boxes[place] = (
                middle - width / 2,
                y[number] + up - LINE / 2,
                middle + width / 2,
                y[number] + up + LINE / 2,
            )
        hidden = {
            place: max(0, -box[0]) * LINE
            + max(0, box[2] - WIDTH) * LINE
            + sum(_overlap(box, other) for other in others)
            for place, box in boxes.items()
        }
        places.append(min(hidden, key=hidden.get))
        taken.append(boxes[places[-1]])
    return places


def _unit(values: np.ndarray) -> np.ndarray:
    """Returns values between 0 and 1: the least, and the largest."""
    known = np.nan_to_num(values, nan=np.nanmin([*values, np.inf]))
    spread = np.ptp(known)
    return (known - known.min()) / spread if spread else 0.5 + 0 * known


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
