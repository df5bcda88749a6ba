"""Tests for an encoder that stays as it is, later learns, or is kept."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from patterns import save_blobs

from kcolor import trainer
from kcolor.borrowed.efficientnet_lite import VARIANTS
from kcolor.colorizer import Colorizer
from kcolor.data.prepare import load
from kcolor.errors import UserError
from kcolor.models.unet import UNet
from kcolor.objectives.l2 import L2
from kcolor.training import features
from kcolor.training.experiment import Experiment
from kcolor.training.supervised import Supervised

SIZE = 16


@pytest.fixture(scope="module", autouse=True)
def small_encoder():
    """An encoder that is quickly traced, with weights by chance."""
    patch = pytest.MonkeyPatch()
    name = "efficientnet_lite0"
    small = dataclasses.replace(VARIANTS[name], width=0.25, depth=0.1)
    patch.setitem(VARIANTS, name, small)
    patch.setattr(UNet, "require", lambda self: None)
    patch.setattr(UNet, "load_encoder", lambda self, network: None)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
    patch.undo()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    save_blobs(folder, 14, size=(20, 20))
    return folder


@pytest.fixture(scope="module")
def experiment(photos):
    def of(**fields) -> Experiment:
        chosen = {
            "arch": "unet",
            "encoder": "efficientnet_lite0",
            "freeze_encoder": True,
            "filters": 4,
            "depth": 2,
            "data": str(photos),
            "loss": "l2",
            "image_size": SIZE,
            "batch_size": 3,
            "epochs": 2,
            "precision": "float32",
        }
        return Experiment.of(**chosen | fields)

    return of


@pytest.fixture
def quick(monkeypatch):
    """Leaves out what does not decide the weights."""
    monkeypatch.setattr(
        trainer.pictures, "save_curves", lambda path, _: path.touch()
    )
    monkeypatch.setattr(trainer, "_log_pictures", lambda *_: None)
    monkeypatch.setattr(
        trainer, "_report", lambda data, run, _: run.metrics.write_text("{}")
    )


@pytest.fixture
def encoders_of_epochs(monkeypatch):
    """The encoder's weights before each epoch, and after the last."""
    found = []
    begin = Supervised.begin_epoch

    def begin_epoch(scheme, epoch):
        begin(scheme, epoch)
        colorizer = scheme.colorizer
        encoder = colorizer.architecture.encoder_of(colorizer.network)
        found.append(encoder.get_weights())

    monkeypatch.setattr(Supervised, "begin_epoch", begin_epoch)
    return found


def train(experiment, run, **options):
    keras.utils.clear_session()
    return trainer.train(experiment, run, **options)


def trained(run):
    return keras.saving.load_model(run.model).get_weights()


def moved(before, after):
    return [
        not np.array_equal(b, a) for b, a in zip(before, after, strict=True)
    ]


def test_a_frozen_encoder_stays_until_it_is_to_learn(
    tmp_path, experiment, quick, encoders_of_epochs
):
    train(experiment(unfreeze_at=1, epochs=3, ema=0.5), tmp_path / "run")
    first, second, third = encoders_of_epochs
    assert not any(moved(first, second))
    assert all(moved(second, third))


def test_the_rest_learns_while_the_encoder_is_frozen():
    colorizer = Colorizer(UNet("efficientnet_lite0", 4, 2), L2(), SIZE)
    scheme = Supervised(colorizer)
    encoder = colorizer.architecture.encoder_of(colorizer.network)
    scheme.freeze(encoder, 0)
    encoder.trainable = False
    decoder = colorizer.architecture.decoder_of(colorizer.network)
    assert len(scheme.generator_variables) == len(decoder.trainable_variables)


def test_averages_of_what_begins_to_learn_begin_there():
    keras.utils.set_random_seed(0)
    colorizer = Colorizer(UNet("efficientnet_lite0", 4, 2), L2(), SIZE)
    scheme = Supervised(colorizer)
    scheme.compile(keras.optimizers.SGD(1e-9, use_ema=True, ema_momentum=0.9))
    encoder = colorizer.architecture.encoder_of(colorizer.network)
    scheme.freeze(encoder, 1)
    scheme.build_optimizers()
    scheme.make_train_function()
    random = np.random.default_rng(0)
    batch = (
        random.uniform(0, 100, (2, SIZE, SIZE, 1)).astype("float32"),
        random.normal(0, 20, (2, SIZE, SIZE, 2)).astype("float32"),
    )
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    for epoch in range(2):
        scheme.begin_epoch(epoch)
        for _ in range(3):
            scheme.train_function(batches)
    variables = scheme.generator_variables
    assert len(variables) == len(colorizer.trainable_variables)
    for variable, average in zip(variables, scheme.averaged(), strict=True):
        np.testing.assert_allclose(variable, average, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("views", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_run_stopped_before_the_encoder_learns_ends_as_one_never_stopped(
    tmp_path, experiment, quick, views, monkeypatch
):
    chosen = experiment(unfreeze_at=1, epochs=3, ema=0.5, views=views)
    whole = trained(train(chosen, tmp_path / "whole"))
    write = trainer.Run.write_history

    def stop(run, rows):
        write(run, rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Run, "write_history", stop)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                train(
                    chosen,
                    tmp_path / "run",
                    resume=(tmp_path / "run").exists(),
                    checkpoint_minutes=0,
                )
    resumed = trained(train(chosen, tmp_path / "run", resume=True))
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)


# === What the encoder says, kept ===


@pytest.fixture
def colorizer():
    keras.utils.set_random_seed(0)
    return Colorizer(UNet("efficientnet_lite0", 4, 2), L2(), SIZE)


@pytest.fixture(scope="module")
def train_photos(photos):
    return load(str(photos), SIZE).train


def kept(photos, colorizer, number=2, faults=0.5, **options):
    return features.views(photos, colorizer, number, 7, faults, "x", **options)


def test_what_is_kept_is_what_the_encoder_says_of_the_photo_as_it_was(
    train_photos, colorizer
):
    views = kept(train_photos, colorizer, number=1)
    encoder = colorizer.architecture.encoder_of(colorizer.network)
    asked = [part.numpy() for part in encoder(views.arrays[0] / 50 - 1)]
    expected = [views.arrays[0], views.arrays[1], *asked]
    turned = 0
    for lightness, ab, more in views.batches(1, (0, 0)):
        found = [part.numpy() for part in (lightness, ab, *more["features"])]
        apart = [
            [
                max(
                    np.abs(f - e[row]).max()
                    for f, e in zip(look, expected, strict=True)
                )
                for row in range(len(train_photos))
            ]
            for look in (found, [part[:, :, ::-1] for part in found])
        ]
        assert np.min(apart) < 1e-4
        turned += np.argmin(np.min(apart, axis=1))
    assert 0 < turned < len(train_photos)


def test_each_epoch_takes_the_next_view_of_all_photos(train_photos, colorizer):
    views = kept(train_photos, colorizer)
    count = len(train_photos)
    epochs = [
        np.concatenate([ab for _, ab, _ in views.batches(1, (0, epoch))])
        for epoch in range(3)
    ]
    firsts, seconds = np.split(views.arrays[1], [count])
    for epoch, expected in zip(epochs, (firsts, seconds, firsts), strict=True):
        np.testing.assert_allclose(
            np.sort(epoch.sum((1, 2, 3))),
            np.sort(expected.sum((1, 2, 3))),
            rtol=1e-4,
        )
    assert not np.array_equal(firsts, seconds)


def test_features_of_half_precision_are_kept_as_they_are(train_photos):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        colorizer = Colorizer(UNet("efficientnet_lite0", 4, 2), L2(), SIZE)
        views = kept(train_photos, colorizer)
        encoder = colorizer.architecture.encoder_of(colorizer.network)
        for lightness, _, more in views.batches(3, (0, 0)):
            looks = [
                encoder(lightness / 50 - 1),
                [
                    f[:, :, ::-1]
                    for f in encoder(lightness[:, :, ::-1] / 50 - 1)
                ],
            ]
            for found, *asked in zip(more["features"], *looks, strict=True):
                assert found.dtype == asked[0].dtype == tf.bfloat16
                away = tf.abs(tf.cast(found - tf.stack(asked), tf.float32))
                away = tf.reduce_max(away, axis=(2, 3, 4))  # (look, photo)
                assert float(tf.reduce_max(tf.reduce_min(away, axis=0))) < 0.1
    finally:
        keras.config.set_dtype_policy(policy)


@pytest.fixture
def little_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(features, "MEMORY_SHARE", 0.0)
    monkeypatch.setattr(features, "BATCH", 3)
    monkeypatch.setattr(features._Folder, "EVERY", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "kcolor"


def test_where_memory_is_short_files_hold_the_same(
    train_photos, colorizer, monkeypatch, little_memory
):
    said = []
    on_disk = kept(train_photos, colorizer, say=said.append)
    monkeypatch.setattr(features, "MEMORY_SHARE", 0.5)
    in_memory = kept(train_photos, colorizer, say=said.append)
    for one, other in zip(on_disk.arrays, in_memory.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    (folder,) = little_memory.iterdir()
    assert "GB" in said[0]
    assert str(folder) in said[0]


def test_what_is_on_the_disk_is_not_computed_again(
    train_photos, colorizer, little_memory
):
    lengths = []

    def stopped(items, total):
        lengths.append(total)
        for number, item in enumerate(items):
            if number == 3:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        kept(train_photos, colorizer, progress=stopped)

    def counted(items, total):
        lengths.append(total)
        return items

    first, again = (
        kept(train_photos, colorizer, progress=counted) for _ in range(2)
    )
    whole, left, none = lengths
    assert (whole - 3, 0) == (left, none)
    for one, other in zip(first.arrays, again.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.asarray(first.arrays[-1]).any(axis=(1, 2, 3)).all()


def test_other_weights_and_other_photos_have_a_place_of_their_own(
    train_photos, colorizer, little_memory
):
    kept(train_photos, colorizer)
    kept(train_photos, colorizer, faults=0.0)
    features.views(train_photos, colorizer, 2, 7, 0.5, "other")
    encoder = colorizer.architecture.encoder_of(colorizer.network)
    encoder.set_weights([weight + 1 for weight in encoder.get_weights()])
    kept(train_photos, colorizer)
    assert len(list(little_memory.iterdir())) == 4


def test_what_fits_nowhere_is_refused_with_its_size(
    train_photos, colorizer, little_memory, monkeypatch
):
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"GB.*fewer --views"):
        kept(train_photos, colorizer)


# === Settings that do not go together ===


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"encoder": "none"}, "has no encoder"),
        ({"freeze_encoder": False, "unfreeze_at": 1}, "--freeze-encoder true"),
        ({"freeze_encoder": False, "views": 1}, "--freeze-encoder true"),
        ({"unfreeze_at": 2}, "after the last"),
        ({"unfreeze_at": 1, "schedule": "plateau"}, "plateau"),
        ({"views": 1, "loss": "l1", "scheme": "cyclegan"}, "--views 0"),
    ],
)
def test_settings_that_do_not_go_together_say_so(experiment, fields, said):
    with pytest.raises(UserError, match=said):
        experiment(**fields)


# === Weights of another training ===


def test_a_training_begins_with_another_run_s_weights(
    tmp_path, experiment, quick, encoders_of_epochs, monkeypatch
):
    first = train(experiment(freeze_encoder=False), tmp_path / "first")
    chosen = experiment(init=str(first.path), epochs=1)

    def missing(architecture):
        raise UserError("the encoder's package is not installed")

    monkeypatch.setattr(UNet, "require", missing)
    train(chosen, tmp_path / "second")
    found = keras.saving.load_model(first.model)
    encoder = found.architecture.encoder_of(found.network)
    assert not any(moved(encoder.get_weights(), encoders_of_epochs[-1]))


def test_weights_that_know_something_move_slowly_by_default(experiment):
    fresh = trainer.resolve(experiment()).learning_rate
    # Decided before the weights are looked at.
    chosen = dataclasses.replace(experiment(), init="another")
    assert trainer.resolve(chosen).learning_rate == pytest.approx(fresh / 10)


def test_a_head_of_another_loss_begins_by_chance_and_says_so(
    tmp_path, experiment, quick, capsys
):
    first = train(experiment(epochs=1), tmp_path / "first")
    chosen = experiment(init=str(first.model), epochs=1, loss="ce")
    train(chosen, tmp_path / "second")
    assert "begins by chance, not with --init: head" in capsys.readouterr().out


def test_weights_that_do_not_fit_are_refused(
    tmp_path, experiment, photos, quick
):
    first = train(experiment(epochs=1), tmp_path / "first")
    other = Experiment.of(
        arch="cnn",
        head="conv",
        loss="l2",
        data=str(photos),
        image_size=SIZE,
        batch_size=3,
    )
    refusal = "is a unet, no cnn: leave out --arch"
    with pytest.raises(UserError, match=refusal):  # before any photo is read
        Experiment.of(init=str(first.path), arch="cnn")
    other = dataclasses.replace(other, init=str(first.path))
    with pytest.raises(UserError, match=refusal):
        train(other, tmp_path / "second")
