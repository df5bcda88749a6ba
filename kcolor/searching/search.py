"""The whole story of a search: its folder, its chief, its workers, its end."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import yaml
from rich.console import Console
from rich.live import Live

from kcolor.data.sources import open_source
from kcolor.errors import Interrupted, UserError
from kcolor.files import check_writable, whole
from kcolor.searching import board, hparams, oracles
from kcolor.searching.crew import Crew
from kcolor.searching.importance import importance
from kcolor.searching.space import Space, read_space
from kcolor.searching.trials import Trials
from kcolor.searching.worker import CHIEF, SPACE, WORKERS
from kcolor.signals import Signals
from kcolor.terminal import say
from kcolor.training.experiment import Experiment
from kcolor.training.run import Run

LOOK_SECONDS = 0.5  # between looks at the workers
TABLE = "table.csv"
DRAWN = 20  # trials, to see whether any fits together
SHOWN = 18  # lines of the last table


def search(
    space: str | Path | Space,
    out: str | Path,
    workers: int = 1,
    minutes: float = math.inf,
) -> Path:
    """Searches a space of experiments, or goes on with it.

    Args:
        space: A space file, or what `read_space` makes of it.
        out: The search's folder, with a run folder for each trial. Where the
            search was stopped, it goes on.
        workers: How many processes train trials on this machine. Others may
            join through keras-tuner's environment variables.
        minutes: Stop after so long. What is under way keeps its checkpoint.

    Returns:
        `best.yaml` in the folder: the best trial's experiment.

    Raises:
        UserError: The space or the folder cannot be used, or no trial could be
            trained.
        Interrupted: SIGINT or SIGTERM; the trials' checkpoints are written.
    """
    if not isinstance(space, Space):
        space = read_space(Path(space))
    folder = Path(out)
    check_writable(folder / SPACE)
    is_search = (folder / SPACE).exists()
    if folder.is_dir() and any(folder.iterdir()) and not is_search:
        raise UserError(
            f"'{folder}' holds something else than a search: give another --out"
        )
    if all(setting.field != "data" for setting in space.searched):
        open_source(space.start.get("data", Experiment.data))
    _check_possible(space)
    with _opened(folder, space), _as_chief():
        trials = Trials(space, folder)
        hparams.write_space(space, folder)
        # keras-tuner's chief never returns before its last worker has gone.
        threading.Thread(target=trials.search, daemon=True).start()
        crew = Crew(folder, trials.oracle, workers)
        try:
            _watch(space, folder, trials.oracle, crew, minutes)
        finally:
            crew.dismiss()
            found = board.rows(space, trials.oracle)
            board.write_table(found, space, folder / TABLE)
            best = _keep_best(found, space, folder)
    if best is None:
        last = next((r.reason for r in reversed(found) if r.reason), "")
        raise UserError(
            f"no trial could be trained: see '{folder / TABLE}'"
            + (f"; the last failed: {last}" if last else "")
        )
    Console().print(board.board(found, space, trials.oracle, SHOWN))
    say("\n" + importance(found, space))
    return best


@contextlib.contextmanager
def _opened(folder: Path, space: Space) -> Iterator[None]:
    """Enters the folder of one space, which no other search can meanwhile."""
    (folder / WORKERS).mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(
            f"'{folder}' is being searched by another process: wait for it, or "
            "give another --out"
        ) from error
    with lock:
        written = folder / SPACE
        if written.exists():
            differing = _differing(read_space(written), space)
            if differing:
                raise UserError(
                    f"'{folder}' holds the search of another space, which "
                    f"differs in {', '.join(differing)}: give another --out"
                )
        with whole(written) as path:
            path.write_text(space.to_yaml())
        yield


def _differing(one: Space, other: Space) -> list[str]:
    """Returns in which keys two spaces differ, but for how many trials."""
    written, given = (yaml.safe_load(s.to_yaml()) for s in (one, other))
    keys = {**written, **given}
    return [
        key
        for key in keys
        if key != "trials" and written.get(key) != given.get(key)
    ]


def _check_possible(space: Space) -> None:
    """Refuses a space of which no trial could be trained.

    That some could not is for the search to find.
    """
    oracle = oracles.make(space)
    for _ in range(DRAWN):
        try:
            space.experiment(space.settings(oracle.draw()))
            return
        except UserError as error:
            reason = error
    raise UserError(f"no trial of this space could be trained: {reason}")


@contextlib.contextmanager
def _as_chief() -> Iterator[None]:
    """Tells keras-tuner that this is the chief, and where it is found."""
    before = dict(os.environ)
    os.environ.setdefault("KERASTUNER_ORACLE_IP", "127.0.0.1")
    if "KERASTUNER_ORACLE_PORT" not in os.environ:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        os.environ["KERASTUNER_ORACLE_PORT"] = str(port)
    os.environ["KERASTUNER_TUNER_ID"] = CHIEF
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _watch(space: Space, folder: Path, oracle, crew: Crew, minutes) -> None:
    """Shows how the search stands, until it ends."""
    console = Console()
    deadline = time.monotonic() + 60 * minutes
    found = board.rows(space, oracle)
    ended = {row.name for row in found if row.state in board.ENDED}
    if ended:
        say(f"'{folder}' goes on: {len(ended)} trials have ended")
    live = Live(console=console, auto_refresh=False, transient=True)
    with Signals() as signals, live:
        while not crew.is_done():
            crew.look_after()
            found = board.rows(space, oracle)
            for row in found:
                if row.state in board.ENDED and row.name not in ended:
                    ended.add(row.name)
                    board.write_table(found, space, folder / TABLE)
                    _keep_best(found, space, folder)
                    if not console.is_terminal:
                        say(board.line(row, space))
                        say(board.summary(found, space, oracle))
            if console.is_terminal:
                shown = board.board(found, space, oracle, console.height)
                live.update(shown, refresh=True)
            if signals.received:
                raise Interrupted(
                    signals.received,
                    f"start it again with --out '{folder}' to go on",
                )
            if time.monotonic() > deadline:
                say(
                    f"{minutes:g} minutes are over: start it again with "
                    f"--out '{folder}' to go on"
                )
                return
            time.sleep(LOOK_SECONDS)


def _keep_best(found, space: Space, folder: Path) -> Path | None:
    """Writes the best trial's experiment."""
    best = board.best_of(found, space)
    if best is None:
        return None
    run = Run(folder / best.name)
    with whole(folder / "best.yaml") as path:
        path.write_text(
            f"# {best.name}: {space.objective} {best.score:.5g} of the "
            "validation photos.\n" + run.config.read_text()
        )
    return folder / "best.yaml"
