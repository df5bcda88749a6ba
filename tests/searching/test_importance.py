"""Tests for `kcolor.searching.importance`."""

import random

import pytest

from kcolor.searching.board import DONE, FAILED, Row
from kcolor.searching.importance import importance, importances
from kcolor.searching.space import read_space

SPACE = """
tuner: hyperband
space:
  loss: [l2, smooth_l1, ce]
  ce.temperature: {float: [0.2, 1.0]}
  learning_rate: {float: [1e-4, 1e-2], log: true}
  batch_size: [16, 32, 64]
"""


@pytest.fixture
def space(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(SPACE)
    return read_space(file)


def rows(space, score, count=60):
    """Returns trials whose scores are a function of settings and budget."""
    draw = random.Random(0)
    found = []
    for number in range(count):
        loss = draw.choice(["l2", "smooth_l1", "ce"])
        settings = {
            "loss": loss,
            "learning_rate": 10 ** draw.uniform(-4, -2),
            "batch_size": draw.choice([16, 32, 64]),
        }
        if loss == "ce":
            settings["ce.temperature"] = draw.uniform(0.2, 1.0)
        units = draw.choice([1, 3, 9])
        value = score(settings, units, draw)
        found.append(
            Row(f"trial_{number}", settings, units, DONE, value, 1.0, "")
        )
    return found


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("loss", lambda s, *_: len(s["loss"])),
        ("learning_rate", lambda s, *_: s["learning_rate"]),
        ("ce.temperature", lambda s, *_: s.get("ce.temperature", 0.6)),
        ("budget", lambda _, units, __: units),
    ],
    ids=["loss", "learning_rate", "ce.temperature", "budget"],
)
def test_what_decides_the_score_is_the_most_important(space, name, score):
    told, fit = importances(rows(space, score), space)
    assert next(iter(told)) == name
    assert told[name][0] > 1.0
    assert all(told[o][0] < 0.3 * told[name][0] for o in told if o != name)
    assert fit > 0.7


def test_where_scores_are_chance_the_fit_says_so(space):
    _, fit = importances(rows(space, lambda *a: a[-1].random()), space)
    assert fit < 0.2


def test_few_or_failed_trials_tell_nothing(space):
    found = rows(space, lambda *_: 1.0, count=9)
    found += [Row("trial_9", {}, 1, FAILED, None, 1.0, "nan")]
    assert "needs 10 trials" in importance(found, space)
