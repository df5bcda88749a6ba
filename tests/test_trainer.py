"""A training from its first step to its table, on photos made here."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from patterns import save_blobs
from tensorflow.python.framework.config import is_op_determinism_enabled

import kcolor
from kcolor import trainer
from kcolor.color import rgb_to_lab
from kcolor.data.prepare import load
from kcolor.errors import Interrupted, UserError
from kcolor.evaluation.metrics import COLOUR_METRICS
from kcolor.training.experiment import Experiment
from kcolor.training.run import Run
from kcolor.training.supervised import Supervised

SIZE = 10
STEPS = 3  # an epoch of the photos below, three at a time


@pytest.fixture(scope="module", autouse=True)
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


@pytest.fixture(scope="module")
def experiment(photos):
    """Makes a small experiment; what is given wins."""

    def of(**fields) -> Experiment:
        chosen = {
            "data": str(photos),
            "loss": "l2",
            "image_size": SIZE,
            "batch_size": 3,
            "epochs": 1,
            "precision": "float32",
        }
        if "arch" not in fields:
            chosen["head"] = "conv"
        return Experiment.of(**chosen | fields)

    return of


def train(experiment, run, **options) -> Run:
    """Trains as a process of its own would."""
    keras.utils.clear_session()
    return trainer.train(experiment, run, **options)


def refusal(*args, **options) -> str:
    with pytest.raises(UserError) as refused:
        train(*args, **options)
    text = str(refused.value)
    assert "\n" not in text
    return text


def leave_out_pictures_and_test(monkeypatch):
    monkeypatch.setattr(
        trainer.pictures, "save_curves", lambda path, _: path.touch()
    )
    monkeypatch.setattr(trainer, "_log_pictures", lambda *_: None)
    monkeypatch.setattr(trainer, "_report", lambda *_: None)


@pytest.fixture
def quick(monkeypatch):
    """Leaves out what is written to be looked at, and the test photos."""
    leave_out_pictures_and_test(monkeypatch)


@pytest.fixture(scope="module")
def plain(experiment, tmp_path_factory):
    """A run of two epochs that nothing interrupted."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        leave_out_pictures_and_test(monkeypatch)
        folder = tmp_path_factory.mktemp("plain")
        return train(experiment(epochs=2), folder / "run")


@pytest.fixture
def stop_after(monkeypatch):
    """Sends this process a signal after a step."""

    def stop(step: int, number: int = signal.SIGTERM):
        def on_train_batch_end(self, batch, logs=None):
            if batch + 1 == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(
            trainer.calls.StopOnNaN, "on_train_batch_end", on_train_batch_end
        )

    return stop


@pytest.fixture
def measured_as(monkeypatch):
    """Lets the validation find, epoch by epoch, what a test says."""
    validate = trainer._validate

    def script(**figures):
        epochs = iter(range(10**6))

        def scripted(*args):
            epoch = next(epochs)
            found = {
                name: values[min(epoch, len(values) - 1)]
                for name, values in figures.items()
            }
            return validate(*args) | found

        monkeypatch.setattr(trainer, "_validate", scripted)

    return script


def history(run: Run) -> list[dict]:
    with run.history.open(newline="") as file:
        return list(csv.DictReader(file))


def checkpoint(run: Run) -> tuple[str, dict]:
    """Returns the name of the newest checkpoint and what is in it."""
    newest = max(run.checkpoints.glob("*.index")).with_suffix("")
    reader = tf.train.load_checkpoint(str(newest))
    return newest.name, {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


def assert_same_end(run: Run, other: Run) -> None:
    """Compares all that two runs leave, bit for bit."""
    (name, values), (other_name, other_values) = (
        checkpoint(run),
        checkpoint(other),
    )
    assert name == other_name
    assert set(values) == set(other_values)
    assert len(values) > 30
    for key, value in values.items():
        assert np.array_equal(
            np.asarray(value).tobytes(),
            np.asarray(other_values[key]).tobytes(),
        ), key
    timed = ("seconds", "images_per_second")
    assert [
        {name: value for name, value in row.items() if name not in timed}
        for row in history(run)
    ] == [
        {name: value for name, value in row.items() if name not in timed}
        for row in history(other)
    ]
    ours, theirs = (
        keras.saving.load_model(run.model).get_weights() for run in (run, other)
    )
    assert all(map(np.array_equal, ours, theirs))


def column(run: Run, name: str) -> list[str]:
    return [row[name] for row in history(run)]


# === A whole training ===


@pytest.fixture(scope="module")
def finished(experiment, tmp_path_factory):
    """A run of three epochs, of which the third is cut short by `steps`."""
    path = tmp_path_factory.mktemp("finished") / "run"
    chosen = experiment(
        epochs=4, steps=2 * STEPS + 1, precision="auto", jit="auto"
    )
    return train(chosen, path)


def test_a_run_is_the_files_that_are_promised(finished):
    for path in (
        finished.config,
        finished.environment,
        finished.history,
        finished.model,
        finished.metrics,
        finished.curves,
        finished.samples,
    ):
        assert path.stat().st_size > 0
    assert len(list(finished.checkpoints.glob("*.index"))) == 2
    assert list(finished.tensorboard.rglob("events.*"))
    assert finished.is_finished
    assert not [p for p in finished.path.rglob("*") if ".tmp" in p.name]


def test_the_config_of_a_run_has_every_auto_decided(finished):
    config = yaml.safe_load(finished.config.read_text())
    assert config["precision"] in ("float32", "mixed_bfloat16")
    assert config["jit"] in (True, False)
    assert config["monitor"] == "rmse_ab"
    resolved = Experiment.of(**config)
    assert trainer.resolve(resolved) == resolved


def test_training_ends_after_steps_and_still_validates(finished):
    rows = history(finished)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [int(row["step"]) for row in rows] == [3, 6, 7]
    for row in rows:
        figures = {name: float(value) for name, value in row.items()}
        assert np.isfinite(figures["val_rmse_ab"])
        assert figures["seconds"] > 0
        assert figures["images_per_second"] > 0


def test_history_has_the_losses_and_every_metric(finished):
    names = {"epoch", "step", "loss", "val_loss", "learning_rate"}
    names |= {"seconds", "images_per_second"}
    names |= {f"val_{name}" for name in COLOUR_METRICS}
    assert all(set(row) == names for row in history(finished))


def test_metrics_stand_beside_those_of_grey(finished):
    measured = json.loads(finished.metrics.read_text())
    assert set(measured) == {"grey", "ours"}
    for metrics in measured.values():
        assert set(metrics) == set(COLOUR_METRICS)
        for figures in metrics.values():
            assert set(figures) == {"value", "low", "high", "n"}
        rmse = metrics["rmse_ab"]
        assert rmse["low"] <= rmse["value"] <= rmse["high"]
        assert rmse["n"] == 1
    assert measured["grey"]["colorfulness"]["value"] == 0
    assert measured["ours"]["colorfulness"]["value"] > 0


def test_the_model_of_a_run_gives_ab(finished):
    colorizer = keras.saving.load_model(finished.model)
    assert isinstance(colorizer, kcolor.Colorizer)
    lightness = np.linspace(0, 100, 2 * SIZE * SIZE, dtype="float32")
    ab = colorizer.predict(lightness.reshape(2, SIZE, SIZE, 1), verbose=0)
    assert ab.shape == (2, SIZE, SIZE, 2)
    assert ab.dtype == np.float32
    assert np.isfinite(ab).all()
    assert np.abs(ab).max() > 0


def test_the_environment_tells_the_photos(finished, photos):
    environment = json.loads(finished.environment.read_text())
    assert (
        environment["data_fingerprint"] == load(str(photos), SIZE).fingerprint
    )
    assert environment["skipped"] == {}


def test_a_finished_run_is_neither_resumed_nor_overwritten(finished):
    chosen = Experiment.of(**yaml.safe_load(finished.config.read_text()))
    before = finished.metrics.stat().st_mtime_ns
    assert "finished" in refusal(chosen, finished.path, resume=True)
    assert "exists" in refusal(chosen, finished.path)
    assert finished.metrics.stat().st_mtime_ns == before


# === What "auto" becomes ===


@pytest.mark.parametrize(
    ("computes", "precision"), [(True, "mixed_bfloat16"), (False, "float32")]
)
def test_precision_is_bfloat16_where_the_machine_computes_in_it(
    monkeypatch, computes, precision
):
    monkeypatch.setattr(trainer, "_computes_bfloat16", lambda: computes)
    assert trainer.resolve(Experiment.of()).precision == precision
    given = Experiment.of(precision="mixed_float16")
    assert trainer.resolve(given).precision == "mixed_float16"


@pytest.mark.parametrize(("devices", "jit"), [(["a GPU"], True), ([], False)])
def test_xla_compiles_on_a_gpu_only(monkeypatch, devices, jit):
    monkeypatch.setattr(trainer, "_computes_bfloat16", lambda: False)
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: devices
    )
    free = {"deterministic": False}
    assert trainer.resolve(Experiment.of(**free)).jit == jit
    assert trainer.resolve(Experiment.of(jit=False, **free)).jit is False
    assert trainer.resolve(Experiment.of(jit=True, **free)).jit is True
    assert trainer.resolve(Experiment.of()).jit is False


def test_xla_and_the_same_weights_each_time_cannot_both_be_had():
    with pytest.raises(UserError, match="--deterministic false"):
        trainer.resolve(Experiment.of(jit=True))


@pytest.mark.parametrize(
    ("loss", "monitor"),
    [("l2", "rmse_ab"), ("smooth_l1", "rmse_ab"), ("ce", "loss")],
)
def test_the_monitor_is_what_suits_the_loss(loss, monitor):
    assert trainer.resolve(Experiment.of(loss=loss)).monitor == monitor
    given = Experiment.of(loss=loss, monitor="auc")
    assert trainer.resolve(given).monitor == "auc"


@pytest.mark.parametrize(
    ("loss", "monitor", "meant"),
    [
        ("l2", "rmse", "rmse_ab"),
        ("l2", "val_loss", "loss"),
        ("ce", "cross-entropy", "cross_entropy"),
    ],
)
def test_an_unknown_monitor_is_answered_with_the_right_one(
    tmp_path, experiment, loss, monitor, meant
):
    chosen = experiment(loss=loss, monitor=monitor)
    text = refusal(chosen, tmp_path / "run")
    assert f"'{monitor}'" in text
    assert f"'{meant}'?" in text
    assert not (tmp_path / "run").exists()


# === What is refused ===


@pytest.mark.parametrize(("head", "smallest"), [("conv", 10), ("dense", 19)])
def test_an_image_size_that_is_too_small_is_refused_before_data_is_read(
    tmp_path, head, smallest
):
    with pytest.raises(UserError) as refused:
        Experiment.of(
            data=str(tmp_path / "missing"),
            loss="l2",
            head=head,
            image_size=smallest - 1,
        )
    assert "--image-size" in str(refused.value)
    assert str(smallest) in str(refused.value)


def test_a_batch_larger_than_the_photos_is_refused(tmp_path, experiment):
    text = refusal(experiment(batch_size=11), tmp_path / "run")
    assert "batch size 11" in text
    assert "10 training photos" in text
    assert "--batch-size" in text


def test_a_run_refused_before_its_first_step_may_be_begun_again(
    tmp_path, experiment, quick
):
    refusal(experiment(batch_size=11), tmp_path / "run")
    assert train(experiment(steps=1), tmp_path / "run").model.exists()


def test_a_class_loss_is_monitored_only_where_photos_have_classes(
    tmp_path, experiment
):
    fields = {"arch": "iizuka", "width": 0.0625, "monitor": "class_loss"}
    assert "classes" in refusal(
        experiment(**fields, image_size=16), tmp_path / "run"
    )


def test_classes_are_told_and_learnt(tmp_path, photos, experiment, capsys):
    folder = tmp_path / "photos"
    for number, path in enumerate(sorted(photos.glob("*.png"))):
        split = "test" if number < 2 else "train"
        place = folder / split / f"kind{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    fields = {
        "arch": "iizuka",
        "width": 0.0625,
        "monitor": "class_loss",
        "data": str(folder),
        "validation_share": 0.3,
        "image_size": 16,
        "steps": 1,
    }
    run = train(experiment(**fields), tmp_path / "run")
    assert "2 classes to learn, too: kind0, kind1\n" in capsys.readouterr().out
    assert float(run.read_history(1)[0]["val_class_loss"]) > 0


def test_where_memory_ends_the_advice_can_be_followed(
    tmp_path, experiment, monkeypatch
):
    def fail(*_):
        message = "OOM when allocating tensor with " + "shape[3,313,64] " * 20
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(trainer, "_fit", fail)
    text = refusal(experiment(), tmp_path / "run")
    assert "new --run with less than --batch-size 3" in text
    assert "OOM when allocating" in text


@pytest.mark.parametrize("monitor", ["colorfulness", "spread"])
def test_what_is_best_neither_high_nor_low_is_no_monitor(
    tmp_path, experiment, monitor
):
    chosen = experiment(loss="energy", monitor=monitor)
    assert monitor in refusal(chosen, tmp_path / "run")


def test_an_epoch_whose_monitor_is_no_number_is_never_the_better_one(
    tmp_path, experiment, quick, measured_as
):
    kept = []
    for monitor, values in (
        ("ssim_rgb", [float("nan"), 0.5, float("nan")]),
        ("rmse_ab", [2, 1, 2]),
    ):
        measured_as(**{monitor: values})
        chosen = experiment(epochs=3, monitor=monitor)
        run = train(chosen, tmp_path / monitor)
        kept.append(keras.saving.load_model(run.model).weights)
    for one, other in zip(*kept, strict=True):
        np.testing.assert_array_equal(one, other)


def test_figures_that_are_no_numbers_are_null_in_json(finished):
    text = finished.metrics.read_text()
    assert "NaN" not in text
    # Photos of 10 pixels are too small for it.
    assert json.loads(text)["ours"]["ssim_rgb"]["value"] is None


def test_a_training_leaves_keras_as_it_was(tmp_path, experiment, quick):
    policy = keras.config.dtype_policy().name
    was_deterministic = is_op_determinism_enabled()
    for number, deterministic in enumerate((True, False)):
        chosen = experiment(
            precision="mixed_bfloat16", deterministic=deterministic
        )
        train(chosen, tmp_path / str(number))
        assert keras.config.dtype_policy().name == policy
        assert is_op_determinism_enabled() == was_deterministic


def test_a_training_runs_beside_the_main_thread(tmp_path, experiment, quick):
    runs = []
    thread = threading.Thread(
        target=lambda: runs.append(train(experiment(), tmp_path / "run"))
    )
    thread.start()
    thread.join()
    assert runs[0].model.exists()


@pytest.mark.parametrize(
    "loss",
    [
        "ce",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("l2", "smooth_l1")),
    ],
)
def test_no_step_is_skipped_in_float16(tmp_path, experiment, loss):
    chosen = experiment(loss=loss, precision="mixed_float16", epochs=2)
    run = train(chosen, tmp_path / "run")
    # The cosine is at its end when all steps were taken.
    assert float(column(run, "learning_rate")[-1]) == pytest.approx(0, abs=1e-9)


def test_data_that_is_missing_is_refused(tmp_path, experiment):
    missing = str(tmp_path / "missing")
    text = refusal(experiment(data=missing), tmp_path / "run")
    assert missing in text
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_broken_photos_are_skipped_named_and_written_down(
    tmp_path, experiment, photos, quick, capsys
):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes((folder / "3.png").read_bytes()[:60])
    run = train(experiment(data=str(folder), steps=1), tmp_path / "run")
    told = capsys.readouterr().out
    assert "2 broken" in told
    skipped = json.loads(run.environment.read_text())["skipped"]
    assert set(skipped) == {"empty.png", "cut.png"}
    for name, fault in skipped.items():
        assert f"skipped '{name}': {fault}" in told


# === The best epoch ===


@pytest.mark.parametrize(
    ("options", "figures", "best"),
    [
        ({}, {"rmse_ab": [3, 1, 2], "loss": [3, 2, 1]}, [1, 2]),
        ({"loss": "ce"}, {"rmse_ab": [3, 1, 2], "loss": [3, 2, 1]}, [1, 2, 3]),
        ({"monitor": "auc"}, {"auc": [50, 60, 55]}, [1, 2]),
        ({}, {"rmse_ab": [2, 2, 2]}, [1]),
    ],
    ids=["regression-by-rmse", "ce-by-loss", "auc-is-better-higher", "equal"],
)
def test_the_model_of_the_best_epoch_is_kept(
    request, tmp_path, experiment, quick, monkeypatch, options, figures, best
):
    request.getfixturevalue("measured_as")(**figures)
    saved, save = [], kcolor.Colorizer.save

    def noted(self, path):
        done = history(run) if run.history.exists() else []
        saved.append(len(done) + 1)
        save(self, path)

    monkeypatch.setattr(kcolor.Colorizer, "save", noted)
    run = Run(tmp_path / "run")
    train(experiment(epochs=3, batch_size=10, **options), run.path)
    assert saved == best


def test_training_ends_when_the_monitor_no_longer_improves(
    tmp_path, experiment, quick, measured_as, monkeypatch
):
    measured_as(rmse_ab=[3, 2, 2])
    chosen = experiment(epochs=9, batch_size=10, early_stopping=2)
    run = train(chosen, tmp_path / "run")
    assert column(run, "epoch") == ["1", "2", "3", "4"]

    # Had it been killed before it was measured, only that is left to do.
    before = run.history.read_bytes(), run.model.read_bytes()
    reported = []
    monkeypatch.setattr(
        trainer, "_report", lambda data, run, weights: reported.append(run.path)
    )
    train(chosen, run.path, resume=True)
    assert (run.history.read_bytes(), run.model.read_bytes()) == before
    assert reported == [run.path]


# === Averages of the weights ===


@pytest.fixture
def trained(monkeypatch):
    """Notes what each training trains."""
    variables, schemes = trainer._variables, []

    def noted(scheme):
        schemes.append(scheme)
        return variables(scheme)

    monkeypatch.setattr(trainer, "_variables", noted)
    return schemes


def test_averages_are_kept_and_training_goes_on_from_the_weights(
    tmp_path, experiment, quick, measured_as, trained
):
    measured_as(rmse_ab=[2, 1, 2, 1])  # in both, the last epoch is the best
    plain = train(experiment(epochs=2), tmp_path / "plain")
    averaged = train(experiment(epochs=2, ema=0.9), tmp_path / "averaged")
    # The weights that are trained are those of a training without averages.
    without, scheme = trained
    weights = [w.numpy() for w in scheme.trainable_variables]
    assert all(map(np.array_equal, weights, without.trainable_variables))
    assert column(averaged, "loss") == column(plain, "loss")
    # Those that are judged and kept are not.
    assert column(averaged, "val_loss") != column(plain, "val_loss")
    kept = keras.saving.load_model(averaged.model).trainable_variables
    averages = [
        v for v in scheme.optimizer.variables if v.path.endswith("_average")
    ]
    assert len(kept) == len(averages) == len(weights)
    assert all(map(np.array_equal, kept, averages))
    assert not any(map(np.array_equal, kept, weights))


# === Schemes ===

GAN = {"scheme": "cgan", "discriminator": "pixel", "loss": "l1"}


def test_the_history_of_a_discriminator_tells_who_wins(
    tmp_path, experiment, quick
):
    run = train(experiment(**GAN, epochs=2, pretrain_epochs=1), tmp_path / "r")
    for name in ("generator_loss", "discriminator_loss", "real_accuracy"):
        first, second = map(float, column(run, name))
        assert np.isnan(first)  # there was none
        assert np.isfinite(second)
    assert "val_colorfulness_gap" in history(run)[0]


def test_the_model_of_a_run_is_the_generator_alone(tmp_path, experiment, quick):
    plain = train(experiment(loss="l1"), tmp_path / "plain")
    against = train(experiment(**GAN), tmp_path / "against")
    sizes = [
        keras.saving.load_model(run.model).count_params()
        for run in (plain, against)
    ]
    assert sizes[0] == sizes[1]


def test_draws_are_shown_where_a_scheme_adds_noise(tmp_path, experiment):
    run = train(experiment(**GAN, noise="planes"), tmp_path / "run")
    assert run.draws.exists()
    assert not train(experiment(**GAN), tmp_path / "none").draws.exists()


def test_no_pair_of_lightness_and_colour_meets(experiment):
    chosen = trainer.resolve(
        experiment(scheme="cyclegan", discriminator="pixel", batch_size=2)
    )
    data = load(chosen.data, SIZE, chosen.validation_share)
    # So that each crop tells which photo it is of.
    for number, photo in enumerate(data.train.pixels):
        photo[:] = (20 * number, 20 * number + 5, 20 * number)
    lightness_of = {
        round(float(rgb_to_lab(photo[0, 0] / 255.0)[0]), 3): number
        for number, photo in enumerate(data.train.pixels)
    }
    seen = {"grey": set(), "coloured": set()}
    for epoch in range(4):
        stream = trainer._batches(chosen, data, None, epoch, 0)
        for grey, lightness, _ in stream.as_numpy_iterator():
            for part, photos in (("grey", grey), ("coloured", lightness)):
                seen[part] |= {
                    lightness_of[round(float(photo[0, 0, 0]), 3)]
                    for photo in photos
                }
    assert seen["grey"].isdisjoint(seen["coloured"])
    assert len(seen["grey"] | seen["coloured"]) == len(data.train)


@pytest.mark.parametrize(
    "options",
    [
        {"discriminator_steps": 3},
        {"pretrain_epochs": 1, "schedule": "linear"},
        {"schedule": "plateau", "patience": 1},
        {"warmup_steps": 4, "precision": "mixed_float16"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_the_discriminator_s_rate_goes_where_the_colorizer_s_goes(
    tmp_path, experiment, quick, measured_as, trained, options
):
    measured_as(rmse_ab=[2])  # never improves
    rates = []
    chosen = experiment(
        **GAN, learning_rate=1e-3, discriminator_rate=1e-4, epochs=3, **options
    )

    class Noted(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            scheme = trained[-1]
            rates.append([float(o.learning_rate) for o in scheme.optimizers])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.calls, "StopOnNaN", Noted)
        train(chosen, tmp_path / "run")
    own, other = np.transpose(rates)
    assert len(own) == 3 * STEPS
    np.testing.assert_allclose(other, own / 10, rtol=1e-5)
    assert own.min() < own.max()


def test_a_batch_larger_than_a_half_is_refused(tmp_path, experiment):
    chosen = experiment(scheme="cyclegan", discriminator="pixel", batch_size=6)
    text = refusal(chosen, tmp_path / "run")
    assert "batch size 6" in text
    assert "5 photos in a half of the 10" in text


def test_an_epoch_of_cyclegan_is_as_long_as_the_smaller_half(
    tmp_path, experiment, quick
):
    run = train(
        experiment(scheme="cyclegan", discriminator="pixel", batch_size=2),
        tmp_path / "run",
    )
    assert column(run, "step") == [str(10 // 2 // 2)]


# === Losses that are no numbers ===


@pytest.fixture
def nan_after(monkeypatch):
    """Makes the loss NaN from some step on."""
    losses_of = Supervised.losses_of

    def after(step: int):
        def spoilt(self, *batch, **options):
            losses = losses_of(self, *batch, **options)
            lost = self.optimizer.iterations >= step
            nan = keras.ops.where(lost, np.nan, 1.0)
            return {name: nan * value for name, value in losses.items()}

        monkeypatch.setattr(Supervised, "losses_of", spoilt)

    return after


def test_a_loss_that_is_nan_stops_with_the_step_and_keeps_the_checkpoint(
    tmp_path, experiment, quick, nan_after
):
    nan_after(STEPS + 1)
    text = refusal(experiment(epochs=3), tmp_path / "run")
    assert f"step {STEPS + 2}" in text
    assert "nan" in text
    assert "--learning-rate" in text
    run = Run(tmp_path / "run")
    name, values = checkpoint(run)
    assert name == f"step-{STEPS:09d}"
    for key, value in values.items():
        if np.asarray(value).dtype.kind == "f":
            assert np.isfinite(value).all(), key
    assert [int(row["epoch"]) for row in history(run)] == [1]
    assert np.isfinite(
        keras.saving.load_model(run.model).get_weights()[0]
    ).all()


@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_learning_rate_that_is_far_too_high_stops_with_the_step(
    tmp_path, experiment, quick, rate
):
    chosen = experiment(epochs=3, learning_rate=rate)
    text = refusal(chosen, tmp_path / "run", checkpoint_minutes=0.0)
    assert "step " in text
    assert "--learning-rate" in text
    run = Run(tmp_path / "run")
    if list(run.checkpoints.glob("*.index")):
        for key, value in checkpoint(run)[1].items():
            if "model" in key:
                assert np.isfinite(value).all(), key


# === Interrupted and resumed ===

VARIANTS = {
    "plateau-at-the-end-of-an-epoch": (
        {"schedule": "plateau", "patience": 2, "epochs": 5},
        [3, 8],
    ),
    "averages-bfloat16": (
        {
            "ema": 0.9,
            "loss": "ce",
            "precision": "mixed_bfloat16",
            "epochs": 2,
        },
        [5],
    ),
    "cgan": (
        {
            "scheme": "cgan",
            "discriminator": "pixel",
            "gan_loss": "wgan_gp",
            "pretrain_epochs": 1,
            "discriminator_steps": 2,
            "noise": "planes",
            "spectral": True,
            "ema": 0.9,
            "epochs": 3,
        },
        [2, 5],
    ),
    "cyclegan": (
        {
            "scheme": "cyclegan",
            "loss": "rgb",
            "discriminator": "pixel",
            "schedule": "linear",
            "batch_size": 1,
            "pool": 2,
            "epochs": 2,
        },
        [7],
    ),
    "adamw-cosine-warmup-clip-dropout": (
        {
            "optimizer": "adamw",
            "schedule": "cosine",
            "warmup_steps": 2,
            "clip_norm": 0.5,
            "dropout": 0.3,
            "epochs": 2,
        },
        [1, 4],
    ),
}


@pytest.mark.parametrize(
    ("options", "stops"), VARIANTS.values(), ids=VARIANTS.keys()
)
def test_a_run_interrupted_and_resumed_ends_as_one_never_interrupted(
    tmp_path, experiment, quick, measured_as, stop_after, options, stops
):
    chosen = experiment(**options)
    if "patience" in options:
        measured_as(rmse_ab=[2])  # never improves
    whole = train(chosen, tmp_path / "whole")
    if "patience" in options:
        rates = [float(row["learning_rate"]) for row in history(whole)]
        assert rates == pytest.approx([1e-3] * 3 + [1e-4] * 2)
    for count, stop in enumerate(stops):
        stop_after(stop)
        with pytest.raises(Interrupted) as interrupted:
            train(chosen, tmp_path / "run", resume=count > 0)
        assert interrupted.value.number == signal.SIGTERM
        assert "--resume" in str(interrupted.value)
        assert checkpoint(Run(tmp_path / "run"))[0] == f"step-{stop:09d}"
    stop_after(0)
    run = train(chosen, tmp_path / "run", resume=True)
    assert_same_end(run, whole)


def test_a_run_can_be_resumed_by_the_process_that_trained_it(
    tmp_path, experiment, quick, stop_after, capsys
):
    chosen = experiment(dropout=0.3, epochs=2)
    stop_after(4)
    with pytest.raises(Interrupted):
        trainer.train(chosen, tmp_path / "run")
    stop_after(0)
    # Without `train` of this file: Keras still numbers on.
    trainer.train(chosen, tmp_path / "run", resume=True)
    told = capsys.readouterr().out
    assert "damaged" not in told
    assert f"resumed at step 4 of {2 * STEPS}" in told


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    tmp_path, experiment, quick, stop_after, capsys, plain
):
    chosen = experiment(epochs=2)
    stop_after(5)
    with pytest.raises(Interrupted):
        train(chosen, tmp_path / "run", checkpoint_minutes=0.0)
    run = Run(tmp_path / "run")
    data = run.checkpoints / "step-000000005.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    stop_after(0)
    capsys.readouterr()
    train(chosen, run.path, resume=True)
    told = capsys.readouterr().out
    assert f"'{data.with_suffix('')}' is damaged" in told
    assert "resumed at step 4" in told
    assert_same_end(run, plain)


def test_a_run_whose_checkpoints_are_all_damaged_starts_anew(
    tmp_path, experiment, quick, stop_after, capsys, plain
):
    chosen = experiment(epochs=2)
    stop_after(5)
    with pytest.raises(Interrupted):
        train(chosen, tmp_path / "run", checkpoint_minutes=0.0)
    run = Run(tmp_path / "run")
    for index in run.checkpoints.glob("*.index"):
        index.write_bytes(index.read_bytes()[:50])
    stop_after(0)
    train(chosen, run.path, resume=True)
    assert capsys.readouterr().out.count("is damaged") == 2
    assert_same_end(run, plain)


def test_a_run_is_not_resumed_on_other_photos(
    tmp_path, experiment, photos, quick, stop_after
):
    folder = shutil.copytree(photos, tmp_path / "photos")
    chosen = experiment(data=str(folder))
    stop_after(1)
    with pytest.raises(Interrupted):
        train(chosen, tmp_path / "run")
    shutil.copy(folder / "0.png", folder / "another.png")
    text = refusal(chosen, tmp_path / "run", resume=True)
    assert "photos" in text
    assert checkpoint(Run(tmp_path / "run"))[0] == "step-000000001"
    (folder / "another.png").unlink()
    stop_after(0)
    train(chosen, tmp_path / "run", resume=True)


def test_signals_do_what_they_did_before_once_a_training_is_over(
    tmp_path, experiment, quick
):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    train(experiment(steps=1), tmp_path / "run")
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("options", [{}, GAN], ids=["supervised", "cgan"])
def test_the_loss_is_scaled_in_float16(
    tmp_path, experiment, quick, trained, options
):
    chosen = experiment(precision="mixed_float16", steps=1, **options)
    train(chosen, tmp_path / "run")
    (scheme,) = trained
    for optimizer in scheme.optimizers:
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


# === Processes ===

COMMAND = "from kcolor.cli.train import main; main()"


def start(*flags) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, flags)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Waits for a checkpoint, or a later one that has taken its place."""
    deadline = time.monotonic() + 300
    while not any(p.name >= path.name for p in path.parent.glob("*.index")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9},
        {"scheme": "cgan", "discriminator": "pixel"},
        {
            "scheme": "cyclegan",
            "discriminator": "pixel",
            "batch_size": 1,
            "pool": 4,
        },
    ],
    ids=lambda options: options.get("scheme", "supervised"),
)
def test_a_process_killed_and_resumed_ends_as_one_never_killed(
    tmp_path, experiment, options
):
    chosen = experiment(dropout=0.3, epochs=40, **options)
    config = tmp_path / "config.yaml"
    config.write_text(chosen.to_yaml())
    whole = start("--config", config, "--run", tmp_path / "whole")
    assert whole.wait() == 0, whole.stderr.read()
    run = Run(tmp_path / "run")
    flags = ["--run", run.path, "--checkpoint-minutes", "0"]
    first = ["--config", config]
    for step, number in (
        (5, signal.SIGKILL),
        (22, signal.SIGTERM),
        (50, signal.SIGKILL),
        (70, signal.SIGINT),
    ):
        process = start(*first, *flags)
        wait_for(run.checkpoints / f"step-{step:09d}.index", process)
        process.send_signal(number)
        code = process.wait()
        if number == signal.SIGKILL:
            assert code == -signal.SIGKILL
        else:
            assert code == 128 + number
            told = process.stderr.read().splitlines()
            assert len(told) == 1
            assert signal.Signals(number).name in told[0]
        first = ["--resume"]
    last = start(*first, *flags)
    assert last.wait() == 0, last.stderr.read()
    assert_same_end(run, Run(tmp_path / "whole"))


def test_a_full_disk_is_named_by_its_run(
    tmp_path, experiment, quick, monkeypatch
):
    def write_history(self, rows):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Run, "write_history", write_history)
    text = refusal(experiment(), tmp_path / "run")
    assert str(tmp_path / "run") in text
    assert "disk is full" in text
    assert "--resume" in text
