"""Who may write a run's folder, and what is left of one that was stopped."""

import csv
import json
import resource
import subprocess
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kcolor.errors import UserError
from kcolor.files import whole
from kcolor.training.experiment import Experiment
from kcolor.training.run import Checkpoints, Run, open_run

EXPERIMENT = Experiment.of(loss="l2")
DATA = types.SimpleNamespace(
    fingerprint="1234",
    classes=["cats", "dogs"],
    near_grey=2,
    skipped=[("a.png", "is empty")],
)


@pytest.fixture
def begun(tmp_path):
    """A run that was begun and is not finished."""
    path = tmp_path / "run"
    with open_run(path, EXPERIMENT, resume=False) as run:
        run.begin(EXPERIMENT, DATA)
    return run


def refusal(path, experiment=EXPERIMENT, resume=False) -> str:
    with (
        pytest.raises(UserError) as refused,
        open_run(path, experiment, resume),
    ):
        pass
    text = str(refused.value)
    assert "\n" not in text
    return text


@contextmanager
def files_of_at_most(size: int):
    """Lets no file grow beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# === The folder ===


def test_runs_without_a_name_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = []
    for _ in range(3):
        with open_run(None, EXPERIMENT, resume=False) as run:
            run.begin(EXPERIMENT, DATA)
        paths.append(run.path)
    names = ["demo-cnn-l2", "demo-cnn-l2-2", "demo-cnn-l2-3"]
    assert paths == [Path("runs") / name for name in names]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("cifar10", "cifar10"),
        ("tfds:downsampled_imagenet/64x64", "downsampled_imagenet-64x64"),
        ("/some/where/My photos", "My-photos"),
        ("photos/", "photos"),
    ],
)
def test_a_run_is_named_after_its_data(tmp_path, monkeypatch, data, name):
    monkeypatch.chdir(tmp_path)
    experiment = Experiment.of(loss="l2", data=data)
    with open_run(None, experiment, resume=False) as run:
        assert run.path == Path("runs") / f"{name}-cnn-l2"


def test_a_run_holds_its_experiment_and_what_else_decides_it(begun):
    assert begun.config.read_text() == EXPERIMENT.to_yaml()
    environment = json.loads(begun.environment.read_text())
    assert environment["data_fingerprint"] == DATA.fingerprint
    assert environment["near_grey"] == DATA.near_grey
    assert environment["skipped"] == {"a.png": "is empty"}
    assert environment["tensorflow"] == tf.__version__
    assert environment["devices"]
    assert begun.checkpoints.is_dir()
    assert not begun.is_finished


@pytest.mark.parametrize(
    "name", ["checkpoints/step-000000001.index", "history.csv", "metrics.json"]
)
def test_a_run_that_holds_work_is_not_begun_again(begun, name):
    (begun.path / name).touch()
    before = begun.config.read_bytes()
    text = refusal(begun.path)
    assert str(begun.path) in text
    assert "--resume" in text
    assert "--run" in text
    assert begun.config.read_bytes() == before


def test_a_run_that_was_refused_before_its_first_checkpoint_is_begun_again(
    begun,
):
    begun.tensorboard.mkdir()
    other = Experiment.of(loss="l1")
    with open_run(begun.path, other, resume=False) as run:
        run.begin(other, DATA)
    assert begun.config.read_text() == other.to_yaml()
    assert not begun.tensorboard.exists()


def test_a_folder_whose_config_is_no_run_s_is_not_written_to(tmp_path):
    path = tmp_path / "mine"
    (path / "tensorboard").mkdir(parents=True)
    (path / "tensorboard" / "log").touch()
    (path / "config.yaml").write_text("# my notes")
    assert "exists" in refusal(path)
    assert (path / "config.yaml").read_text() == "# my notes"
    # Nor is what stands beside a run that begins.
    (path / "config.yaml").rename(path / "environment.json")
    with open_run(path, EXPERIMENT, resume=False) as run:
        run.begin(EXPERIMENT, DATA)
    assert (path / "tensorboard" / "log").exists()


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_environment_is_told_in_one_line(begun, text):
    begun.environment.write_text(text)
    with pytest.raises(UserError, match=r"environment\.json' is damaged"):
        begun.check_fingerprint(DATA.fingerprint)


def test_a_run_is_resumed_with_its_own_experiment(begun):
    with open_run(begun.path, EXPERIMENT, resume=True) as run:
        assert run.path == begun.path


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_without_a_run_has_nothing_to_resume(tmp_path, there):
    path = tmp_path / "run"
    if there:
        path.mkdir()
    text = refusal(path, resume=True)
    assert str(path) in text
    assert "nothing to resume" in text
    assert path.exists() == there


def test_resume_needs_the_name_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--run" in refusal(None, resume=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"loss": "l2", "epochs": 3}, ["epochs", str(Experiment.epochs), "3"]),
        ({"loss": "l2", "dropout": 0.5}, ["dropout", "0.0", "0.5"]),
        ({"loss": "l1"}, ["loss", "l2", "l1"]),
        ({"loss": "ce"}, ["loss", "l2", "ce"]),
        ({"loss": "l2", "learning_rate": 1e-5}, ["learning_rate", "1e-05"]),
    ],
)
def test_the_run_of_another_experiment_is_refused_and_what_differs_named(
    begun, other, named
):
    text = refusal(begun.path, Experiment.of(**other), resume=True)
    assert str(begun.path) in text
    for part in named:
        assert part in text


def test_a_run_from_before_a_setting_was_there_goes_on_by_its_default(begun):
    lines = begun.config.read_text().splitlines(keepends=True)
    begun.config.write_text("".join(x for x in lines if "epochs" not in x))
    begun.check_settings(Experiment.of(loss="l2"))
    with pytest.raises(UserError, match="epochs"):
        begun.check_settings(Experiment.of(loss="l2", epochs=3))


def test_a_finished_run_has_nothing_left_to_resume(begun):
    begun.metrics.write_text("{}")
    assert begun.is_finished
    text = refusal(begun.path, resume=True)
    assert "finished" in text
    assert str(begun.metrics) in text


HOLD = """
import sys, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process(begun):
    """Another process that is training into the run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(begun.path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_training_into_a_running_run_is_refused(begun, other_process):
    text = refusal(begun.path, resume=True)
    assert str(begun.path) in text
    assert "another process" in text


def test_a_second_training_is_refused_before_the_first_has_begun(tmp_path):
    with open_run(tmp_path / "run", EXPERIMENT, resume=False):
        text = refusal(tmp_path / "run")
    assert "another process" in text


def test_a_run_whose_training_was_killed_can_be_resumed(begun, other_process):
    other_process.kill()
    other_process.wait()
    with open_run(begun.path, EXPERIMENT, resume=True) as run:
        assert run.config.exists()


def test_a_run_can_be_resumed_after_an_error_in_it(begun):
    with (
        pytest.raises(ZeroDivisionError),
        open_run(begun.path, EXPERIMENT, resume=True),
    ):
        raise ZeroDivisionError
    with open_run(begun.path, EXPERIMENT, resume=True) as run:
        assert run.path == begun.path


def test_a_run_goes_on_with_the_photos_it_began_with_only(begun):
    begun.check_fingerprint("1234")
    with pytest.raises(UserError, match="photos") as refused:
        begun.check_fingerprint("4321")
    assert str(begun.path) in str(refused.value)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    file = tmp_path / "file"
    file.touch()
    path = file / "run"
    with (
        pytest.raises(OSError, match="file") as refused,
        open_run(path, EXPERIMENT, resume=False),
    ):
        pass
    assert str(path) in str(refused.value.filename)


# === History ===


def rows(epochs: int) -> list[dict]:
    return [
        {"epoch": epoch, "step": 3 * epoch, "loss": 1 / epoch, "val_auc": 0.5}
        for epoch in range(1, epochs + 1)
    ]


def test_history_is_one_row_an_epoch(tmp_path):
    run = Run(tmp_path)
    run.write_history(rows(3))
    with run.history.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in read] == [1, 2, 3]
    assert [float(row["loss"]) for row in read] == [1.0, 0.5, 1 / 3]
    assert list(read[0]) == list(rows(1)[0])


@pytest.mark.parametrize("kept", [0, 1, 3, 9])
def test_history_is_read_up_to_the_epoch_of_the_checkpoint(tmp_path, kept):
    run = Run(tmp_path)
    run.write_history(rows(3))
    read = run.read_history(epochs=kept)
    assert [int(row["epoch"]) for row in read] == [1, 2, 3][:kept]


def test_history_goes_on_as_if_it_had_never_been_read(tmp_path):
    once, twice = Run(tmp_path / "once"), Run(tmp_path / "twice")
    for run in (once, twice):
        run.path.mkdir()
    once.write_history(rows(3))
    twice.write_history(rows(3))
    twice.write_history([*twice.read_history(epochs=2), rows(3)[2]])
    assert twice.history.read_bytes() == once.history.read_bytes()


def test_a_run_without_a_history_has_no_rows(tmp_path):
    assert Run(tmp_path).read_history(epochs=3) == []


# === Whole files ===


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path):
    target = tmp_path / "config.yaml"
    with whole(target) as path:
        path.write_text("all of it")
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("suffix", [".keras", ".png", ".csv"])
def test_an_unfinished_file_keeps_its_suffix(tmp_path, suffix):
    with whole(tmp_path / f"name{suffix}") as path:
        assert path.suffix == suffix
        assert path.parent == tmp_path
        path.touch()


@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_fails_half_way_leaves_the_folder_as_it_was(
    tmp_path, there
):
    target = tmp_path / "config.yaml"
    if there:
        target.write_text("old")

    def half_of(path):
        path.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), whole(target) as path:
        half_of(path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"] * there


def test_a_full_disk_leaves_no_half_run(tmp_path):
    many = [(f"{number}.png", "is empty") for number in range(10_000)]
    data = types.SimpleNamespace(
        fingerprint="1", classes=[""], near_grey=0, skipped=many
    )
    with (
        open_run(tmp_path / "run", EXPERIMENT, resume=False) as run,
        files_of_at_most(100_000),
        pytest.raises(OSError, match="large"),
    ):
        run.begin(EXPERIMENT, data)
    assert not run.path.exists()


def test_a_full_disk_leaves_the_history_as_it_was(tmp_path):
    run = Run(tmp_path)
    run.write_history(rows(3))
    before = run.history.read_bytes()
    with files_of_at_most(100_000), pytest.raises(OSError, match="large"):
        run.write_history(rows(10_000))
    assert run.history.read_bytes() == before
    assert list(tmp_path.iterdir()) == [run.history]


# === Checkpoints ===


class Training:
    """Variables that are changed step by step, and their checkpoints."""

    def __init__(self, folder: Path):
        self.step = 0
        self.variables = {
            "model 0 conv1/kernel": tf.Variable(tf.zeros((200, 300))),
            "model 1 norm/mean": tf.Variable(tf.zeros(7, tf.float64)),
            "optimizer 0 adam/iteration": tf.Variable(0, dtype=tf.int64),
            "optimizer 1 half": tf.Variable(tf.zeros(5, tf.bfloat16)),
        }
        self.checkpoints = Checkpoints(folder, self.variables)
        self.warnings = []

    def go_to(self, step: int) -> None:
        self.step = step
        for number, variable in enumerate(self.variables.values()):
            random = np.random.default_rng([step, number])
            value = random.integers(0, 100, variable.shape)
            variable.assign(tf.cast(value, variable.dtype))

    def save(self, *steps: int) -> None:
        for step in steps:
            self.go_to(step)
            self.checkpoints.save(step, {"step": step, "best": 1 / 3})

    def restore(self) -> int | None:
        """Restores into other values; returns the step, None if at none."""
        self.warnings.clear()
        state = self.checkpoints.restore(warn=self.warnings.append)
        return None if state is None else state["step"]

    def values(self) -> list[bytes]:
        return [value.numpy().tobytes() for value in self.variables.values()]

    def is_at(self, step: int) -> bool:
        other = Training(Path())
        other.go_to(step)
        return self.values() == other.values()


@pytest.fixture
def training(tmp_path):
    return Training(tmp_path)


def test_a_checkpoint_brings_everything_back(training, tmp_path):
    training.save(7)
    later = Training(tmp_path)
    state = later.checkpoints.restore(warn=pytest.fail)
    assert state == {"step": 7, "best": 1 / 3}
    assert later.is_at(7)


def test_without_a_checkpoint_nothing_is_brought_back(training):
    training.go_to(3)
    assert training.restore() is None
    assert training.warnings == []
    assert training.is_at(3)


def test_the_newest_checkpoint_is_the_one_of_the_last_step(training):
    training.save(9, 10)
    training.go_to(0)
    assert training.restore() == 10
    assert training.is_at(10)


def test_the_last_two_checkpoints_are_kept(training, tmp_path):
    training.save(1, 2, 30, 400)
    steps = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert steps == {"step-000000030", "step-000000400"}
    assert len(training.checkpoints.paths()) == 2


def test_a_checkpoint_of_the_same_step_takes_the_place_of_the_other(training):
    training.save(1)
    training.go_to(5)
    training.checkpoints.save(1, {"step": 1})
    training.go_to(0)
    assert training.restore() == 1
    assert training.is_at(5)


def data_file(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}.data-00000-of-00001"


def index_file(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}.index"


def cut(share: float):
    def damage(path: Path):
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return damage


def cut_by_one(path: Path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(share: float):
    def damage(path: Path):
        content = bytearray(path.read_bytes())
        content[int(share * len(content))] ^= 1
        path.write_bytes(content)

    return damage


DAMAGES = pytest.mark.parametrize(
    ("file", "damage"),
    [
        pytest.param(data_file, cut(0.0), id="data-empty"),
        pytest.param(data_file, cut(0.001), id="data-cut-early"),
        pytest.param(data_file, cut(0.5), id="data-cut-half"),
        pytest.param(data_file, cut(0.999), id="data-cut-late"),
        pytest.param(data_file, cut_by_one, id="data-cut-by-one"),
        pytest.param(data_file, Path.unlink, id="data-missing"),
        pytest.param(data_file, flip(0.0), id="data-first-byte-wrong"),
        pytest.param(data_file, flip(0.5), id="data-middle-byte-wrong"),
        pytest.param(data_file, flip(0.999), id="data-late-byte-wrong"),
        pytest.param(index_file, cut(0.0), id="index-empty"),
        pytest.param(index_file, cut(0.5), id="index-cut-half"),
        pytest.param(index_file, cut_by_one, id="index-cut-by-one"),
        pytest.param(index_file, flip(0.1), id="index-byte-wrong"),
        pytest.param(index_file, Path.unlink, id="index-missing"),
    ],
)


@DAMAGES
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    training, tmp_path, file, damage
):
    training.save(1, 2)
    damage(file(tmp_path, 2))
    training.go_to(0)
    assert training.restore() == 1
    assert training.is_at(1)


@DAMAGES
def test_which_checkpoint_is_damaged_is_said_in_one_line(
    training, tmp_path, file, damage
):
    training.save(1, 2)
    damage(file(tmp_path, 2))
    training.restore()
    (warning,) = training.warnings
    assert "step-000000002" in warning
    assert "damaged" in warning
    assert "\n" not in warning


@DAMAGES
def test_where_all_are_damaged_nothing_is_brought_back(
    training, tmp_path, file, damage
):
    training.save(1, 2)
    for step in (1, 2):
        damage(file(tmp_path, step))
    training.go_to(0)
    assert training.restore() is None
    assert training.is_at(0)


@pytest.mark.parametrize("damaged", [[2], [1, 2]])
def test_checkpoints_after_damaged_ones_are_kept(training, tmp_path, damaged):
    training.save(1000, 2000)
    for number in damaged:
        flip(0.1)(index_file(tmp_path, 1000 * number))
    training.restore()
    training.save(1500 if len(damaged) == 1 else 10)
    last = training.step
    training.go_to(0)
    assert training.restore() == last
    assert training.is_at(last)


def test_the_checkpoint_of_another_training_is_passed_over(training, tmp_path):
    training.save(1)
    other = Training(tmp_path)
    other.variables.pop("optimizer 1 half")
    other.variables["optimizer 1 other"] = tf.Variable(1.0)
    other.checkpoints = Checkpoints(tmp_path, other.variables)
    assert other.restore() is None
    assert len(other.warnings) == 1


@pytest.mark.parametrize("how", ["limit", "error"])
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    training, tmp_path, monkeypatch, how
):
    training.save(1)
    training.go_to(2)
    if how == "limit":
        with files_of_at_most(100_000), pytest.raises(UserError) as refused:
            training.checkpoints.save(2, {"step": 2})
    else:

        def write(path):
            raise tf.errors.ResourceExhaustedError(
                None, None, f"{path}; No space left on device"
            )

        monkeypatch.setattr(training.checkpoints._checkpoint, "write", write)
        with pytest.raises(UserError) as refused:
            training.checkpoints.save(2, {"step": 2})
        monkeypatch.undo()
    text = str(refused.value)
    assert "step-000000002" in text
    assert "--resume" in text
    assert "\n" not in text
    training.go_to(0)
    assert training.restore() == 1
    assert training.is_at(1)
    training.save(2)
    assert training.restore() == 2


def test_the_reason_why_a_checkpoint_cannot_be_written_is_told(training):
    training.go_to(2)
    with files_of_at_most(100_000), pytest.raises(UserError) as refused:
        training.checkpoints.save(2, {"step": 2})
    assert "File too large" in str(refused.value)
    assert "function_node" not in str(refused.value)


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_behind(
    training, tmp_path
):
    training.go_to(2)
    with files_of_at_most(100_000), pytest.raises(UserError):
        training.checkpoints.save(2, {"step": 2})
    assert list(tmp_path.rglob("*")) == []


def test_what_a_killed_checkpoint_left_behind_goes_with_the_next_ones(
    training, tmp_path
):
    # As TensorFlow leaves it: the data under a temporary name, and no index.
    left = tmp_path / "step-000000002_temp"
    left.mkdir()
    (left / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"0" * 99)
    data_file(tmp_path, 3).write_bytes(b"0" * 99)
    training.save(10, 20, 30)
    steps = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert steps == {"step-000000020", "step-000000030"}
