"""The command `kcolor-train`: what it prints, and how it ends."""

import errno
import os
import signal
import subprocess
import sys
import time

import keras
import pytest
import tensorflow as tf
import yaml
from patterns import save_blobs

import kcolor
from kcolor import trainer
from kcolor.cli import shell
from kcolor.cli.train import main
from kcolor.training.run import Run

COMMAND = "import sys; sys.argv[0] = 'kcolor-train'; "
COMMAND += "from kcolor.cli.train import main; main()"


@pytest.fixture(autouse=True)
def restored_precision():
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of coloured blobs: 10 to train, 3 to validate, 1 to test."""
    folder = tmp_path_factory.mktemp("photos")
    save_blobs(folder, 14)
    return folder


@pytest.fixture
def small(photos):
    """The flags of a small experiment."""
    return [
        "--data", photos, "--loss", "l2", "--head", "conv",
        "--image-size", "10", "--batch-size", "3", "--epochs", "2",
        "--precision", "float32",
    ]  # fmt: skip


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Calls the command in this process, in a folder of its own.

    Returns its exit code, what it printed and the lines on stderr.
    """
    monkeypatch.chdir(tmp_path)

    def call(*words):
        keras.utils.clear_session()
        argv = ["/usr/bin/kcolor-train", *map(str, words)]
        monkeypatch.setattr(sys, "argv", argv)
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        told = capsys.readouterr()
        return code, told.out, told.err.splitlines()

    return call


@pytest.fixture
def refused(command):
    """Calls the command and returns the one line it is refused with."""

    def call(*words) -> str:
        code, _, errors = command(*words)
        assert code == 2
        (line,) = errors
        assert line.startswith("kcolor-train: ")
        return line.removeprefix("kcolor-train: ")

    return call


@pytest.fixture
def quick(monkeypatch):
    """Leaves out what is written to be looked at, and the test photos."""
    monkeypatch.setattr(
        trainer.pictures, "save_curves", lambda path, _: path.touch()
    )
    monkeypatch.setattr(trainer, "_log_pictures", lambda *_: None)
    monkeypatch.setattr(trainer, "_report", lambda *_: None)


@pytest.fixture
def stop_after(monkeypatch):
    """Sends this process a signal after a step."""

    def stop(step: int, number: int):
        def on_train_batch_end(self, batch, logs=None):
            if batch + 1 == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(
            trainer.calls.StopOnNaN, "on_train_batch_end", on_train_batch_end
        )

    return stop


@pytest.fixture
def no_training(monkeypatch):
    """Notes what would be trained instead of training it."""
    calls = []
    monkeypatch.setattr(
        trainer,
        "train",
        lambda experiment, **options: calls.append((experiment, options)),
    )
    return calls


# === Processes of their own ===


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--help", "usage: kcolor-train"),
        ("--version", f"kcolor {kcolor.__version__}\n"),
    ],
)
def test_help_and_version_do_not_wait_for_tensorflow(flag, told):
    code = (
        "import atexit, sys; "
        "atexit.register(lambda: print("
        "{'tensorflow', 'keras'} & set(sys.modules))); " + COMMAND
    )
    began = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", code, flag], capture_output=True, text=True
    )
    assert time.monotonic() - began < 15
    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout.startswith(told)
    assert result.stdout.splitlines()[-1] == "set()"


def test_xla_is_used_where_it_is_asked_for(tmp_path, small):
    # In a process of its own: determinism, once on, stays on.
    flags = [*small, "--jit", "true", "--deterministic", "false"]
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, flags)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
    )
    assert result.returncode == 0
    assert "Compiled cluster using XLA" in result.stderr
    assert "Proceeding with `jit_compile=False`" not in result.stderr


def test_no_note_of_tensorflow_stands_beside_the_one_line_of_an_error(tmp_path):
    missing = str(tmp_path / "missing")
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, "--data", missing],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("kcolor-train: ")
    assert missing in line


# === What it calls ===


def test_flags_reach_the_training(command, no_training):
    code, _, errors = command(
        "--loss", "l2", "--epochs", 3, "--run", "here",
        "--checkpoint-minutes", 2, "--devices", 4,
    )  # fmt: skip
    assert (code, errors) == (0, [])
    ((experiment, options),) = no_training
    assert experiment == kcolor.Experiment.of(loss="l2", epochs=3)
    assert options == {
        "run": "here",
        "resume": False,
        "checkpoint_minutes": 2.0,
        "devices": 4,
    }


@pytest.mark.parametrize("flag", [["--run", "here"], ["--run=here"]])
def test_resume_takes_every_setting_from_the_run(
    command, no_training, tmp_path, flag
):
    experiment = kcolor.Experiment.of(loss="smooth_l1", delta=3, epochs=5)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.yaml").write_text(experiment.to_yaml())
    command(*flag, "--resume")
    ((resumed, options),) = no_training
    assert resumed == experiment
    assert options["resume"]


def test_another_loss_than_that_of_the_run_is_refused_on_resume(
    refused, tmp_path
):
    # Settings of the one loss are none of the other.
    experiment = trainer.resolve(kcolor.Experiment.of(loss="ce"))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.yaml").write_text(experiment.to_yaml())
    line = refused("--run", "here", "--resume", "--loss", "l2")
    assert "'here' belongs to another experiment" in line


@pytest.mark.parametrize("text", ["", "arch: [", "- cnn"])
def test_a_damaged_config_of_a_run_is_told_in_one_line(refused, tmp_path, text):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.yaml").write_text(text)
    line = refused("--run", "here", "--resume")
    assert "'here/config.yaml' is damaged" in line


def test_a_config_and_the_resume_of_a_run_go_together(
    command, no_training, tmp_path
):
    experiment = kcolor.Experiment.of(loss="smooth_l1", delta=3, epochs=5)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.yaml").write_text(experiment.to_yaml())
    (tmp_path / "own.yaml").write_text("loss: smooth_l1\ndelta: 3\nepochs: 5")
    command("--config", "own.yaml", "--run", "here", "--resume")
    ((resumed, _),) = no_training
    assert resumed == experiment


def test_a_bug_shows_its_traceback(command, monkeypatch):
    def train(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(trainer, "train", train)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        command()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x/history"),
            "'runs/x/history': No space left",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs"),
            "'runs': Permission denied",
        ),
    ],
)
def test_a_full_disk_or_a_folder_of_others_is_one_line(
    refused, monkeypatch, error, told
):
    def train(*_, **__):
        raise error

    monkeypatch.setattr(trainer, "train", train)
    assert told in refused()


def test_a_full_disk_is_one_line_where_tensorflow_writes_too(
    refused, monkeypatch, small
):
    def fit(*_, **__):
        raise tf.errors.ResourceExhaustedError(
            None, None, "runs/x/events.v2; No space left on device"
        )

    monkeypatch.setattr(trainer, "_fit", fit)
    assert "No space left on device" in refused(*small)


def test_keyboard_interrupt_before_the_first_step_exits_as_interrupted(
    command, monkeypatch
):
    def train(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train", train)
    code, _, errors = command()
    assert (code, errors) == (128 + signal.SIGINT, [])


def test_the_notes_of_tensorflow_are_shown_if_it_cannot_be_loaded(
    capfd, monkeypatch
):
    def fail(*_):
        os.write(2, b"no such instruction\n")
        raise RuntimeError

    monkeypatch.setattr(tf.config, "list_physical_devices", fail)
    with pytest.raises(RuntimeError):
        shell.load_tensorflow()
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "no such instruction\nlater\n"


def test_the_notes_of_tensorflow_are_dropped_otherwise(capfd, monkeypatch):
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda *_: os.write(2, b"a note\n")
    )
    shell.load_tensorflow()
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


# === One line and exit code 2 ===


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--arch", "cn"], ["architecture 'cn'", "'cnn'?"]),
        (["--loss", "smoothl1"], ["loss 'smoothl1'", "'smooth_l1'?"]),
        (["--batchsize", "3"], ["'--batchsize'", "'--batch-size'?"]),
        (["--epochs", "many"], ["--epochs", "many"]),
        (["--epochs", "-1"], ["--epochs", "-1"]),
        (["--epochs"], ["--epochs"]),
        (["--config", "missing.yaml"], ["'missing.yaml'", "No such file"]),
        (["--config"], ["--config"]),
        (["--data", "imagnet64"], ["'imagnet64'", "'imagenet64'?"]),
        (["--data", "./missing"], ["'./missing'", "does not exist"]),
        (["--image-size", "5", "--data", "./missing"], ["--image-size", "10"]),
        (["--loss", "ce", "--head", "dense"], ["dense", "--head conv"]),
        (["--monitor", "rmse"], ["'rmse'", "'rmse_ab'?"]),
        (["--resume"], ["--run"]),
        (["--run", "missing", "--resume"], ["'missing'", "nothing to resume"]),
        (["--run"], ["--run"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(refused, words, named):
    line = refused(*words)
    for part in named:
        assert part in line


def test_a_config_with_a_mistake_is_one_line_that_names_it(refused, tmp_path):
    config = tmp_path / "own.yaml"
    config.write_text("bach_size: 3")
    line = refused("--config", config)
    assert str(config) in line
    assert "'batch_size'?" in line


def test_a_folder_of_nothing_but_broken_photos_is_one_line(
    refused, small, tmp_path
):
    folder = tmp_path / "broken"
    folder.mkdir()
    assert str(folder) in refused(*small, "--data", folder)
    for name in "abcdef":
        (folder / f"{name}.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + name.encode()
        )
    line = refused(*small, "--data", folder)
    assert str(folder) in line
    assert "broken" in line


def test_a_folder_that_cannot_be_written_is_one_line(refused, small, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "run"):
        line = refused(*small, "--run", path)
        assert str(path) in line


def test_a_batch_larger_than_the_photos_is_one_line(refused, small):
    line = refused(*small, "--batch-size", 11)
    assert "11" in line
    assert "--batch-size" in line


def test_a_loss_that_is_no_number_is_one_line_with_the_step(
    refused, small, quick
):
    line = refused(*small, "--learning-rate", "1e38", "--run", "run")
    assert "step" in line
    assert "--learning-rate" in line


# === From beginning to end ===


def test_an_interrupted_training_is_resumed_by_its_name_alone(
    command, refused, small, stop_after, tmp_path
):
    stop_after(4, signal.SIGINT)
    code, out, errors = command(*small)
    assert code == 128 + signal.SIGINT
    (line,) = errors
    run = Run(next((tmp_path / "runs").iterdir()))
    relative = run.path.relative_to(tmp_path)
    assert "SIGINT" in line
    assert f"--run '{relative}' --resume" in line
    assert "10 photos to train, 3 to validate, 1 to test" in out
    assert yaml.safe_load(run.config.read_text())["loss"] == "l2"

    # What is not this run's is refused, and named.
    line = refused("--run", relative, "--resume", "--epochs", 3)
    assert "another experiment" in line
    assert "epochs" in line
    line = refused("--run", relative, "--resume", "--loss", "ce")
    assert "another experiment" in line
    assert "loss" in line
    assert "exists" in refused(*small, "--run", relative)

    stop_after(5, signal.SIGTERM)
    code, _, errors = command("--run", relative, "--resume")
    assert code == 128 + signal.SIGTERM
    assert "SIGTERM" in errors[0]

    stop_after(0, 0)
    code, out, errors = command("--run", relative, "--resume")
    assert (code, errors) == (0, [])
    assert "resumed at step 5 of 6" in out
    assert "epoch 2/2" in out
    assert run.is_finished
    table = out[out.index("1 test photos") :]
    for part in ("grey", "ours", "rmse_ab"):
        assert part in table
    assert str(relative / "samples.png") in out

    assert "finished" in refused("--run", relative, "--resume")
