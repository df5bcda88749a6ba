"""Name that fake, in a terminal."""

import io

import pytest
from rich.console import Console

from kcolor.study.play import play


@pytest.fixture
def console():
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        width=80,
        height=24,
    )


def answering(*words):
    """Returns what asks nobody, and says these words."""
    left = iter(words)

    def ask(question):
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return ask


def test_who_says_left_is_right_as_often_as_the_fake_is_there(build, console):
    study = build()
    found, of = play(study.path, 9, console, lambda question: "l", seed=0)
    told = console.file.getvalue()
    assert of == 9
    assert told.count("right: ") == found
    assert told.count("no, the right one: ") == 9 - found
    assert 0 < found < 9
    assert f"{found} of 9 found" in told
    assert "shuffled" not in told
    assert not study.answers.exists()


def test_there_are_no_more_rounds_than_photos(build, console):
    _, of = play(build().path, 100, console, lambda question: "r", seed=0)
    assert of == 9


def test_what_is_no_answer_is_asked_again(build, console):
    ask = answering("", "x", " LEFT ", "quit")
    _, of = play(build().path, 9, console, ask, seed=0)
    assert of == 1


def test_the_end_of_the_input_ends_the_game(build, console):
    assert play(build().path, 9, console, answering(), seed=0) == (0, 0)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 50), (10, 5)])
def test_pairs_fit_in_the_terminal(build, width, height):
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        width=width,
        height=height,
    )
    play(build(size=64).path, 1, console, answering("q"), seed=0)
    lines = console.file.getvalue().split("\n")
    shown = [line.count("▀") for line in lines]
    assert 0 < max(shown) <= width
    assert sum(n > 0 for n in shown) <= height
