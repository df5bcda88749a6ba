"""The command `kcolor-report`, as it is called."""

import subprocess
import sys

COMMAND = "from kcolor.cli.report import main; main()"


def command(*words) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
    )


def test_a_page_and_a_table_are_written_and_never_over_others(data, tmp_path):
    out = tmp_path / "reports" / "first"
    flags = ["--data", data, "--image-size", 16, "--metrics", "auc", "rmse_ab"]
    done = command("grey", "mean", *flags, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == f"look at '{out / 'index.html'}'\n"
    assert sorted(p.name for p in out.iterdir()) == ["index.html", "table.csv"]
    table = (out / "table.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in table[1:]] == [
        ["grey", "auc"],
        ["grey", "rmse_ab"],
        ["mean", "auc"],
        ["mean", "rmse_ab"],
    ]

    again = command("grey", "--out", out)
    assert again.returncode == 2
    (line,) = again.stderr.splitlines()
    assert f"'{out / 'index.html'}' exists" in line


def test_a_run_that_never_finished_is_named(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("arch: cnn\n")
    (run / "environment.json").write_text("{}")
    done = command(run, "--out", tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"run '{run}' never finished" in line
    assert not (tmp_path / "out").exists()
