"""Tests for training against a discriminator of lightness and ab."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from adversaries import (
    assert_16_bits_train,
    assert_xla_agrees,
    moved,
    numbers_of,
    step,
)

from kcolor import objectives
from kcolor.colorizer import Colorizer
from kcolor.models.cnn import CNN
from kcolor.models.pix2pix import Pix2Pix
from kcolor.models.resnet import ResNet
from kcolor.models.unet import UNet
from kcolor.schemes.cgan import ConditionalGAN
from kcolor.training.cgan import CGAN
from kcolor.training.supervised import Supervised

pytestmark = pytest.mark.usefixtures("fresh_keras")

SIZE = 32
UNET = UNet(filters=4, depth=1)
DROPS = UNet(filters=4, depth=1, dropout=0.5)
PIX2PIX = Pix2Pix(filters=4, depth=2)
GAN_LOSSES = ["vanilla", "least_squares", "hinge", "wgan_gp"]


def photos(count=4, size=SIZE):
    random = np.random.default_rng(0)
    lightness = random.uniform(0, 100, (count, size, size, 1))
    ab = np.concatenate([50 - lightness, lightness - 30], -1)
    return tf.constant(lightness, tf.float32), tf.constant(ab, tf.float32)


def colorizer_of(architecture, loss="l1", noise="none"):
    keras.utils.set_random_seed(0)
    settings = {"rebalance": 0.0} if loss == "ce" else {}
    objective = objectives.get(loss)(**settings)
    return Colorizer(architecture, objective, SIZE, noise=noise)


def cgan_of(
    architecture=UNET, loss="l1", rate=1e-2, discriminator_rate=1e-2, **settings
):
    """Returns a training by plain gradient descent, ready to step."""
    settings = {"patch_layers": 1, "discriminator_filters": 4} | settings
    scheme = ConditionalGAN(**settings)
    colorizer = colorizer_of(architecture, loss, scheme.noise)
    training = scheme.build(colorizer, seed=0)
    training.compile(
        keras.optimizers.SGD(rate), keras.optimizers.SGD(discriminator_rate)
    )
    training.build_optimizers()
    return training


def supervised_of(architecture=UNET, loss="l1"):
    training = Supervised(colorizer_of(architecture, loss), seed=0)
    training.compile(keras.optimizers.SGD(1e-2))
    training.build_optimizers()
    return training


def assert_close(found, expected, **tolerance):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@pytest.mark.parametrize("loss", ["l1", "ce", "energy"])
@pytest.mark.parametrize("arch", [UNET, DROPS], ids=["plain", "dropout"])
def test_without_weight_the_discriminator_changes_nothing(arch, loss):
    cgan, supervised = (
        cgan_of(arch, loss, gan_weight=0),
        supervised_of(arch, loss),
    )
    discriminator = numbers_of(cgan.discriminator_variables)
    for _ in range(2):
        found, expected = step(cgan, photos(2)), step(supervised, photos(2))
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-6)
    assert_close(
        cgan.generator_variables,
        supervised.generator_variables,
        rtol=1e-5,
        atol=1e-7,
    )
    assert all(moved(discriminator, cgan.discriminator_variables))


@pytest.mark.parametrize("arch", [UNET, PIX2PIX], ids=["unet", "pix2pix"])
def test_without_weight_the_colorizer_is_the_supervised_one(arch):
    # Statistics of normalisation and all.
    cgan, supervised = cgan_of(arch, gan_weight=0), supervised_of(arch)
    for _ in range(2):
        step(cgan, photos())
        step(supervised, photos())
    found, expected = cgan.colorizer.weights, supervised.colorizer.weights
    assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("gan_loss", ["vanilla", "wgan_gp"])
def test_only_who_has_a_rate_learns(gan_loss):
    for rate, other in ((0.0, 1.0), (1.0, 0.0)):
        cgan = cgan_of(
            rate=rate, discriminator_rate=other, gan_loss=gan_loss, r1=1.0
        )
        variables = cgan.generator_variables, cgan.discriminator_variables
        before = list(map(numbers_of, variables))
        step(cgan, photos())
        for old, new, its_rate in zip(
            before, variables, (rate, other), strict=True
        ):
            # Biases before a normalisation have no gradient but rounding.
            changed = moved(old, new)
            assert np.mean(changed) > 0.5 if its_rate else not any(changed)


def test_nobody_s_weights_are_the_other_s():
    cgan = cgan_of()
    generator = {id(v) for v in cgan.generator_variables}
    discriminator = {id(v) for v in cgan.discriminator_variables}
    assert generator == {id(v) for v in cgan.colorizer.trainable_variables}
    assert not generator & discriminator


def test_the_colorizer_learns_from_what_the_discriminator_says_after_its_step():
    def learnt(discriminator_rate, weights=None, rate=1e-2):
        cgan = cgan_of(
            rate=rate,
            discriminator_rate=discriminator_rate,
            gan_weight=100.0,
        )
        if weights is not None:
            cgan.discriminator.set_weights(weights)
        step(cgan, photos())
        return cgan.generator_variables, cgan.discriminator.get_weights()

    _, after = learnt(5.0, rate=0.0)
    found, _ = learnt(5.0)
    expected, _ = learnt(0.0, weights=after)
    assert_close(found, expected, rtol=1e-4, atol=1e-6)
    # And not from what it said before.
    stale, _ = learnt(0.0)
    assert (
        max(
            np.abs(np.array(one) - np.array(other)).max()
            for one, other in zip(found, stale, strict=True)
        )
        > 1e-4
    )


def test_the_weight_is_that_of_the_adversarial_loss():
    figures = step(cgan_of(gan_weight=0, discriminator_rate=0.0), photos())

    def learnt(weight):
        cgan = cgan_of(gan_weight=weight, discriminator_rate=0.0, rate=1.0)
        before = numbers_of(cgan.generator_variables)
        assert step(cgan, photos())["loss"] == pytest.approx(figures["loss"])
        after = cgan.generator_variables
        return [np.array(n) - o for n, o in zip(after, before, strict=True)]

    none, one, three = map(learnt, (0, 1, 3))
    assert_close(
        [(c - a) for a, c in zip(none, three, strict=True)],
        [3 * (b - a) for a, b in zip(none, one, strict=True)],
        rtol=0.01,
        atol=1e-4,
    )
    assert any(np.abs(b - a).max() > 0 for a, b in zip(none, one, strict=True))


def test_the_discriminator_may_take_several_steps_to_one_of_the_colorizer():
    cgan = cgan_of(discriminator_steps=3)
    for _ in range(2):
        step(cgan, photos())
    assert int(cgan.optimizer.iterations) == 2
    assert int(cgan.discriminator_optimizer.iterations) == 6


def test_the_discriminator_learns_to_tell():
    cgan = cgan_of(rate=0.0, discriminator_rate=0.1, discriminator_steps=5)
    first, *_, last = (step(cgan, photos()) for _ in range(10))
    assert last["discriminator_loss"] < first["discriminator_loss"] / 2
    assert min(last["real_accuracy"], last["fake_accuracy"]) > 0.9
    # What it knows, the colorizer has to pay for.
    assert last["generator_loss"] > first["generator_loss"]


@pytest.mark.parametrize(
    ("arch", "is_seen"),
    [(UNET, False), (CNN(head="conv"), True)],
    ids=["half size", "full size"],
)
def test_real_photos_are_as_coarse_as_the_colorizer_s(arch, is_seen):
    lightness, ab = photos()
    # Of the same mean in each square of 2x2 pixels.
    signs = np.indices((SIZE, SIZE)).sum(0) % 2 * 2 - 1
    finer = ab + 10.0 * signs[None, ..., None]
    found = []
    for truth in (ab, finer):
        cgan = cgan_of(arch, rate=0.0, discriminator_rate=10.0)
        step(cgan, (lightness, truth))
        found.append(numbers_of(cgan.discriminator_variables))
    difference = max(
        np.abs(one - other).max() for one, other in zip(*found, strict=True)
    )
    assert difference > 1e-3 if is_seen else difference < 1e-5


def test_the_discriminator_sees_lightness_beside_ab():
    # The same colours on other photos are no longer as real.
    lightness, ab = photos()
    cgan = cgan_of(rate=0.0, discriminator_rate=0.1, discriminator_steps=5)
    for _ in range(3):
        step(cgan, (lightness, ab))
    assert cgan.discriminator.input_shape[-1] == 3
    own = step(cgan, (lightness, ab))["generator_loss"]
    other = step(cgan, (100 - lightness, ab))["generator_loss"]
    assert own != pytest.approx(other, rel=1e-3)


# === Pretraining ===


def test_the_first_epochs_are_supervised_ones():
    cgan = cgan_of(pretrain_epochs=2)
    supervised = supervised_of()
    supervised.make_train_function()
    dataset = tf.data.Dataset.from_tensors(photos()).repeat(2)
    before = numbers_of(cgan.discriminator_variables)
    for epoch in range(4):
        cgan.begin_epoch(epoch)
        cgan.make_train_function()
        found = last_figures(cgan, dataset)
        assert set(found) == set(cgan.logged)
        if epoch < 2:
            expected = last_figures(supervised, dataset)
            assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6)
            assert np.isnan(found["generator_loss"])
            assert not any(moved(before, cgan.discriminator_variables))
            assert_close(
                cgan.generator_variables,
                supervised.generator_variables,
                rtol=1e-5,
                atol=1e-7,
            )
        else:
            assert np.isfinite(list(found.values())).all()
    assert any(moved(before, cgan.discriminator_variables))
    assert int(cgan.discriminator_optimizer.iterations) == 4


def last_figures(training, dataset):
    """Takes an epoch's steps, and returns the figures after the last."""
    training.reset_metrics()
    stream = iter(dataset)
    for _ in dataset:
        figures = training.train_function(stream)
    return {name: float(value) for name, value in figures.items()}


def test_a_training_resumed_after_pretraining_does_not_pretrain_again():
    cgan = cgan_of(pretrain_epochs=2)
    cgan.begin_epoch(2)
    assert np.isfinite(list(step(cgan, photos()).values())).all()
    assert int(cgan.discriminator_optimizer.iterations) == 1


# === All Kinds, Precisions and Devices ===


@pytest.mark.parametrize("discriminator", ["patch", "pixel", "cnn"])
@pytest.mark.parametrize("gan_loss", GAN_LOSSES)
def test_every_game_trains_with_every_discriminator(gan_loss, discriminator):
    cgan = cgan_of(
        gan_loss=gan_loss,
        discriminator=discriminator,
        spectral=gan_loss == "hinge",
        r1=0.1,
        label_smoothing=0.1,
    )
    variables = cgan.generator_variables + cgan.discriminator_variables
    for _ in range(2):
        figures = step(cgan, photos(2))
        assert set(figures) == set(cgan.logged)
        assert np.isfinite(list(figures.values())).all()
        assert 0 <= figures["real_accuracy"] <= 1
    for variable in variables:
        assert np.isfinite(variable).all(), variable.path


@pytest.mark.parametrize(
    "settings",
    [
        {"gan_loss": "wgan_gp", "r1": 0.1},
        *(
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                {"gan_loss": "vanilla", "discriminator_steps": 2},
                {"gan_loss": "hinge", "spectral": True, "noise": "planes"},
            )
        ),
    ],
    ids=lambda settings: settings["gan_loss"],
)
@pytest.mark.filterwarnings("error:.*jit_compile")
def test_xla_computes_the_same_losses(settings, same_draws):
    assert_xla_agrees(lambda: cgan_of(**settings), photos(), epochs=2)


@pytest.mark.parametrize("gan_loss", ["vanilla", "wgan_gp"])
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_on_nearly_the_same_losses(precision, gan_loss):
    figures = step(cgan_of(gan_loss=gan_loss), photos())
    names = ("loss", "generator_loss", "discriminator_loss")

    keras.config.set_dtype_policy(precision)
    assert_16_bits_train(
        cgan_of(gan_loss=gan_loss, r1=0.1),
        photos(),
        expected={name: figures[name] for name in names},
        least_moved=0.5,
    )


@pytest.mark.slow
def test_two_devices_step_as_one_does():
    # In a process of its own: devices are chosen before TensorFlow begins.
    result = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["replicas"] == 2
    for name in ("generator", "discriminator"):
        one, two = found["one"], found["two"]
        assert np.abs(one[name]).max() > 1e-4  # it has moved
        np.testing.assert_allclose(two[name], one[name], rtol=0.01, atol=1e-6)
    for name in ("loss", "generator_loss", "discriminator_loss"):
        assert two[name] == pytest.approx(one[name], rel=1e-3)
    # With statistics of batches, and all that is random.
    assert len(found["other"]) == 5
    assert np.isfinite(found["other"]).all()


ON_TWO_DEVICES = f"""
import contextlib, json
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
tf.config.set_visible_devices([], "GPU")
import keras
import numpy as np
from kcolor import models
from kcolor.colorizer import Colorizer
from kcolor.objectives.l1 import L1
from kcolor.schemes.cgan import ConditionalGAN

random = np.random.default_rng(0)
lightness = random.uniform(0, 100, (4, {SIZE}, {SIZE}, 1))
ab = np.concatenate([50 - lightness, lightness - 30], -1)
photos = np.float32(lightness), np.float32(ab)

def trained(architecture, strategy, **settings):
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        scheme = ConditionalGAN(
            patch_layers=1, discriminator_filters=4, **settings
        )
        colorizer = Colorizer(
            architecture, L1(), {SIZE}, noise=scheme.generator_noise
        )
        cgan = scheme.build(colorizer, seed=0)
        cgan.compile(
            keras.optimizers.SGD(0.1),
            keras.optimizers.SGD(0.1),
            run_eagerly=not strategy,
        )
        cgan.build_optimizers()
    parts = dict(
        generator=cgan.generator_variables,
        discriminator=cgan.discriminator_variables,
    )
    before = dict((n, list(map(np.array, v))) for n, v in parts.items())
    dataset = tf.data.Dataset.from_tensor_slices(photos).batch(4)
    history = cgan.fit(dataset, verbose=0).history
    found = dict((name, values[0]) for name, values in history.items())
    for name, variables in parts.items():
        moves = [
            np.ravel(np.array(new) - old)
            for new, old in zip(variables, before[name])
        ]
        found[name] = np.concatenate(moves)[::7].tolist()
    return found

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
resnet = models.get("resnet")(filters=4, blocks=1)
unet = models.get("unet")(filters=4, depth=1, dropout=0.5)
other = trained(
    unet,
    strategy,
    noise="planes",
    gan_loss="wgan_gp",
    discriminator_steps=2,
    spectral=True,
    r1=0.1,
)
print(json.dumps(dict(
    replicas=strategy.num_replicas_in_sync,
    one=trained(resnet, None, r1=0.1),
    two=trained(resnet, strategy, r1=0.1),
    other=[v for v in other.values() if not isinstance(v, list)],
)))
"""


# === Noise ===


@pytest.mark.parametrize(
    ("arch", "noise", "can_sample"),
    [
        (UNET, "none", False),
        (PIX2PIX, "none", False),
        (UNET, "planes", True),
        (ResNet(filters=4, blocks=1), "planes", True),
        (PIX2PIX, "dropout", True),
        (DROPS, "dropout", True),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_samples_differ_by_noise_and_the_one_answer_does_not(
    arch, noise, can_sample, tmp_path
):
    cgan = cgan_of(arch, noise=noise)
    step(cgan, photos())
    colorizer = cgan.colorizer
    lightness, _ = photos()
    one, same, other = (
        np.array(colorizer.sample(lightness, seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.array_equal(one, other) != can_sample
    assert colorizer.can_sample == can_sample
    answer = np.array(colorizer(lightness))
    np.testing.assert_array_equal(answer, colorizer(lightness))
    assert np.array_equal(answer, one) != can_sample

    colorizer.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.noise == noise
    np.testing.assert_allclose(loaded.sample(lightness, 1), one, atol=1e-4)
    np.testing.assert_allclose(loaded(lightness), answer, atol=1e-4)


@pytest.mark.parametrize("noise", ["planes", "dropout"])
def test_a_fresh_sample_is_another_each_time(noise):
    colorizer = colorizer_of(PIX2PIX, noise=noise)
    lightness, _ = photos(1)
    one, other = (np.array(colorizer.sample(lightness)) for _ in range(2))
    assert not np.array_equal(one, other)


def test_each_photo_of_a_batch_has_noise_of_its_own():
    lightness = tf.repeat(photos(1)[0], 2, axis=0)
    for arch, noise in ((UNET, "planes"), (PIX2PIX, "dropout")):
        colorizer = colorizer_of(arch, noise=noise)
        first, second = np.array(colorizer.sample(lightness, 0))
        assert not np.array_equal(first, second)
        # The one answer's noise is always the same.
        first, second = np.array(colorizer(lightness))
        np.testing.assert_allclose(first, second, atol=1e-4)


def test_the_colorizer_trains_on_fresh_noise_and_is_judged_by_the_same():
    cgan = cgan_of(noise="planes", rate=0.0, discriminator_rate=0.0)
    # So that the noise weighs something.
    head = cgan.colorizer.network.get_layer("head")
    head.kernel.assign(keras.random.normal(head.kernel.shape, seed=0))
    first, second = (step(cgan, photos())["loss"] for _ in range(2))
    assert first != pytest.approx(second, rel=1e-5)
    dataset = tf.data.Dataset.from_tensors(photos())
    first, second = (cgan.validate(dataset) for _ in range(2))
    assert first == second


def test_cgan_is_what_its_scheme_builds():
    assert isinstance(cgan_of(), CGAN)
