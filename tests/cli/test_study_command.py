"""The command `kcolor-study`, as it is called."""

import subprocess
import sys

import pytest

COMMAND = "from kcolor.cli.study import main; main()"


def command(*words, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_a_study_is_made_played_and_waits_for_people(data, tmp_path):
    out = tmp_path / "my study"
    done = command(
        *("make", "grey", "mean", "--data", data, "--all-photos"),
        *("--image-size", 16, "--practice", 2, "--trials", 5),
        *("--vigilance", 0.2, "--out", out),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("grey, mean: ")
    assert last == f"let people take it: kcolor-study serve '{out}'"

    played = command("play", out, "--rounds", 2, input="l\nr\n")
    assert played.returncode == 0, played.stderr
    assert "of 2 found" in played.stdout

    early = command("analyse", out)
    assert early.returncode == 2
    assert "nobody has taken part" in early.stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["mak"],
        ["make"],
        ["make", "grey"],
        ["make", "grey", "--out", "x", "--trials", "many"],
        ["serve"],
        ["serve", "nowhere"],
        ["serve", "nowhere", "--port", "x"],
        ["analyse", "nowhere"],
        ["play", "nowhere", "--rounds", "0"],
        ["play", "nowhere"],
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(words, tmp_path):
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["serve", "analyse", "play"])
def test_what_only_reads_a_study_does_not_load_tensorflow(name):
    code = (
        "import sys, kcolor.study.server, kcolor.study.analyse, "
        "kcolor.study.play; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    done = command(name, "--help")
    assert done.returncode == 0
    assert "DIR" in done.stdout
