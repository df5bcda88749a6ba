"""The command `kcolor-evaluate`, as it is called."""

import json
import subprocess
import sys

COMMAND = "from kcolor.cli.evaluate import main; main()"


def command(*words) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
    )


def test_figures_are_printed_and_written(data, tmp_path):
    file = tmp_path / "figures.json"
    flags = ["--data", data, "--image-size", 16, "--metrics", "auc", "rmse_ab"]
    done = command("grey", "mean", *flags, "--json", file)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    figures = json.loads(file.read_text())
    assert list(figures) == ["grey", "mean"]
    assert list(figures["grey"]) == ["auc", "rmse_ab"]
    assert set(figures["grey"]["auc"]) == {"value", "low", "high", "n"}
    assert f"{figures['grey']['auc']['value']:.2f}" in done.stdout
    assert "difference from grey" in done.stdout

    again = command("grey", *flags, "--json", file)
    assert again.returncode == 2
    assert f"'{file}' exists" in again.stderr
    assert json.loads(file.read_text()) == figures


def test_a_file_that_cannot_be_written_is_refused_before_measuring(tmp_path):
    (tmp_path / "file").touch()
    done = command("grey", "--json", tmp_path / "file" / "figures.json")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "file") in line
