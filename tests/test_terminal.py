"""Words for a terminal, and for a log."""

import pytest

from kcolor import terminal


def test_progress_over_items_yields_them_all_and_is_silent_without_a_terminal(
    capsys,
):
    items = terminal.progress(iter("abc"), total=3, what="photos")
    assert list(items) == ["a", "b", "c"]
    told = capsys.readouterr()
    assert told.out == told.err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3595, "1 h 00 min"),
        (7260, "2 h 01 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_a_span_of_time_is_told_as_people_say_it(seconds, text):
    assert terminal.duration(seconds) == text


def test_what_takes_long_tells_now_and_then_how_far_it_is(capsys, monkeypatch):
    now = iter(range(0, 10**6, 50))  # each look at the clock 50 s later
    monkeypatch.setattr(terminal.time, "monotonic", lambda: float(next(now)))
    assert list(terminal.progress("abcd", 4, "decoding")) == list("abcd")
    told = capsys.readouterr()
    assert told.out == ""
    first, *_ = told.err.splitlines()
    assert first == "decoding: 2 of 4 files, 2 min left"


def test_what_is_soon_done_tells_nothing(capsys):
    assert list(terminal.progress("abcd", 4, "decoding")) == list("abcd")
    assert capsys.readouterr() == ("", "")
