"""Tests for searches with real processes."""

import csv
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

import kcolor
from kcolor.errors import UserError
from kcolor.evaluation.targets import with_runs
from kcolor.searching.search import search
from kcolor.training.run import Run

COMMAND = "from kcolor.cli.search import main; main()"
START = """
experiment:
  data: {data}
  image_size: 16
  batch_size: 8
  arch: unet
  filters: 4
  depth: 1
  optimizer: adamw
  precision: float32
"""
# At a rate of 1e30 the loss is no number.
WITH_FAILURES = """
tuner: grid
budget: {{steps: {steps}}}
space:
  learning_rate: [0.01, 1.0e+30]
  loss: [l2, smooth_l1]
"""
MANY = """
tuner: random
trials: 5
budget: {{steps: {steps}}}
space:
  learning_rate: {{float: [1e-4, 1e-2], log: true}}
  loss: [l2, smooth_l1]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for number in range(40):
        blobs = np.random.default_rng(number).integers(0, 256, (3, 3, 3))
        picture = Image.fromarray(blobs.astype(np.uint8)).resize((16, 16))
        picture.save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def space(data, tmp_path_factory):
    """Writes a space file."""
    folder = tmp_path_factory.mktemp("spaces")

    def write(text: str, steps: int = 6) -> Path:
        file = folder / f"{len(list(folder.iterdir()))}.yaml"
        file.write_text((START + text).format(data=data, steps=steps))
        return file

    return write


@pytest.fixture(scope="module")
def found(space, tmp_path_factory):
    """The folder of a search that has ended."""
    out = tmp_path_factory.mktemp("search") / "found"
    done = command(space(WITH_FAILURES), out).communicate()
    assert (out / "best.yaml").exists(), done
    return out


def command(file: Path, out: Path, *flags, **environment) -> subprocess.Popen:
    """Starts `kcolor-search`."""
    words = ["--space", file, "--out", out, *flags]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def table(out: Path) -> list[dict]:
    with (out / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def settings(out: Path) -> list[tuple]:
    rows = [(row["learning_rate"], row["loss"]) for row in table(out)]
    assert {row["state"] for row in table(out)} == {"done"}
    return sorted(rows)


def processes(out: Path) -> list[int]:
    """Returns the workers of a search."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "kcolor.searching.worker" in words and str(out) in words:
            found.append(process.pid)
    return found


def wait_for(what, seconds: float = 120):
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def is_training(out: Path):
    """Whether a trial is past its first checkpoint."""
    return list(out.glob("trial_*/checkpoints/step-*.index"))


def test_failing_trials_are_recorded_and_the_search_goes_on(found):
    rows = table(found)
    assert len(rows) == 4
    for row in rows:
        fails = float(row["learning_rate"]) > 1
        assert row["state"] == ("failed" if fails else "done")
        assert bool(row["rmse_ab"]) != fails
        assert ("the loss is" in row["reason"]) == fails
        reason = found / row["trial"] / "failure.txt"
        assert reason.exists() == fails
        assert Run(found / row["trial"]).config.exists()


@pytest.mark.slow
def test_the_best_experiment_repeats_the_best_trial(found, tmp_path):
    best = min(float(row["rmse_ab"] or "inf") for row in table(found))
    text = (found / "best.yaml").read_text()
    name = re.search(r"trial_\d+", text)[0]
    run = kcolor.train(
        kcolor.Experiment.of(**yaml.safe_load(text)), tmp_path / "again"
    )
    columns = ["loss", "val_loss", "val_rmse_ab", "val_auc"]
    again, first = (
        [[row[column] for column in columns] for row in r.read_history(99)]
        for r in (run, Run(found / name))
    )
    assert again == first
    scores = [float(row[2]) for row in again]
    assert min(scores) == pytest.approx(best, rel=1e-6)


@pytest.mark.slow
def test_a_search_can_be_measured_as_the_runs_in_it(found, tmp_path):
    done = [r["trial"] for r in table(found) if r["state"] == "done"]
    assert with_runs(["grey", str(found)]) == [
        "grey",
        *(str(found / name) for name in done),
    ]
    page = kcolor.report([str(found)], tmp_path, metrics=["rmse_ab"])
    assert all(name in page.read_text() for name in done)
    unfinished = tmp_path / "none" / "run"
    unfinished.mkdir(parents=True)
    (unfinished / "config.yaml").touch()
    with pytest.raises(UserError, match="none of the 1 runs"):
        with_runs([str(unfinished.parent)])


@pytest.mark.slow
def test_a_finished_search_is_not_done_again(found, space):
    before = (found / "table.csv").read_text()
    began = time.monotonic()
    assert search(space(WITH_FAILURES), found) == found / "best.yaml"
    assert (found / "table.csv").read_text() == before
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_folder_is_one_space_s(found, space):
    with pytest.raises(UserError, match="of another space.* in budget:"):
        search(space(WITH_FAILURES, steps=7), found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("space: {{depth: [6, 7]}}", "no trial of this space.* depth"),
        ("space: {{loss: [l2]}}", "unknown data 'nowhere'"),
    ],
)
def test_what_no_trial_could_do_is_refused_and_leaves_nothing(
    space, tmp_path, text, words
):
    file = space(text)
    if "data" in words:
        lines = file.read_text().splitlines()
        lines = [line for line in lines if "data:" not in line]
        lines.insert(2, "  data: nowhere")
        file.write_text("\n".join(lines))
    with pytest.raises(UserError, match=words):
        search(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_left_alone(space, tmp_path):
    (tmp_path / "best.yaml").write_text("mine")
    with pytest.raises(UserError, match="something else than a search"):
        search(space(WITH_FAILURES), tmp_path)
    assert (tmp_path / "best.yaml").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_tensorboard_knows_the_settings_and_the_scores(found):
    def session(folder: Path) -> EventAccumulator:
        return EventAccumulator(str(folder)).Reload()

    tags = session(found / "tensorboard").summary_metadata
    assert metadata.EXPERIMENT_TAG in tags
    for row in table(found):
        if row["state"] == "failed":
            continue
        events = session(found / row["trial"] / "tensorboard")
        content = events.PluginTagToContent(metadata.PLUGIN_NAME)
        start = plugin_data_pb2.HParamsPluginData.FromString(
            content[metadata.SESSION_START_INFO_TAG]
        ).session_start_info
        assert start.hparams["loss"].string_value == row["loss"]
        scores = [
            float(make_ndarray(event.tensor_proto))
            for event in events.Tensors("rmse_ab")
        ]
        assert scores == pytest.approx([float(row["rmse_ab"])])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_does_not_lose_the_search(space, tmp_path, number):
    file, whole = space(MANY, steps=24), tmp_path / "whole"
    command(file, whole).communicate()
    out = tmp_path / "killed"
    started = command(file, out, "--workers", 2)
    wait_for(lambda: len(processes(out)) == 2 and is_training(out))
    os.kill(processes(out)[0], number)
    shown, errors = started.communicate()
    assert started.returncode == 0, errors
    assert "died" in shown
    assert settings(out) == settings(whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_search_goes_on_and_counts_no_trial_twice(
    space, tmp_path, number
):
    file, whole = space(MANY, steps=24), tmp_path / "whole"
    command(file, whole).communicate()
    out = tmp_path / "killed"
    for _ in range(2):
        before = len(is_training(out))
        started = command(file, out)
        wait_for(lambda seen=before: len(is_training(out)) > seen)
        started.send_signal(number)
        _, errors = started.communicate()
        if number == signal.SIGTERM:
            assert started.returncode == 143
            assert "to go on" in errors
        wait_for(lambda: not processes(out))
    done = command(file, out)
    _, errors = done.communicate()
    assert done.returncode == 0, errors
    assert settings(out) == settings(whole)
    scores = [
        sorted(float(row["rmse_ab"]) for row in table(folder))
        for folder in (out, whole)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)


@pytest.mark.slow
def test_a_trial_at_which_processes_die_twice_has_failed(space, tmp_path):
    # As the system does it where memory ends.
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
        import os, signal
        import wrapt

        @wrapt.when_imported("kcolor.searching.trials")
        def deadly(trials):
            train = trials.train

            def dying(experiment, *args, **options):
                if experiment.loss == "smooth_l1":
                    os.kill(os.getpid(), signal.SIGKILL)
                return train(experiment, *args, **options)

            trials.train = dying
        """)
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    out = tmp_path / "out"
    started = command(space(WITH_FAILURES), out, PYTHONPATH=path)
    _, errors = started.communicate()
    assert started.returncode == 0, errors
    for row in table(out):
        if row["loss"] == "smooth_l1":
            assert "died 2 times (SIGKILL)" in row["reason"]
        elif float(row["learning_rate"]) < 1:
            assert row["state"] == "done"


@pytest.mark.slow
def test_a_worker_from_elsewhere_joins_by_the_environment(space, tmp_path):
    out, file = tmp_path / "out", space(MANY, steps=24)
    port = {
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": "18765",
    }
    chief = command(file, out, **port, KERASTUNER_TUNER_ID="chief")
    wait_for(lambda: (out / "space.yaml").exists())
    other = command(file, out, **port, KERASTUNER_TUNER_ID="other")
    shown, errors = other.communicate()
    assert other.returncode == 0, errors
    assert "trial" in shown
    chief.communicate()
    assert chief.returncode == 0
    assert len(settings(out)) == 5


@pytest.mark.slow
def test_seconds_become_steps_that_can_be_repeated(space, tmp_path):
    text = MANY.replace("steps: {steps}", "seconds: 2").replace("5", "1")
    best = search(space(text), tmp_path / "out")
    steps = yaml.safe_load(best.read_text())["steps"]
    history = Run(tmp_path / "out" / "trial_0").read_history(10**6)
    assert int(history[-1]["step"]) == steps
    assert steps > 2


def test_only_half_of_an_environment_is_refused(space, tmp_path):
    started = command(
        space(MANY), tmp_path / "out", KERASTUNER_ORACLE_IP="127.0.0.1"
    )
    _, errors = started.communicate()
    assert started.returncode == 2
    assert "KERASTUNER_ORACLE_PORT is not" in errors
