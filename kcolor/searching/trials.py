"""A trial: one experiment of the space, trained in a run folder of its own."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import math
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

import filelock
import keras
import yaml
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.errors import FailedTrialError, FatalRuntimeError
from keras_tuner.src.distribute.oracle_client import OracleClient

from kcolor.data.prepare import Data
from kcolor.errors import Interrupted, UserError, first_line
from kcolor.searching import hparams, oracles
from kcolor.searching.space import Space
from kcolor.terminal import say
from kcolor.trainer import decoded, pace, train
from kcolor.training.experiment import Experiment
from kcolor.training.run import Run

TRIALS_A_PROCESS = 8
LEAST_DISK = 2**26  # bytes, below which it is full
PACE_SHARE = 0.05  # of a trial's seconds, to find out how many steps they are
LEAST_TRYING = 2.0  # seconds
CHECKPOINT_MINUTES = 2.0
IDLE_SECONDS = 1.0


class Stopped(BaseException):
    """A trial was interrupted: no failure, it will go on.

    keras-tuner takes any `Exception` for the trial's failure.
    """


class Trials(BaseTuner):
    """Does the trials that an oracle chooses, one after another.

    Args:
        space: What is searched.
        folder: The search's. Each trial has a run folder in it.
    """

    def __init__(self, space: Space, folder: Path):
        self.space = space
        self.folder = folder
        self._decoded = functools.lru_cache(maxsize=1)(decoded)
        self._is_idle = False
        self._done = 0
        folder = folder.resolve()
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                oracle=oracles.make(space),
                directory=str(folder.parent),
                project_name=folder.name,
            )
        self.oracle.verbose = 0  # a table of our own shows more

    def save(self):
        if not isinstance(self.oracle, OracleClient):  # whose chief saves all
            super().save()

    def get_state(self):
        return {}

    def set_state(self, state):
        pass

    def pre_create_trial(self):
        is_worker = isinstance(self.oracle, OracleClient)
        if is_worker and self._done == TRIALS_A_PROCESS:
            # TensorFlow keeps some of the memory of each training, whatever is
            # cleared: begin anew, with the same name and the same command.
            sys.stdout.flush()
            os.execv(sys.executable, sys.orig_argv)
        # keras-tuner asks without a pause for as long as there is none.
        if self._is_idle:
            time.sleep(IDLE_SECONDS)
        self._is_idle = True

    def on_trial_begin(self, trial):
        self._is_idle = False
        self._done += 1

    def run_trial(self, trial):
        run = Run(self.folder / oracles.run_name(trial.trial_id))
        settings = self.space.settings(trial.hyperparameters.values)
        told = ", ".join(f"{k} {v}" for k, v in settings.items())
        say(f"\ntrial {trial.trial_id}: {told}")
        try:
            score = self._score(run, settings, oracles.units_of(trial))
        except Interrupted as interrupted:
            raise Stopped from interrupted
        except Exception as error:
            if shutil.disk_usage(run.path.parent).free < LEAST_DISK:
                raise FatalRuntimeError("the disk is full") from error
            reason, details = str(error), ""
            if not isinstance(error, UserError):
                reason = f"{type(error).__name__}: {first_line(error)}"
                details = f"\n{traceback.format_exc()}"
            run.path.mkdir(exist_ok=True)
            (run.path / oracles.FAILURE).write_text(f"{reason}\n{details}")
            say(f"trial {trial.trial_id} failed: {reason}")
            raise FailedTrialError(reason) from error
        hparams.write(run, settings, self.space.objective, score)
        return {self.space.objective: score}

    def _score(self, run: Run, settings: dict, units: int) -> float:
        """Trains what is not yet trained, and returns the best epoch's."""
        # Of a worker that was lost and may still be at it.
        with filelock.FileLock(run.lock):
            is_begun, is_finished = run.config.exists(), run.is_finished
        if not is_finished:
            keras.backend.clear_session()
            gc.collect()
            if is_begun:
                written = yaml.safe_load(run.config.read_text())
                experiment = Experiment.of(**written)
            else:
                experiment = self._experiment(settings, units)
            train(
                experiment,
                run.path,
                is_begun,
                CHECKPOINT_MINUTES,
                data=self._data(experiment),
            )
        return best(run, self.space)

    def _data(self, experiment: Experiment) -> Data:
        return self._decoded(
            experiment.data, experiment.image_size, experiment.validation_share
        )

    def _experiment(self, settings: dict, units: int) -> Experiment:
        """Returns a trial's experiment, with its share of the budget."""
        share = units / self.space.units
        experiment, budget = self.space.experiment(settings), self.space.budget
        if not budget:
            name = "steps" if experiment.steps else "epochs"
            limits = {name: _part(getattr(experiment, name), share)}
        elif "epochs" in budget:
            limits = {"epochs": _part(budget["epochs"], share), "steps": 0}
        elif "steps" in budget:
            steps = _part(budget["steps"], share)
            limits = self._steps(experiment, steps)
        else:
            seconds = budget["seconds"] * share
            trying = max(LEAST_TRYING, PACE_SHARE * seconds)
            steps_a_second = pace(experiment, self._data(experiment), trying)
            limits = self._steps(experiment, _part(seconds, steps_a_second))
        return self.space.experiment(settings, **limits)

    def _steps(self, experiment: Experiment, steps: int) -> dict[str, int]:
        photos = len(self._data(experiment).train)
        an_epoch = max(1, photos // experiment.batch_size)
        return {"epochs": math.ceil(steps / an_epoch), "steps": steps}


def best(run: Run, space: Space) -> float:
    """Returns the objective of a run's best epoch.

    Raises:
        UserError: It is a number in none.
    """
    column = f"val_{space.objective}"
    rows = run.read_history(epochs=10**9)
    values = [float(row[column]) for row in rows]
    values = [value for value in values if math.isfinite(value)]
    if not values:
        raise UserError(f"{space.objective} is no number in any epoch")
    return min(values, key=space.rank)


def _part(amount: float, share: float) -> int:
    return max(1, round(amount * share))
