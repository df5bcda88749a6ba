"""Tests for `kcolor.searching.board`."""

import csv

import pytest
from rich.console import Console

from kcolor.searching import board, oracles
from kcolor.searching.space import read_space


@pytest.fixture(params=["rmse_ab", "auc"])
def space(tmp_path, request):
    file = tmp_path / "space.yaml"
    file.write_text(
        f"objective: {request.param}\ntrials: 6\n"
        "space: {loss: [l2, ce], ce.temperature: {float: [0.2, 1.0]}, "
        "learning_rate: {float: [1e-4, 1e-2], log: true}}\n"
    )
    return read_space(file)


@pytest.fixture
def oracle(space, tmp_path):
    """A search in its middle: two trials done, one failed, one under way."""
    oracle = oracles.make(space)
    oracle._set_project_dir(str(tmp_path), "search")
    oracle.verbose = 0
    for score in (30.0, 20.0, None):
        trial = oracle.create_trial("one")
        if score is None:
            oracle.failure(trial.trial_id).write_text("[nan]\ndetails\n")
            trial.status = "FAILED"
        else:
            oracle.update_trial(trial.trial_id, {space.objective: score})
            trial.status = "COMPLETED"
        oracle.end_trial(trial)
        oracle.seconds[trial.trial_id] = 60.0
    oracle.create_trial("one")
    return oracle


def test_states_scores_and_reasons_are_told(space, oracle):
    found = board.rows(space, oracle)
    assert [row.state for row in found] == ["done", "done", "failed", "running"]
    assert [row.score for row in found] == [30.0, 20.0, None, None]
    assert found[2].reason == "[nan]"
    assert "ce.temperature" in found[0].settings or (
        found[0].settings["loss"] == "l2"
    )


def test_the_best_is_the_least_or_the_greatest(space, oracle):
    best = board.best_of(board.rows(space, oracle), space)
    assert best.score == (20.0 if space.objective == "rmse_ab" else 30.0)


def test_one_line_tells_how_far_the_search_is(space, oracle):
    line = board.summary(board.rows(space, oracle), space, oracle)
    assert line.startswith("3 of 6 trials, 1 failed, best ")
    assert line.endswith("3 min left")  # of three trials, a minute each


def test_the_live_table_has_every_trial_or_says_how_many_more(space, oracle):
    found = board.rows(space, oracle)
    for height, more in ((30, False), (9, True)):
        console = Console(width=100)
        with console.capture() as captured:
            console.print(board.board(found, space, oracle, height))
        text = captured.get()
        assert ("... and 1 more" in text) == more
        if not more:
            assert "[nan]" in text  # no markup
            assert "running" in text
            for row in found[:2]:
                assert f"{row.settings['learning_rate']}" in text


def test_the_table_of_a_search_has_a_line_for_each_trial(
    space, oracle, tmp_path
):
    file = tmp_path / "table.csv"
    board.write_table(board.rows(space, oracle), space, file)
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["state"] for row in rows] == [
        "done",
        "done",
        "failed",
        "running",
    ]
    assert rows[0][space.objective] == "30.0"
    assert rows[2]["reason"] == "[nan]"
