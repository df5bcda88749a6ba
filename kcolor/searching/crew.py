"""The processes that train a search's trials on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import tensorflow as tf
from keras_tuner.engine.trial import TrialStatus

from kcolor.errors import UserError
from kcolor.searching.worker import WORKERS
from kcolor.terminal import say

LOST_SECONDS = 60.0  # without a sign of life
END_SECONDS = 120.0  # for workers to write their checkpoints in
MOST_DEATHS = 2  # of processes at one trial


class Crew:
    """The processes that train trials.

    Args:
        folder: The search's.
        oracle: What gives them trials.
        size: How many on this machine.
    """

    def __init__(self, folder: Path, oracle, size: int):
        self._folder = folder
        self._oracle = oracle
        host = socket.gethostname()
        self._names = [f"{host}-{number}" for number in range(1, size + 1)]
        self._processes: dict[str, subprocess.Popen] = {}
        self._deaths: dict[str | None, int] = {}
        self._seen: dict[str, tuple[float, float]] = {}
        self._gpus = _gpus()
        for name in self._names:
            self._start(name)

    def is_done(self) -> bool:
        """Whether no trial is left and every process here has ended."""
        return (
            self._oracle.is_over
            and not self._oracle.ongoing_trials
            and not self._oracle.tuner_ids  # all have been told
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
                say(f"worker '{name}' is lost: others do its trial")
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
        if len(self._names) > 1 and len(self._gpus) > 1:
            number = self._names.index(name) % len(self._gpus)
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[number]
        with (self._folder / WORKERS / f"{name}.log").open("a") as log:
            self._processes[name] = subprocess.Popen(
                [*command, str(self._folder), str(os.getpid())],
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
        say(f"worker '{name}' died ({how}): started again")
        if self._deaths[key] < MOST_DEATHS:
            return
        if trial is None:
            raise RuntimeError(f"workers cannot start: {self._last_line(name)}")
        self._oracle.failure(trial.trial_id).write_text(
            f"its process died {MOST_DEATHS} times ({how}): is memory full?\n"
        )
        trial.status = TrialStatus.FAILED
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
