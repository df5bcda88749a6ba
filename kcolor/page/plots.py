"""Plots of a page, drawn by plotly in the reader's browser."""

from __future__ import annotations

import html
from collections.abc import Sequence

from plotly import graph_objects as go

# Of Okabe and Ito's palette, which eyes of all kinds tell apart, those that
# show on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("solid", "dot", "dash")
SYMBOLS = ("circle", "square", "diamond")


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


def empty() -> go.Figure:
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


def marker(look: dict[str, str]) -> dict[str, str]:
    """Returns a target's marker.

    Args:
        look: As `look` gave it.
    """
    return {"color": look["color"], "symbol": look["symbol"]}


def interval(parts: Sequence[dict[str, float]]) -> dict:
    """Returns intervals as thin lines.

    Args:
        parts: Of each point its `value` and the `low` and `high` end.
    """
    return {
        "type": "data",
        "array": [part["high"] - part["value"] for part in parts],
        "arrayminus": [part["value"] - part["low"] for part in parts],
        "thickness": 1,
        "width": 0,
    }


def short(text: str) -> str:
    """Returns as much of a text as a label has room for."""
    return plain(text if len(text) <= 24 else f"{text[:23]}…")


def plain(text: str) -> str:
    """Returns text in which plotly sees no markup."""
    return html.escape(text, quote=False).replace("%{", "%&#123;")


def choices(figure: go.Figure) -> dict[str, list[str]]:
    """Returns what a reader can choose between, by what it is called."""
    return {
        key: list(dict.fromkeys(trace.meta[key] for trace in figure.data))
        for key in figure.data[0].meta or ()
    }


def to_html(figures: dict[str, go.Figure]) -> dict[str, str]:
    """Returns plots as parts of one page; the first brings plotly with it.

    Each shows at first the traces of the first of all choices, with what the
    layout's `meta` says of each of them, as it is again when a reader chooses.
    """
    parts = {}
    for name, figure in figures.items():
        first = {key: of[0] for key, of in choices(figure).items()}
        for trace in figure.data:
            trace.visible = (trace.meta or {}) == first
        for choice in first.values():
            for place, value in figure.layout.meta.get(choice, {}).items():
                figure.layout[place] = value
        parts[name] = figure.to_html(
            config={"displayModeBar": False, "responsive": True},
            include_plotlyjs=not parts,
            full_html=False,
            div_id=f"plot-{name}",
        )
    return parts
