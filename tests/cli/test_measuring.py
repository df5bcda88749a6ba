"""What `kcolor-evaluate` and `kcolor-report` do alike."""

import subprocess
import sys

import pytest

FLAGS = {
    "evaluate": ("--data", "--split", "--metrics", "--json", "--domains"),
    "report": ("--data", "--split", "--metrics", "--out", "--photos"),
}


def python(code: str, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("command", "words", "named"),
    [
        ("evaluate", [], "TARGET"),
        ("evaluate", ["grey", "--image-size", "0"], "--image-size"),
        ("evaluate", ["grey", "--image-size", "big"], "--image-size"),
        ("evaluate", ["grey", "--colour"], "--colour"),
        ("evaluate", ["gray"], "grey"),
        ("evaluate", ["grey", "--metrics", "fid"], "fid"),
        ("report", [], "TARGET"),
        ("report", ["grey"], "--out"),
        ("report", ["grey", "--out", "x", "--photos", "0"], "--photos"),
        ("report", ["grey", "--out", "x", "--image-size", "b"], "--image-size"),
        ("report", ["gray", "--out", "x"], "grey"),
        ("report", ["grey", "--out", "x", "--metrics", "fid"], "fid"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(command, words, named):
    done = python(f"from kcolor.cli.{command} import main; main()", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert named in line


@pytest.mark.parametrize("command", FLAGS)
def test_help_tells_every_flag_and_does_not_wait_for_tensorflow(command):
    done = python(
        "import sys, atexit; atexit.register(lambda: print("
        "'tensorflow' in sys.modules, file=sys.stderr)); "
        f"sys.argv = ['kcolor-{command}', '--help']; "
        f"from kcolor.cli.{command} import main; main()"
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "False"
    for flag in FLAGS[command]:
        assert flag in done.stdout
