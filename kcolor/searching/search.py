"""The whole story of a search: its folder, its chief, its workers, its end."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import tensorflow as tf
from rich.console import Console
from rich.live import Live

from kcolor.errors import Interrupted, UserError
from kcolor.files import whole
from kcolor.searching import board, hparams
from kcolor.searching.importance import importance
from kcolor.searching.space import Space, read_space
from kcolor.searching.trials import Trials
from kcolor.searching.worker import CHIEF, SPACE, WORKERS
from kcolor.training import callbacks as calls
from kcolor.training.run import Run

LOOK_SECONDS = 0.5  # between looks at the workers
LOST_SECONDS = 60.0  # without a sign of life
END_SECONDS = 120.0  # for workers to write their checkpoints in
MOST_DEATHS = 2  # of processes at one trial


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
    with _opened(folder, space), _as_chief():
        trials = Trials(space, folder)
        hparams.write_space(space, folder)
        # keras-tuner's chief never returns before its last worker has gone.
        threading.Thread(target=trials.search, daemon=True).start()
        crew = _Crew(folder, trials.oracle, workers)
        try:
            _watch(space, folder, trials.oracle, crew, minutes)
        finally:
            crew.dismiss()
            found = board.rows(space, trials.oracle)
            board.write_table(found, space, folder / "table.csv")
            best = _keep_best(found, space, folder)
    if best is None:
        raise UserError(f"no trial could be trained: see '{folder}/table.csv'")
    calls.say(importance(found, space))
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
        if written.exists() and not _is_same(read_space(written), space):
            raise UserError(
                f"'{folder}' holds the search of another space: give another "
                "--out, or its own space.yaml"
            )
        with whole(written) as path:
            path.write_text(space.to_yaml())
        yield


def _is_same(one: Space, other: Space) -> bool:
    """Whether trials of one are trials of the other: more of them may be."""
    return (
        one.to_yaml().replace(
            f"trials: {one.trials}", f"trials: {other.trials}"
        )
        == other.to_yaml()
    )


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


def _watch(space: Space, folder: Path, oracle, crew: _Crew, minutes) -> None:
    """Shows how the search stands, until it ends."""
    console = Console()
    deadline = time.monotonic() + 60 * minutes
    told = sum(row.score is not None for row in board.rows(space, oracle))
    ended: set[str] = set()
    if told:
        calls.say(f"'{folder}': goes on, {told} trials are done")
        ended = {r.name for r in board.rows(space, oracle) if r.state in ENDED}
    live = Live(console=console, auto_refresh=False, transient=True)
    with calls.Signals() as signals, live:
        while not crew.is_done():
            crew.look_after()
            found = board.rows(space, oracle)
            for row in found:
                if row.state in ENDED and row.name not in ended:
                    ended.add(row.name)
                    board.write_table(found, space, folder / "table.csv")
                    _keep_best(found, space, folder)
                    if not console.is_terminal:
                        calls.say(board.line(row, space))
                        calls.say(board.summary(found, space, oracle))
            if console.is_terminal:
                shown = board.board(found, space, oracle, console.height)
                live.update(shown, refresh=True)
            if signals.received:
                raise Interrupted(
                    signals.received,
                    f"start it again with --out '{folder}' to go on",
                )
            if time.monotonic() > deadline:
                calls.say(
                    f"{minutes:g} minutes are over: start it again with "
                    f"--out '{folder}' to go on"
                )
                return
            time.sleep(LOOK_SECONDS)


ENDED = (board.DONE, board.FAILED)


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


class _Crew:
    """The processes that train trials.

    Args:
        folder: The search's.
        oracle: What gives them trials.
        size: How many on this machine.
    """

    def __init__(self, folder: Path, oracle, size: int):
        self._folder = folder
        self._oracle = oracle
        self._size = size
        self._processes: dict[str, subprocess.Popen] = {}
        self._deaths: dict[str | None, int] = {}
        self._seen: dict[str, tuple[float, float]] = {}
        self._gpus = _gpus()
        for number in range(1, size + 1):
            self._start(f"{socket.gethostname()}-{number}")

    def is_done(self) -> bool:
        """Whether no trial is left and every process here has ended."""
        return (
            self._oracle.is_over
            and not self._oracle.ongoing_trials
            and not self._processes
        )

    def look_after(self) -> None:
        """Replaces processes that died, and gives up on lost machines.

        Raises:
            UserError: A process refuses to work.
        """
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[name]
            if code == 2:
                raise UserError(self._last_line(name))
            if code:
                self._mourn(name, code)
                self._start(name)
        now = time.monotonic()
        for name in list(self._oracle.tuner_ids):
            if name in self._processes:
                continue
            beat = self._folder / WORKERS / name
            sign = beat.stat().st_mtime if beat.exists() else 0.0
            last, since = self._seen.get(name, (None, now))
            if sign != last:
                self._seen[name] = (sign, now)
            elif now - since > LOST_SECONDS:
                calls.say(f"worker '{name}' is lost: others do its trial")
                self._oracle.give_up_on(name)

    def dismiss(self) -> None:
        """Lets all processes here write their checkpoints and end."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + END_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "kcolor.searching.worker"]
        environment = os.environ | {"KERASTUNER_TUNER_ID": name}
        number = int(name.rpartition("-")[2])
        if self._size > 1 and len(self._gpus) > 1:
            gpu = self._gpus[(number - 1) % len(self._gpus)]
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        with (self._folder / WORKERS / f"{name}.log").open("a") as log:
            self._processes[name] = subprocess.Popen(
                [*command, str(self._folder)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The terminal's Ctrl-C is the chief's to hear.
                start_new_session=True,
            )

    def _mourn(self, name: str, code: int) -> None:
        """Counts deaths at a trial, which fails when there are too many.

        Raises:
            RuntimeError: Processes die before they have a trial.
        """
        trial = self._oracle.ongoing_trials.get(name)
        key = trial.trial_id if trial else None
        self._deaths[key] = self._deaths.get(key, 0) + 1
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        calls.say(f"worker '{name}' died ({how}): started again")
        if self._deaths[key] < MOST_DEATHS:
            return
        if trial is None:
            raise RuntimeError(f"workers cannot start: {self._last_line(name)}")
        self._oracle.reasons(trial.trial_id).write_text(
            f"its process died {MOST_DEATHS} times ({how}): is memory full?\n"
        )
        trial.status = "FAILED"
        self._oracle.end_trial(trial)

    def _last_line(self, name: str) -> str:
        log = self._folder / WORKERS / f"{name}.log"
        lines = log.read_text().splitlines() or [f"worker '{name}' ended"]
        return lines[-1].partition(": ")[2] or lines[-1]


def _gpus() -> list[str]:
    """Returns the GPUs there are, as CUDA names them."""
    count = len(tf.config.list_physical_devices("GPU"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(n) for n in range(count)]
