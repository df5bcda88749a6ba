"""What chooses the trials: keras-tuner's oracles, made to survive."""

from __future__ import annotations

import functools
import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import keras_tuner
from keras_tuner import oracles
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.src.engine import conditions  # has no other name

from kcolor.files import whole
from kcolor.searching.space import Searched, Space

FAILURE = "failure.txt"  # in a trial's folder, written by its worker
TRIALS = 20  # of a tuner that would go on for ever

# keras-tuner prints a condition's value whenever it sends it to a worker.
conditions.print = lambda *_: None


class _Surviving:
    """Keeps an oracle right when it, or a worker, is killed at any moment.

    A trial that has ended stays so, and is counted once; one under way is done
    again; files are whole. What comes back from a worker, with its numbers in
    float32, never replaces what was sent.
    """

    def __init__(self, **options):
        super().__init__(max_consecutive_failed_trials=float("inf"), **options)
        self.is_over = False  # no trial is left to begin
        self.seconds: dict[str, float] = {}  # that each trial took
        self.began: dict[str, float] = {}

    def failure(self, trial_id: str) -> Path:
        """Returns the file that says why a trial failed."""
        return Path(self._get_trial_dir(trial_id)) / FAILURE

    @keras_tuner.synchronized
    def create_trial(self, tuner_id):
        trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED and self.ongoing_trials:
            # Should another worker die, this one will do its trial.
            trial.status = TrialStatus.IDLE
            self.tuner_ids.add(tuner_id)
        if trial.status == TrialStatus.STOPPED:
            self.is_over = True
        elif trial.status == TrialStatus.RUNNING:
            self.began.setdefault(trial.trial_id, time.time())
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial):
        if trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)
        if trial.trial_id not in self.end_order:
            ours = self.trials[trial.trial_id]
            trial.hyperparameters = ours.hyperparameters
            failure = self.failure(trial.trial_id)
            if trial.status != TrialStatus.COMPLETED and failure.exists():
                trial.message = failure.read_text()
            began = self.began.pop(trial.trial_id, time.time())
            self.seconds[trial.trial_id] = time.time() - began
            super().end_trial(trial)
        self.ongoing_trials = {
            tuner: other
            for tuner, other in self.ongoing_trials.items()
            if other.trial_id != trial.trial_id
        }
        self.save()  # keras-tuner did so while the trial was still under way

    def draw(self) -> dict:
        """Returns the values of any trial."""
        return self._random_values()

    @keras_tuner.synchronized
    def give_up_on(self, tuner_id: str) -> None:
        """Lets another worker do what a lost one was doing."""
        trial = self.ongoing_trials.pop(tuner_id, None)
        self.tuner_ids.discard(tuner_id)
        if trial is not None:
            self._retry_queue.append(trial.trial_id)
            self.save()

    def get_state(self):
        return super().get_state() | {"seconds": self.seconds}

    def set_state(self, state):
        super().set_state(state)
        self.seconds = state["seconds"]

    def save(self):
        with whole(Path(self._get_oracle_fname())) as path:
            # That of the base class takes the file's name.
            super(keras_tuner.Oracle, self).save(str(path))

    def _save_trial(self, trial):
        folder = Path(self._get_trial_dir(trial.trial_id))
        with whole(folder / "trial.json") as path:
            trial.save(str(path))

    def reload(self):
        super().reload()
        # Killed between the trial's file and its own, it knows nothing of it.
        self.trials = {name: self.trials[name] for name in self.start_order}
        ended = set(self.end_order)
        again = []
        for name in dict.fromkeys(self._retry_queue):
            if name in ended:
                continue
            if self.trials[name].status == TrialStatus.RUNNING:
                again.append(name)
            else:
                self.end_order.append(name)
        self._retry_queue = again


class Random(_Surviving, oracles.RandomSearchOracle):
    """Trials at random."""


class Bayesian(_Surviving, oracles.BayesianOptimizationOracle):
    """Trials where a Gaussian process hopes for most."""


class Hyperband(_Surviving, oracles.HyperbandOracle):
    """Many short trials, of which the best are done again, for longer."""

    def rungs(self) -> Iterator[tuple[int, int]]:
        """Yields the units of budget of a rung's trials, and how many."""
        for _ in range(self.hyperband_iterations):
            for bracket in reversed(range(self._get_num_brackets())):
                for rung in range(self._get_num_rounds(bracket)):
                    size = self._get_size(bracket, rung)
                    yield self._get_epochs(bracket, rung), size


class Grid(_Surviving, oracles.GridSearchOracle):
    """All combinations, one after another."""

    def reload(self):
        super().reload()
        # keras-tuner keeps neither the order nor whose successor is due.
        values = {
            name: trial.hyperparameters.values
            for name, trial in self.trials.items()
        }
        by_value = functools.cmp_to_key(
            lambda one, other: self._compare(values[one], values[other])
        )
        for name in sorted(self.trials, key=by_value):
            self._ordered_ids.insert(name)
        self._populate_next = list(self.start_order)


def make(space: Space) -> keras_tuner.Oracle:
    """Returns what chooses the trials of a space."""
    ranges = keras_tuner.HyperParameters()
    for setting in space.searched:
        _declare(ranges, setting, space)
    options = {
        "objective": keras_tuner.Objective(space.objective, space.direction),
        "hyperparameters": ranges,
        "seed": space.seed,
    }
    trials = None if space.trials == "auto" else int(space.trials)
    if space.tuner == "hyperband":
        oracle = Hyperband(
            max_epochs=space.units,
            factor=int(space.factor),
            hyperband_iterations=int(space.iterations),
            **options,
        )
        oracle.max_trials = trials
        return oracle
    if space.tuner == "grid":
        return Grid(max_trials=trials, **options)
    if space.tuner == "bayesian":
        options["num_initial_points"] = int(space.initial_points) or None
    kind = {"random": Random, "bayesian": Bayesian}[space.tuner]
    return kind(max_trials=trials or TRIALS, **options)


def _declare(
    ranges: keras_tuner.HyperParameters, setting: Searched, space: Space
) -> None:
    """Adds a setting under all conditions, those of its conditions as well.

    keras-tuner's own scopes can be nested only where each parent was declared
    within the ones before it.
    """
    when, of_name = {}, {one.name: one for one in space.searched}
    waiting = [setting]
    while waiting:
        for name, values in waiting.pop().when.items():
            when[name] = [v for v in when.get(name, values) if v in values]
            waiting.append(of_name[name])
    ranges._conditions = [
        conditions.Parent(name, of_name[name].range.encoded(values))
        for name, values in when.items()
    ]
    setting.range.declare(ranges, setting.name)
    ranges._conditions = []


def run_name(trial_id: str) -> str:
    """Returns the name of a trial's run folder, as keras-tuner has it."""
    return f"trial_{trial_id}"


def units_of(trial: Trial) -> int:
    """Returns how many units of budget a trial has."""
    return trial.hyperparameters.values.get("tuner/epochs", 1)


def planned(oracle: keras_tuner.Oracle) -> Counter[int]:
    """Returns how many trials there will be, at most, by units of budget."""
    most = oracle.max_trials or math.inf
    if isinstance(oracle, Hyperband):
        plan = Counter()
        for units, size in oracle.rungs():
            plan[units] += min(size, most - plan.total())
        return plan
    if isinstance(oracle, Grid):
        most = min(most, _combinations(oracle.hyperparameters.space, {}))
    return Counter({1: most})


def _combinations(ranges: list, values: dict) -> int:
    """Returns how many combinations there are of ranges, given earlier ones."""
    if not ranges:
        return 1
    first, *rest = ranges
    if not all(condition.is_active(values) for condition in first.conditions):
        return _combinations(rest, values)
    choices = list(first.values)
    if all(c.name != first.name for hp in rest for c in hp.conditions):
        return len(choices) * _combinations(rest, values)
    return sum(
        _combinations(rest, values | {first.name: value}) for value in choices
    )
