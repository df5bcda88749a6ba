"""What a participant is asked."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcolor.errors import UserError
from kcolor.study.design import (
    PRACTICE,
    SHUFFLED,
    TEST,
    VIGILANCE,
    Design,
    plan,
)

designs = st.builds(
    Design,
    seed=st.integers(0, 2**63 - 1),
    practice=st.integers(0, 12),
    trials=st.integers(10, 50),
    vigilance=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
)
methods = st.lists(
    st.sampled_from("abcdefg"), min_size=1, max_size=7, unique=True
)


@settings(deadline=None)
@given(designs, methods, st.integers(0, 30), st.integers(1, 10**6))
def test_nobody_sees_a_photo_twice(design, methods, more, participant):
    photos = design.trials + more
    trials = plan(design, methods, photos, participant)
    practice = [trial for trial in trials if trial.kind == PRACTICE]
    counted = trials[len(practice) :]
    assert {trial.photo for trial in practice} == set(range(design.practice))
    assert len({trial.photo for trial in counted}) == design.trials
    assert all(0 <= trial.photo < photos for trial in counted)
    assert [trial.number for trial in trials] == [*range(1, design.photos + 1)]


@settings(deadline=None)
@given(designs, methods, st.integers(1, 10**6))
def test_methods_are_seen_equally_often_beside_vigilance(
    design, methods, participant
):
    trials = plan(design, methods, design.trials, participant)
    kinds = Counter(trial.kind for trial in trials)
    assert kinds[VIGILANCE] == design.vigilance_trials
    assert kinds[PRACTICE] == design.practice
    for kind in (PRACTICE, TEST):
        seen = Counter(t.method for t in trials if t.kind == kind)
        counts = [seen[method] for method in methods]
        assert max(counts) - min(counts) <= 1
    for trial in trials:
        assert (trial.method == SHUFFLED) == (trial.kind == VIGILANCE)


def test_over_participants_methods_are_seen_equally_often():
    design = Design(seed=1, practice=0, trials=10, vigilance=0.0)
    methods = ["a", "b", "c"]
    seen = Counter(
        trial.method
        for participant in range(1, 4)
        for trial in plan(design, methods, 10, participant)
    )
    assert set(seen.values()) == {10}


def test_a_plan_is_the_same_each_time_and_another_for_each_participant():
    design = Design(seed=5)
    first, again, second = (
        plan(design, ["a", "b"], 60, participant) for participant in (1, 1, 2)
    )
    assert first == again
    assert first != second
    other_seed = plan(Design(seed=6), ["a", "b"], 60, 1)
    assert first != other_seed


def test_sides_places_and_methods_know_nothing_of_each_other():
    design = Design(seed=2, practice=0, vigilance=0.1)
    trials = [
        trial
        for participant in range(1, 301)
        for trial in plan(design, ["a", "b"], 60, participant)
    ]
    for method in ("a", "b", SHUFFLED):
        own = [t for t in trials if t.method == method]
        mirrored = sum(t.mirrored for t in own) / len(own)
        early = sum(t.number <= 20 for t in own) / len(own)
        assert mirrored == pytest.approx(0.5, abs=0.05)
        assert early == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("practice", -1),
        ("trials", 0),
        ("vigilance", 1.0),
        ("vigilance", 0.001),
        ("vigilance", float("nan")),
        ("seconds", 0.0),
        ("least_vigilance", 1.1),
        ("fastest", -1.0),
    ],
)
def test_what_makes_no_study_is_refused_by_its_flag(field, value):
    flag = f"--{field.replace('_', '-')} {value}"
    with pytest.raises(UserError, match=flag):
        Design(**{"seed": 0, field: value})
