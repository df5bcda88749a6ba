"""How a search stands, in a terminal."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_tuner
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kcolor.files import whole
from kcolor.searching.oracles import planned, run_name, units_of
from kcolor.searching.space import Space
from kcolor.terminal import duration

RUNNING, DONE, FAILED, WAITING = "running", "done", "failed", "waiting"
ENDED = (DONE, FAILED)
STATES = {"RUNNING": RUNNING, "COMPLETED": DONE, "FAILED": FAILED}


@dataclass(frozen=True)
class Row:
    """A trial as a table shows it.

    Attributes:
        name: Its run folder's.
        settings: What was searched.
        units: Of its budget.
        state: One of "running", "waiting" for a worker, "done" and "failed".
        score: The objective, where it is done.
        seconds: It has taken.
        reason: Why it failed.
    """

    name: str
    settings: dict
    units: int
    state: str
    score: float | None
    seconds: float
    reason: str


def rows(space: Space, oracle: keras_tuner.Oracle) -> list[Row]:
    """Returns all trials of a search, in the order in which they began."""
    found = []
    under_way = {trial.trial_id for trial in [*oracle.ongoing_trials.values()]}
    for name in list(oracle.start_order):
        trial = oracle.trials[name]
        state = STATES.get(trial.status, WAITING)
        if state == RUNNING and name not in under_way:
            state = WAITING
        seconds = oracle.seconds.get(name, 0.0)
        if state == RUNNING:
            seconds = time.time() - oracle.began.get(name, time.time())
        found.append(
            Row(
                run_name(name),
                space.settings(trial.hyperparameters.values),
                units_of(trial),
                state,
                trial.score if state == DONE else None,
                seconds,
                (trial.message or "").partition("\n")[0] * (state == FAILED),
            )
        )
    return found


def best_of(found: Sequence[Row], space: Space) -> Row | None:
    """Returns the best trial that is done."""
    done = [row for row in found if row.score is not None]
    return min(done, key=lambda row: space.rank(row.score), default=None)


def board(
    found: Sequence[Row], space: Space, oracle: keras_tuner.Oracle, height: int
) -> Group:
    """Returns the live table: the best trials, those under way, what is left.

    Args:
        found: All trials.
        space: What is searched.
        oracle: What chooses the trials.
        height: Lines there are.
    """
    best = best_of(found, space)
    order = (RUNNING, DONE, FAILED, WAITING)
    ranked = sorted(
        found,
        key=lambda row: (
            order.index(row.state),
            0.0 if row.score is None else space.rank(row.score),
        ),
    )
    room = max(3, height - 6)
    shown = Table(box=None, pad_edge=False)
    for title in ("trial", "settings", "budget", space.objective, "time"):
        is_number = title not in ("trial", "settings")
        shown.add_column(title, justify="right" if is_number else "left")
    for row in ranked[:room]:
        score = row.state if row.score is None else f"{row.score:.3f}"
        shown.add_row(
            row.name.removeprefix("trial_"),
            Text(" ".join(filter(None, [in_words(row.settings), row.reason]))),
            f"{row.units}/{space.units}",
            score,
            duration(row.seconds),
            style="bold" if row is best else None,
        )
    # What says most stands where a terminal that is too small still shows it.
    lines = [Text(summary(found, space, oracle)), shown]
    if len(ranked) > room:
        lines.append(Text(f"... and {len(ranked) - room} more"))
    return Group(*lines)


def summary(
    found: Sequence[Row], space: Space, oracle: keras_tuner.Oracle
) -> str:
    """Returns one line: how many trials, the best, the time left."""
    done = [row for row in found if row.state == DONE]
    failed = sum(row.state == FAILED for row in found)
    plan = planned(oracle)
    ended = [row for row in found if row.state in ENDED]
    parts = [f"{len(ended)} of {plan.total()} trials"]
    if failed:
        parts.append(f"{failed} failed")
    best = best_of(found, space)
    if best is not None:
        parts.append(f"best {space.objective} {best.score:.3f} ({best.name})")
    if done:
        pace = sum(r.seconds for r in done) / sum(r.units for r in done)
        whole_plan = sum(units * count for units, count in plan.items())
        left = whole_plan - sum(row.units for row in ended)
        workers = max(1, len(oracle.ongoing_trials))
        parts.append(f"{duration(max(0, left) * pace / workers)} left")
    return ", ".join(parts)


def line(row: Row, space: Space) -> str:
    """Returns what a log says of a trial that has ended."""
    score = f"failed: {row.reason}"
    if row.score is not None:
        score = f"{space.objective} {row.score:.4g}"
    settings = in_words(row.settings)
    return f"{row.name}  {score}  {settings}  {duration(row.seconds)}"


def in_words(settings: dict) -> str:
    """Returns settings in one line."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def write_table(found: Sequence[Row], space: Space, path: Path) -> None:
    """Writes all trials as a CSV file."""
    names = [setting.name for setting in space.searched]
    with whole(path) as file, file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            [
                "trial",
                *names,
                "budget",
                "state",
                space.objective,
                "seconds",
                "reason",
            ]
        )
        for row in found:
            writer.writerow(
                [
                    row.name,
                    *(row.settings.get(name, "") for name in names),
                    row.units / space.units,
                    row.state,
                    "" if row.score is None else row.score,
                    round(row.seconds, 1),
                    row.reason,
                ]
            )
