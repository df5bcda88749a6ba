"""Tests for `kcolor.searching.oracles`."""

import itertools
import json
import random
from collections import Counter

import pytest
from keras_tuner.engine.trial import Trial

from kcolor.searching import oracles
from kcolor.searching.space import read_space

SPACE = """
experiment: {{loss: ce}}
tuner: {tuner}
trials: {trials}
space:
  loss: [l2, smooth_l1, ce]
  ce.temperature: {temperature}
  learning_rate: {{float: [0.001, 0.009], step: 0.004}}
"""
TEMPERATURE = {
    "grid": "[0.3, 0.7]",
    "random": "{float: [0.2, 1.0]}",
    "hyperband": "{float: [0.2, 1.0]}",
    "bayesian": "{float: [0.2, 1.0]}",
}
# Those of which the next trial does not depend on earlier scores, or whose
# choice by them does not depend on their order.
REPEATABLE = ["grid", "random", "hyperband"]


class Killed(Exception):
    """Stands for SIGKILL."""


@pytest.fixture
def make(tmp_path):
    """Makes the oracle of a search in a folder, or the one that goes on."""

    def make(tuner: str, folder: str = "search", trials="auto"):
        file = tmp_path / f"{tuner}.yaml"
        text = SPACE.format(
            tuner=tuner, trials=trials, temperature=TEMPERATURE[tuner]
        )
        file.write_text(text)
        oracle = oracles.make(read_space(file))
        oracle._set_project_dir(str(tmp_path), folder)
        oracle.verbose = 0
        if (tmp_path / folder / "oracle.json").exists():
            oracle.reload()
        return oracle

    return make


def score(values: dict) -> float:
    """Any function of a trial's settings and of its budget."""
    text = json.dumps(
        {k: v for k, v in values.items() if k != "tuner/trial_id"}
    )
    return random.Random(text).random()


def sent(trial: Trial) -> Trial:
    """Returns a trial as it comes back from a worker."""
    return Trial.from_proto(trial.to_proto())


def finish(oracle, trial: Trial, status: str = "COMPLETED") -> None:
    if status == "COMPLETED":
        values = trial.hyperparameters.values
        oracle.update_trial(trial.trial_id, {"rmse_ab": score(values)})
    trial = sent(trial)
    trial.status = status
    oracle.end_trial(trial)


def run(oracle) -> None:
    """Does what one worker does, to the end."""
    while (trial := oracle.create_trial("one")).status != "STOPPED":
        finish(oracle, trial)


def trials_of(oracle) -> list:
    """Returns settings and budgets of all trials, whatever their names."""
    kept = []
    for trial in oracle.trials.values():
        values = dict(trial.hyperparameters.values)
        values.pop("tuner/trial_id", None)
        values.pop("tuner/bracket", None)
        kept.append(json.dumps(values, sort_keys=True))
    return sorted(kept)


@pytest.mark.parametrize("tuner", REPEATABLE)
def test_a_search_killed_at_any_write_ends_as_one_that_was_not(
    make, tuner, monkeypatch
):
    whole = make(tuner, "whole")
    run(whole)
    kills = 0
    # A trial is six writes long, so this meets each of them.
    for death in itertools.count(1, 13):
        writes = itertools.count()
        folder = f"killed-{death}"

        def dying(write, death=death, writes=writes):
            def wrapped(self, *args):
                if next(writes) == death:
                    raise Killed
                return write(self, *args)

            return wrapped

        with monkeypatch.context() as patch:
            for name in ("save", "_save_trial"):
                write = getattr(oracles._Surviving, name)
                patch.setattr(oracles._Surviving, name, dying(write))
            try:
                run(make(tuner, folder))
                break  # there are no more writes to die at
            except Killed:
                kills += 1
        resumed = make(tuner, folder)
        run(resumed)
        assert trials_of(resumed) == trials_of(whole), death
        assert len(resumed.end_order) == len(set(resumed.end_order))
        assert len(resumed.end_order) == len(whole.end_order)
    assert kills > 5


@pytest.mark.parametrize("tuner", REPEATABLE)
@pytest.mark.parametrize("seed", range(3))
def test_workers_do_the_trials_of_one_process_in_whatever_order(
    make, tuner, seed
):
    alone = make(tuner, "alone")
    run(alone)
    together = make(tuner, "together")
    order = random.Random(seed)
    under_way, at_work = {}, {"one", "two", "three"}
    while at_work:
        name = order.choice(sorted(at_work))
        if name in under_way:
            finish(together, under_way.pop(name))
            continue
        trial = together.create_trial(name)
        if trial.status == "STOPPED":
            at_work.remove(name)
        elif trial.status == "RUNNING":
            under_way[name] = trial
    assert trials_of(together) == trials_of(alone)


@pytest.mark.parametrize("tuner", [*REPEATABLE, "bayesian"])
def test_as_many_trials_are_done_as_were_planned(make, tuner):
    oracle = make(tuner)
    run(oracle)
    plan = oracles.planned(oracle)
    done = [oracles.units_of(trial) for trial in oracle.trials.values()]
    assert Counter(done) == plan


def test_more_trials_can_be_asked_for_later(make):
    run(make("random", trials=3))
    more = make("random", trials=5)
    run(more)
    assert len(more.end_order) == 5
    whole = make("random", "whole", trials=5)
    run(whole)
    assert trials_of(more) == trials_of(whole)


def test_a_finished_search_has_nothing_more_to_do(make):
    run(make("random", trials=3))
    again = make("random", trials=3)
    assert again.create_trial("one").status == "STOPPED"


def test_failures_in_a_row_do_not_end_a_search(make):
    oracle = make("random", trials=8)
    for _ in range(7):
        finish(oracle, oracle.create_trial("one"), "FAILED")
    finish(oracle, oracle.create_trial("one"))
    assert oracle.create_trial("one").status == "STOPPED"
    statuses = [trial.status for trial in oracle.trials.values()]
    assert statuses == ["FAILED"] * 7 + ["COMPLETED"]


def test_a_worker_that_comes_back_gets_its_trial_again(make):
    oracle = make("random")
    trial = oracle.create_trial("one")
    oracle.create_trial("two")
    assert oracle.create_trial("one").trial_id == trial.trial_id


def test_a_lost_worker_s_trial_goes_to_another_and_counts_once(make):
    oracle = make("random", trials=2)
    lost = oracle.create_trial("lost")
    finish(oracle, oracle.create_trial("other"))
    # Nothing is left to begin, but the lost trial may have to be done again.
    assert oracle.create_trial("other").status == "IDLE"
    oracle.give_up_on("lost")
    again = oracle.create_trial("other")
    assert again.trial_id == lost.trial_id
    finish(oracle, again)
    finish(oracle, lost)  # it was only slow
    assert len(oracle.end_order) == len(set(oracle.end_order)) == 2
    assert oracle.create_trial("other").status == "STOPPED"


def test_a_reason_for_failure_is_kept(make):
    oracle = make("random", trials=1)
    trial = oracle.create_trial("one")
    oracle.failure(trial.trial_id).write_text("the loss is nan\n")
    finish(oracle, trial, "FAILED")
    (kept,) = make("random", trials=1).trials.values()
    assert kept.message == "the loss is nan\n"


def test_conditions_are_sent_to_workers_in_silence(make, capsys):
    oracle = make("random")
    sent(oracle.create_trial("one"))
    assert capsys.readouterr().out == ""


def test_a_setting_is_the_same_after_its_way_through_float32(make, tmp_path):
    oracle = make("random")
    space = read_space(tmp_path / "random.yaml")
    for _ in range(20):
        trial = oracle.create_trial("one")
        ours = space.settings(trial.hyperparameters.values)
        theirs = space.settings(sent(trial).hyperparameters.values)
        assert ours == theirs
        finish(oracle, trial)
