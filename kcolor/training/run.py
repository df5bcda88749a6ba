"""A run: the folder that one training writes."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import filelock
import tensorflow as tf

from kcolor.data.prepare import Data
from kcolor.errors import UserError, first_line
from kcolor.files import whole
from kcolor.training import folder
from kcolor.training.experiment import Experiment, other_experiment

CHECKPOINTS_KEPT = 2
PACKAGES = ("kcolor", "tensorflow", "keras", "numpy", "tensorflow-datasets")


class Run:
    """A run's folder and the names of what is in it.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self.config = path / folder.CONFIG
        self.environment = path / folder.ENVIRONMENT
        self.history = path / "history.csv"
        self.checkpoints = path / folder.CHECKPOINTS
        self.model = path / folder.MODEL
        self.metrics = path / "metrics.json"
        self.curves = path / "curves.png"
        self.samples = path / "samples.png"
        self.draws = path / "draws.png"  # where the objective can be sampled
        self.tensorboard = path / "tensorboard"
        self.lock = path / ".lock"  # held while it is trained

    @property
    def is_finished(self) -> bool:
        """Whether the training came to its end and was measured."""
        return self.metrics.exists()

    @property
    def is_free(self) -> bool:
        """Whether a training may begin here, and nothing is lost by it.

        There is no run, or one that was refused or killed before its first
        checkpoint.
        """
        work = (self.history, self.model, self.metrics)
        if any(path.exists() for path in work) or any(
            self.checkpoints.glob("*")
        ):
            return False
        return self.environment.exists() or not self.config.exists()

    def begin(self, experiment: Experiment, data: Data) -> None:
        """Writes the experiment, and what else decides the weights."""
        if folder.is_run(self.path):  # one that did nothing else
            shutil.rmtree(self.tensorboard, ignore_errors=True)
        environment = {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in PACKAGES},
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "devices": [
                _device_name(d) for d in tf.config.list_physical_devices()
            ],
            "commit": _commit(),
            "command": sys.argv,
            "data_fingerprint": data.fingerprint,
            "classes": data.classes,
            "near_grey": data.near_grey,
            "skipped": dict(data.skipped),
        }
        with whole(self.environment) as path:
            path.write_text(json.dumps(environment, indent=2) + "\n")
        self.checkpoints.mkdir(exist_ok=True)
        with whole(self.config) as path:
            path.write_text(experiment.to_yaml())

    def check_settings(self, experiment: Experiment) -> None:
        """Refuses other settings than those of the start.

        Raises:
            UserError: They differ, or here is no such run.
        """
        if not self.config.exists():
            raise UserError(
                f"run '{self.path}' of the chief is not here: give all workers "
                "the same --run, a folder that all of them see"
            )
        written = folder.read_config(self.config)
        ours = dataclasses.asdict(experiment)
        # A setting that came after the run was what is its default now.
        defaults = {f.name: f.default for f in dataclasses.fields(experiment)}
        written = defaults | written
        for name in {**written, **ours}:
            if written.get(name) != ours.get(name):
                there, here = written.get(name), ours.get(name)
                raise other_experiment(self.path, name, there, here)

    def check_fingerprint(self, fingerprint: str) -> None:
        """Refuses to go on with other photos than those of the start."""
        try:
            text = self.environment.read_text()
            written = json.loads(text)["data_fingerprint"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"'{self.environment}' is damaged ({first_line(error)}): the "
                "run cannot be resumed: start another --run, with --init and "
                "its model.keras"
            ) from error
        if written != fingerprint:
            raise UserError(
                f"run '{self.path}' cannot be resumed: its photos are not "
                "those it began with: restore them, or start another --run"
            )

    def read_history(self, epochs: int) -> list[dict]:
        """Returns the rows of the first `epochs` epochs."""
        if not self.history.exists():
            return []
        with self.history.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [row for row in rows if int(row["epoch"]) <= epochs]

    def write_history(self, rows: list[dict]) -> None:
        """Writes one row an epoch."""
        with whole(self.history) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@contextlib.contextmanager
def open_run(
    path: Path | None, experiment: Experiment, resume: bool
) -> Iterator[Run]:
    """Yields a run's folder, which no other training can enter meanwhile.

    Args:
        path: The folder; None for a new one in `runs/`, named after the
            experiment.
        experiment: What is to be trained, fully resolved.
        resume: Whether the folder holds a run to go on with.

    Raises:
        UserError: The folder is taken, or holds nothing to resume.
    """
    if path is None:
        if resume:
            raise UserError("--resume needs --run DIR, the run to go on with")
        path = _free_path(experiment)
    run = Run(path)
    if resume:
        _check_resumable(run, experiment)
    path.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(run.lock, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(
            f"run '{path}' is being trained by another process: wait for it, "
            "or give another --run"
        ) from error
    try:
        if not resume and not run.is_free:
            raise UserError(
                f"run '{path}' exists: add --resume to go on with it, or give "
                "another --run"
            )
        yield run
    finally:
        if not run.config.exists():  # it never began
            run.lock.unlink()
            with contextlib.suppress(OSError):
                path.rmdir()
        lock.release()


def _free_path(experiment: Experiment) -> Path:
    """Returns a folder that no run has begun in."""
    data = experiment.data.removeprefix("tfds:")
    if data == experiment.data:
        data = Path(data).name  # of a folder
    parts = [data, experiment.arch, experiment.loss]
    if experiment.scheme != Experiment.scheme:
        parts.append(experiment.scheme)
    name = re.sub(r"\W+", "-", "-".join(parts))
    for number in itertools.count(1):
        path = Path("runs") / (f"{name}-{number}" if number > 1 else name)
        if not path.exists():
            return path


def _check_resumable(run: Run, experiment: Experiment) -> None:
    if not run.config.exists():
        raise UserError(
            f"run '{run.path}' holds nothing to resume: leave out --resume"
        )
    if run.is_finished:
        raise UserError(
            f"run '{run.path}' is finished, nothing is left to resume: see "
            f"'{run.metrics}'"
        )
    run.check_settings(experiment)


class Checkpoints:
    """All that an exact resume needs, saved whole, the last two kept.

    Args:
        folder: Where they are.
        variables: Every variable of the training, by a name of its own.
    """

    def __init__(self, folder: Path, variables: dict[str, tf.Variable]):
        self._folder = folder
        self._whole: list[Path] = []  # known to be, oldest first
        self._state = tf.Variable("", dtype=tf.string)
        self._checkpoint = tf.train.Checkpoint(
            state=self._state, variables=variables
        )

    def paths(self) -> list[Path]:
        """Returns the checkpoints there are, oldest first."""
        # By their data too: one without its index was cut short.
        files = self._folder.glob("step-*.*")
        return sorted({f.with_name(f.name.split(".")[0]) for f in files})

    def save(self, step: int, state: dict) -> None:
        """Writes a checkpoint.

        Args:
            step: How many optimizer steps were made: names the file.
            state: What else must be remembered, as JSON has it.
        """
        self._state.assign(json.dumps(state))
        path = self._path(step)
        try:
            # TensorFlow writes beside it and renames, the index last.
            self._checkpoint.write(str(path))
        except tf.errors.OpError as error:
            self._keep(*self._whole)
            raise UserError(
                f"checkpoint '{path}' cannot be written "
                f"({first_line(error)}): the one before, if any, is kept; make "
                "room, then go on with --resume"
            ) from error
        self._whole = [p for p in self._whole if p != path] + [path]
        self._whole = self._whole[-CHECKPOINTS_KEPT:]
        self._keep(*self._whole)

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:09d}"

    def _keep(self, *kept: Path) -> None:
        """Deletes all else: older ones, damaged ones, half written ones."""
        names = {path.name for path in kept}
        for file in self._folder.glob("step-*"):
            if file.name.split(".")[0] not in names:
                if file.is_dir():
                    shutil.rmtree(file)
                else:
                    file.unlink()

    def restore(self, warn, step: int | None = None) -> dict | None:
        """Brings every variable back and returns the state.

        A checkpoint that is damaged is passed over for the one before.

        Args:
            warn: Called with a line about each damaged checkpoint.
            step: That of the only checkpoint to look at; None for all.

        Returns:
            The state of the newest whole checkpoint; None where there is none.
        """
        paths = self.paths() if step is None else [self._path(step)]
        for path in reversed(paths):
            try:
                self._checkpoint.read(str(path)).assert_consumed()
                state = json.loads(self._state.numpy())
                self._whole = [path]
                return state
            except (
                tf.errors.OpError,
                AssertionError,
                IndexError,
                ValueError,
            ) as error:
                warn(
                    f"checkpoint '{path}' is damaged ({first_line(error)}): "
                    "passed over for the one before"
                )
        return None


def _device_name(device: tf.config.PhysicalDevice) -> str:
    details = tf.config.experimental.get_device_details(device)
    return details.get("device_name", device.device_type)


def _commit() -> str | None:
    """Returns the commit of the checkout that kcolor runs from, if any."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
