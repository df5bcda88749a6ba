"""Answers as they come."""

import contextlib
import sqlite3
import threading

import pytest

from kcolor.errors import UserError
from kcolor.study.answers import VISIONS, Answer, Answers, Refused, read
from kcolor.study.design import PRACTICE, TEST


def refusal(status: int, told: str):
    return pytest.raises(
        Refused, match=told, check=lambda e: e.status == status
    )


def test_an_answer_is_right_where_the_fake_was_chosen(opened, people, clock):
    study, answers = opened
    token = answers.join("normal")
    for trial in answers.session(token).left:
        answers.show(token, trial["number"])
        clock.seconds += 5
        fake = study.fake_side(trial["pair"], bool(trial["mirrored"]))
        is_found = answers.answer(token, people.said(trial["number"], "left"))
        assert is_found == (fake == "left")
    assert answers.session(token).left == []


@pytest.mark.parametrize("vision", ["", None, "blue", 3, ["normal"]])
def test_a_vision_that_was_not_asked_is_refused(opened, vision):
    _, answers = opened
    with refusal(400, "vision is one of"):
        answers.join(vision)


def test_each_participant_has_a_token_of_their_own(opened):
    _, answers = opened
    tokens = {answers.join(vision) for vision in VISIONS for _ in range(9)}
    assert len(tokens) == 27
    assert all(len(token) >= 20 for token in tokens)


@pytest.mark.parametrize("token", ["", "x", "' OR 1=1 --", "\0"])
def test_who_did_not_join_is_refused(opened, people, token):
    _, answers = opened
    answers.join("normal")
    for ask in (
        lambda: answers.session(token),
        lambda: answers.show(token, 1),
        lambda: answers.answer(token, people.said(1, "left")),
    ):
        with refusal(403, "no such participant"):
            ask()


def test_pairs_are_shown_in_order_and_once(opened):
    _, answers = opened
    token = answers.join("normal")
    for number in (2, 7, 8, 99):
        with refusal(409, f"pair {number} is not the next one"):
            answers.show(token, number)
    answers.show(token, 1)
    with refusal(409, "pair 1 is not the next one"):
        answers.show(token, 1)
    answers.show(token, 2)


def test_answers_to_what_was_never_shown_or_is_answered_are_refused(
    opened, people, clock
):
    _, answers = opened
    token = answers.join("normal")
    for number in (1, 7, 8, 10**6):
        with refusal(409, "was never shown"):
            answers.answer(token, people.said(number, "left"))
    answers.show(token, 1)
    clock.seconds += 5
    answers.answer(token, people.said(1, "left"))
    for chosen in ("left", "right"):
        with refusal(409, "is answered already"):
            answers.answer(token, people.said(1, chosen))


def test_an_answer_to_anothers_pair_changes_nothing(opened, people, clock):
    _, answers = opened
    one, other = (answers.join("normal") for _ in range(2))
    answers.show(one, 1)
    clock.seconds += 5
    with refusal(409, "was never shown"):
        answers.answer(other, people.said(1, "left"))
    answers.answer(one, people.said(1, "left"))


def test_a_pair_that_was_shown_is_not_shown_again(opened):
    _, answers = opened
    token = answers.join("normal")
    answers.show(token, 1)
    left = answers.session(token).left
    assert [trial["number"] for trial in left] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("shown_ms", "reaction_ms", "passed"),
    [
        (1000.0, 4000.0, 2.0),  # there was no time for it
        (1000.0, 0.0, 0.5),
        (400.0, 700.0, 5.0),  # not shown for its time
        (1600.0, 700.0, 5.0),
        (0.0, 0.0, 0.0),
    ],
)
def test_times_that_cannot_be_are_refused(
    opened, people, clock, shown_ms, reaction_ms, passed
):
    _, answers = opened
    token = answers.join("normal")
    answers.show(token, 1)
    clock.seconds += passed
    with refusal(422, "shown for|have passed"):
        answers.answer(
            token,
            people.said(1, "left", shown_ms=shown_ms, reaction_ms=reaction_ms),
        )


def test_a_frame_off_is_no_fault_however_short_the_time(build, people, clock):
    study = build(seconds=0.05)
    answers = Answers(study, clock=clock)
    token = answers.join("normal")
    for number, shown_ms in ((1, 66.7), (2, 33.3)):
        answers.show(token, number)
        clock.seconds += 5
        said = people.said(number, "left", shown_ms=shown_ms, frame_ms=33.3)
        answers.answer(token, said)
    answers.show(token, 3)
    clock.seconds += 5
    said = people.said(3, "left", shown_ms=500.0, frame_ms=1000.0)
    with refusal(422, "shown for 500 ms instead of 50"):
        answers.answer(token, said)
    answers.close()


def test_a_slow_network_is_no_fault(opened, people, clock):
    _, answers = opened
    token = answers.join("normal")
    answers.show(token, 1)
    clock.seconds += 3600
    answers.answer(token, people.said(1, "left"))


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"number": -1},
        {"number": 1.0},
        {"number": True},
        {"number": "1"},
        {"number": 10**30},
        {"chosen": "middle"},
        {"chosen": None},
        {"chosen": ["left"]},
        {"chosen": {}},
        {"shown_ms": "1000"},
        {"shown_ms": -1},
        {"frame_ms": None},
        {"frame_ms": True},
        {"reaction_ms": float("nan")},
        {"reaction_ms": float("inf")},
        {"reaction_ms": 10**400},
        {"more": 1},
    ],
)
def test_what_is_no_answer_is_refused(change):
    good = {
        "number": 1,
        "chosen": "left",
        "shown_ms": 1000,
        "frame_ms": 16.7,
        "reaction_ms": 700,
    }
    assert Answer.of(good).chosen == "left"
    with refusal(400, "number|chosen|_ms|an answer has"):
        Answer.of(good | change)
    for missing in good:
        with refusal(400, "an answer has"):
            Answer.of({k: v for k, v in good.items() if k != missing})


def test_what_was_answered_is_there_when_it_is_opened_again(
    opened, people, clock
):
    study, answers = opened
    token = people.take(study, answers, clock, lambda m: m == "shy", stop=4)
    answers.show(token, 5)
    again = Answers(study, clock=clock)
    assert [trial["number"] for trial in again.session(token).left] == [6, 7]
    # It did not see the pair begin, so it believes the browser.
    again.answer(token, people.said(5, "left"))
    again.close()
    participants, trials = read(study)
    assert len(participants) == 1
    assert trials["number"].tolist() == [1, 2, 3, 4, 5]
    first = trials[trials["number"] < 5]
    assert (first["fooled"] == (first["method"] == "shy")).all()


def test_the_score_is_of_test_trials_alone(opened, people, clock):
    study, answers = opened
    token = people.take(study, answers, clock, lambda m: m == "bold")
    found = answers.session(token)
    _, trials = read(study)
    tests = trials[trials["kind"] == TEST]
    assert found.answered == len(tests) == 4
    assert found.found == (tests["method"] == "shy").sum()
    assert (trials["kind"] == PRACTICE).sum() == 2


def test_many_at_once_lose_nothing(opened, people, clock):
    study, answers = opened
    clock.seconds = 0
    faults = []

    def participate():
        try:
            people.take(study, answers, clock, lambda m: False)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=participate) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    participants, trials = read(study)
    assert sorted(participants["number"]) == list(range(1, 21))
    assert len(trials) == 20 * 7
    assert trials["answered"].notna().all()


def test_answers_to_another_study_are_refused(build, clock):
    one, other = build("one"), build("other", seed=4)
    Answers(one, clock=clock).close()
    for open_answers in (Answers, read):
        other.answers.write_bytes(one.answers.read_bytes())
        with pytest.raises(UserError, match="answers to another study"):
            open_answers(other)


@pytest.mark.parametrize(
    "content", [b"no base at all" * 99, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_base_is_told(build, content):
    study = build()
    study.answers.write_bytes(content)
    for open_answers in (Answers, read):
        with pytest.raises(UserError, match="holds no answers") as caught:
            open_answers(study)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trials SET chosen = 'up' WHERE number = 1",
        "UPDATE trials SET chosen = NULL WHERE number = 1",
        "UPDATE trials SET shown_ms = 'x' WHERE number = 1",
        "UPDATE trials SET reaction_ms = 'abc' WHERE number = 1",
        "UPDATE trials SET reaction_ms = 1e999 WHERE number = 1",
        "UPDATE trials SET frame_ms = NULL WHERE number = 1",
        "UPDATE trials SET kind = 'other' WHERE number = 1",
        "UPDATE trials SET pair = 'other.png' WHERE number = 1",
        "UPDATE trials SET mirrored = 2 WHERE number = 1",
        "UPDATE participants SET vision = 'purple'",
        "DELETE FROM participants",
        "ALTER TABLE trials DROP COLUMN frame_ms",
        "DROP TABLE trials",
        "DELETE FROM study",
    ],
)
def test_a_base_that_was_changed_is_told(opened, people, clock, change):
    study, answers = opened
    people.take(study, answers, clock, lambda method: False)
    answers.close()
    with contextlib.closing(sqlite3.connect(study.answers)) as base, base:
        base.execute(change)
    with pytest.raises(UserError) as caught:
        read(study)
    assert "\n" not in str(caught.value)


def test_another_programs_base_is_left_alone(build):
    study = build()
    with contextlib.closing(sqlite3.connect(study.answers)) as base, base:
        base.execute("CREATE TABLE participants (name TEXT)")
    before = study.answers.read_bytes()
    for open_answers in (Answers, read):
        with pytest.raises(UserError, match="holds no answers"):
            open_answers(study)
    assert study.answers.read_bytes() == before


def test_a_copy_where_nothing_can_be_written_is_read(
    opened, people, clock, monkeypatch
):
    study, answers = opened
    people.take(study, answers, clock, lambda method: False)
    answers.close()
    connect = sqlite3.connect

    def unable(address, *words, **options):
        # As where the folder is read-only, which root would not notice.
        if "mode=ro" in str(address):
            return Closed(connect(":memory:"))
        return connect(address, *words, **options)

    class Closed:
        def __init__(self, base):
            self.close = base.close

        def execute(self, *_):
            raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", unable)
    participants, trials = read(study)
    assert (len(participants), len(trials)) == (1, 7)
    # Where a log lies beside it, that would be only some of the answers.
    log = study.answers.with_name(f"{study.answers.name}-wal")
    log.write_bytes(b"more")
    with pytest.raises(UserError, match="copy it with 'answers.sqlite-wal'"):
        read(study)


def test_nobody_has_taken_part_before_the_first_did(build):
    with pytest.raises(UserError, match="nobody has taken part.*serve"):
        read(build())
