"""What people said in a colorization Turing test, beside what is computed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kcolor.errors import UserError

FOOL_RATE = "fool_rate"
# Where kcolor-study analyse leaves its figures in a study, and their format.
RESULTS, FIGURES, FORMAT = "results", "results.json", 1
_UNKNOWN = {"value": np.nan, "low": np.nan, "high": np.nan}


def read(study: str | Path) -> dict:
    """Returns what `kcolor.analyse_study` found.

    Args:
        study: The study's folder.

    Raises:
        UserError: It holds no figures.
    """
    file = Path(study) / RESULTS / FIGURES
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"study '{study}' has no figures yet ({error.strerror}): run "
            f"kcolor-study analyse '{study}'"
        ) from error
    except ValueError:
        found = {}
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError(
            f"'{file}' holds no figures of this version: run kcolor-study "
            f"analyse '{study}'"
        )
    return found


def fool_rates(
    found: dict, targets: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Returns targets' fool rates, in %, as `kcolor.evaluate` does metrics.

    Args:
        found: As `read` gives it.
        targets: Their names. A method of the study is the target of its name.

    Returns:
        target -> `value`, the `low` and `high` end of its 95 % interval over
        participants, `n`, the number of photos judged, and, where the study
        has both, the `difference` from the first; nan for those that it does
        not have.

    Raises:
        UserError: It has none of the targets, or the figures were changed.
    """
    try:
        return _fool_rates(found, targets)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "the study's figures were changed by hand: run kcolor-study "
            "analyse again"
        ) from error


def _fool_rates(found: dict, targets: Sequence[str]) -> dict[str, dict]:
    methods, above = found["methods"], {}
    for part in found["differences"]:
        one, other, figure = part["one"], part["other"], _percent(part)
        above[one, other] = figure
        above[other, one] = {
            "value": -figure["value"],
            "low": -figure["high"],
            "high": -figure["low"],
        }
    if not set(targets) & set(methods):
        raise UserError(
            "the study has none of the targets: its methods are "
            f"{', '.join(methods)}"
        )
    first, figures = targets[0], {}
    for name in targets:
        part = methods.get(name)
        figures[name] = {
            **(_percent(part) if part else _UNKNOWN),
            "n": part["photos"] if part else 0,
        }
        if (name, first) in above:
            figures[name]["difference"] = {
                **above[name, first],
                "n": figures[name]["n"],
            }
    return figures


def _percent(part: dict) -> dict[str, float]:
    """Returns the value and the ends of its interval, in %, nan for null."""
    return {
        name: np.nan if part[name] is None else 100 * float(part[name])
        for name in ("value", "low", "high")
    }
