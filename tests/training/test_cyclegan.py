"""Tests for training on grey photos and on others in colour."""

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
from kcolor.models.resnet import ResNet
from kcolor.models.unet import UNet
from kcolor.schemes.cyclegan import CycleGANScheme
from kcolor.training.supervised import Supervised

pytestmark = pytest.mark.usefixtures("fresh_keras")

SIZE = 16
UNET = UNet(filters=4, depth=1)
CONV = CNN(head="conv")
RESNET = ResNet(filters=4, blocks=1)
# The screen greys; or a generator of its own.
FORMS = {"exact": (UNET, "l1"), "classical": (RESNET, "rgb")}
EVERY_FORM = pytest.mark.parametrize(
    ("arch", "loss"), FORMS.values(), ids=FORMS
)


def photos(count=4):
    """Returns lightness of some photos, and lightness and ab of others."""
    random = np.random.default_rng(0)
    grey, lightness = random.uniform(20, 80, (2, count, SIZE, SIZE, 1))
    ab = np.concatenate([50 - lightness, lightness - 30], -1)
    return tuple(tf.constant(x, tf.float32) for x in (grey, lightness, ab))


def cyclegan_of(
    arch=UNET, loss="l1", rate=1e-2, discriminator_rate=1e-2, **settings
):
    """Returns a training by plain gradient descent, ready to step."""
    settings = {"patch_layers": 1, "discriminator_filters": 4} | settings
    keras.utils.set_random_seed(0)
    training = CycleGANScheme(**settings).build(
        Colorizer(arch, objectives.get(loss)(), SIZE), seed=0
    )
    training.compile(
        keras.optimizers.SGD(rate), keras.optimizers.SGD(discriminator_rate)
    )
    training.build_optimizers()
    return training


def networks_of(training):
    """Returns generators and discriminators."""
    generators = [training.colorizer.network]
    if training.is_classical:
        generators.append(training.greying)
    return generators, training.discriminators


@pytest.mark.parametrize(
    ("arch", "loss", "count"), [(*FORMS["exact"], 1), (*FORMS["classical"], 2)]
)
def test_there_are_as_many_networks_as_ways(arch, loss, count):
    training = cyclegan_of(arch, loss)
    sides = networks_of(training)
    assert [len(networks) for networks in sides] == [count, count]
    for networks, variables in zip(
        sides,
        (training.generator_variables, training.discriminator_variables),
        strict=True,
    ):
        own = [v for network in networks for v in network.trainable_variables]
        assert [id(v) for v in own] == [id(v) for v in variables]
    planes = [network.input_shape[-1] for network in sides[0] + sides[1]]
    assert planes == ([1, 3] if count == 1 else [1, 3, 3, 1])


@EVERY_FORM
def test_only_who_has_a_rate_learns(arch, loss):
    for rates in ((0.0, 1.0), (1.0, 0.0)):
        training = cyclegan_of(arch, loss, *rates)
        sides = [
            [network.trainable_variables for network in networks]
            for networks in networks_of(training)
        ]
        before = [list(map(numbers_of, side)) for side in sides]
        step(training, photos())
        for side, old_side, rate in zip(sides, before, rates, strict=True):
            for variables, old in zip(side, old_side, strict=True):
                # Biases before a normalisation have no gradient but rounding.
                changed = moved(old, variables)
                assert np.mean(changed) > 0.4 if rate else not any(changed)


@EVERY_FORM
def test_generators_learn_from_what_is_said_after_the_discriminators_step(
    arch, loss
):
    def learnt(discriminator_rate, weights=None, rate=1e-2):
        training = cyclegan_of(arch, loss, rate, discriminator_rate)
        for discriminator, numbers in zip(
            training.discriminators, weights or [], strict=bool(weights)
        ):
            discriminator.set_weights(numbers)
        step(training, photos())
        after = [d.get_weights() for d in training.discriminators]
        return numbers_of(training.generator_variables), after

    _, after = learnt(1.0, rate=0.0)
    found, _ = learnt(1.0)
    expected, _ = learnt(0.0, after)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    stale, _ = learnt(0.0)
    assert any(
        not np.allclose(one, other, rtol=1e-4, atol=1e-6)
        for one, other in zip(found, stale, strict=True)
    )


def test_colours_reach_the_colorizer_through_the_discriminator_alone():
    grey, lightness, ab = photos()

    def learnt(discriminator_rate, *coloured):
        training = cyclegan_of(discriminator_rate=discriminator_rate)
        step(training, (grey, *coloured))
        return numbers_of(training.generator_variables)

    frozen = learnt(0.0, lightness, ab)
    assert not any(moved(frozen, learnt(0.0, lightness, -ab)))
    assert not any(moved(frozen, learnt(0.0, 100 - lightness, ab)))
    taught = learnt(10.0, lightness, ab)
    assert any(moved(taught, learnt(10.0, lightness, -ab)))


def test_the_loss_the_colorizer_was_given_does_not_teach():
    # Of l1 and l2, which decode alike, neither sees a true colour.
    found = []
    for loss in ("l1", "l2"):
        training = cyclegan_of(loss=loss)
        figures = step(training, photos())
        found.append([figures, numbers_of(training.generator_variables)])
    (figures, weights), (others, other_weights) = found
    assert figures == others
    assert not any(moved(weights, other_weights))


@pytest.mark.parametrize("arch", [UNET, CONV], ids=["unet", "cnn"])
def test_the_screen_changes_lightness_of_what_it_cannot_show_alone(arch):
    training = cyclegan_of(arch, rate=0.0, discriminator_rate=0.0)
    head = training.colorizer.network.get_layer("head")
    losses = []
    for ab in ((0.0, 0.0), (8.0, -8.0), (64.0, 64.0), (100.0, 100.0)):
        # The objective's unit is 16.
        head.kernel.assign(tf.zeros_like(head.kernel))
        head.bias.assign(np.float32(ab) / 16)
        losses.append(step(training, photos())["cycle_loss"])
    shown, still_shown, beyond, far_beyond = losses
    assert shown == pytest.approx(0, abs=1e-4)
    assert still_shown == pytest.approx(0, abs=1e-4)
    assert 0.005 < beyond < far_beyond


def test_the_cycle_draws_the_colorizer_back_into_what_the_screen_shows():
    training = cyclegan_of(
        rate=0.1, discriminator_rate=0.0, cycle_weight=1e3, pool=0
    )
    training.optimizer.global_clipnorm = 1.0
    head = training.colorizer.network.get_layer("head")
    head.bias.assign([6.0, 6.0])
    first, *_, last = (
        step(training, photos())["cycle_loss"] for _ in range(10)
    )
    assert last < first / 2


def test_generators_that_undo_each_other_close_the_cycle(monkeypatch):
    training = cyclegan_of(RESNET, "rgb")
    grey, lightness, ab = photos()
    assert step(training, (grey, lightness, ab))["cycle_loss"] > 0.1
    # Grey photos are all that lightness is enough for.
    monkeypatch.setattr(
        training, "_colour", lambda grey: tf.repeat(grey, 3, axis=-1)
    )
    monkeypatch.setattr(
        training,
        "_grey",
        lambda photo: tf.reduce_mean(photo, axis=-1, keepdims=True),
    )
    monkeypatch.setattr(training, "learn", lambda *_: None)
    figures = step(training, (grey, lightness, tf.zeros_like(ab)))
    assert figures["cycle_loss"] == pytest.approx(0, abs=1e-3)
    assert figures["identity_loss"] == pytest.approx(0, abs=1e-5)
    assert figures["loss"] == pytest.approx(figures["generator_loss"], abs=0.02)
    # What they lose on the way is the photos' colours.
    figures = step(training, (grey, lightness, ab))
    assert figures["cycle_loss"] > 0.05


@EVERY_FORM
def test_the_loss_is_the_weighted_sum_of_its_parts(arch, loss):
    training = cyclegan_of(arch, loss, cycle_weight=3.0, identity_weight=0.2)
    if loss == "l1":  # or nothing is beyond the screen
        head = training.colorizer.network.get_layer("head")
        head.bias.assign([6.0, 6.0])
    figures = step(training, photos())
    assert set(figures) == set(training.logged)
    assert figures["cycle_loss"] > 0
    identity = figures.get("identity_loss", 0.0)
    assert (identity > 0) == training.is_classical
    assert figures["loss"] == pytest.approx(
        figures["generator_loss"]
        + 3 * (figures["cycle_loss"] + 0.2 * identity),
        rel=1e-5,
    )


def test_generators_that_answer_coarsely_still_make_whole_photos():
    training = cyclegan_of(UNET, "rgb")
    grey, lightness, ab = photos()
    assert training._colour(grey / 50 - 1).shape == ab.shape[:-1] + (3,)
    assert training._grey(tf.repeat(grey, 3, axis=-1)).shape == grey.shape
    figures = step(training, (grey, lightness, ab))
    assert np.isfinite(list(figures.values())).all()


@EVERY_FORM
def test_discriminators_see_photos_of_earlier_steps_again(arch, loss):
    lessons = []
    training = cyclegan_of(arch, loss, rate=0.0, pool=4)
    teach = training.teach

    def listening(*given):
        lessons.append([np.array(fake) for _, _, fake in given])
        return teach(*given)

    training.teach = listening
    grey, *coloured = photos()
    step(training, (grey, *coloured))
    for number in range(5):
        flipped = tf.reverse(grey, [number % 2 + 1])
        step(training, (flipped, *(tf.reverse(c, [1]) for c in coloured)))
    for kind in range(len(lessons[0])):
        first, *later = (lesson[kind] for lesson in lessons)
        # By what differs from photo to photo and is not learnt: all of it.
        seen_again = [
            any(np.allclose(photo, old, atol=1e-5) for old in first)
            for fakes in later
            for photo in fakes
        ]
        assert any(seen_again)
        assert not all(seen_again)


@pytest.mark.parametrize(
    ("arch", "loss"),
    [
        pytest.param(*FORMS["exact"], id="exact"),
        pytest.param(
            *FORMS["classical"], id="classical", marks=pytest.mark.slow
        ),
    ],
)
@pytest.mark.filterwarnings("error:.*jit_compile")
def test_xla_computes_the_same_losses(arch, loss, same_draws):
    def training_of():
        return cyclegan_of(arch, loss, pool=4)

    assert_xla_agrees(training_of, photos(), epochs=3)


@EVERY_FORM
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_on_nearly_the_same_losses(
    arch, loss, precision
):
    figures = step(cyclegan_of(arch, loss), photos())
    names = ("loss", "discriminator_loss")

    keras.config.set_dtype_policy(precision)
    assert_16_bits_train(
        cyclegan_of(arch, loss, pool=4),
        photos(),
        expected={name: figures[name] for name in names},
        least_moved=0.4,
    )


@pytest.mark.parametrize(
    ("arch", "loss"), [(UNET, "l1"), (CONV, "l2"), (RESNET, "rgb")]
)
def test_validation_is_on_pairs_by_the_objective_s_own_loss(arch, loss):
    colorizer = Colorizer(arch, objectives.get(loss)(), SIZE)
    found = []
    cyclegan = CycleGANScheme(discriminator_filters=4).build(colorizer, seed=0)
    cyclegan.compile(None, None)
    supervised = Supervised(colorizer)
    supervised.compile(None)
    before = numbers_of(cyclegan.generator_variables)
    _, *pairs = photos()
    dataset = tf.data.Dataset.from_tensors(tuple(pairs))
    for training in (cyclegan, supervised):
        found.append(training.validate(dataset))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert set(found[0]) == set(colorizer.objective.logged)
    assert not any(moved(before, cyclegan.generator_variables))


@pytest.mark.slow
def test_two_devices_train():
    # In a process of its own: devices are chosen before TensorFlow begins.
    result = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    for found in json.loads(result.stdout.splitlines()[-1]):
        assert found["replicas"] == 2
        assert found["loss"][0] == pytest.approx(found["alone"], rel=1e-3)
        assert np.isfinite(found["loss"]).all()
        assert found["moved"] > 0.4
        assert found["remembered"] == 4


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
from kcolor import models, objectives
from kcolor.colorizer import Colorizer
from kcolor.schemes.cyclegan import CycleGANScheme

random = np.random.default_rng(0)
grey, lightness = random.uniform(20, 80, (2, 4, {SIZE}, {SIZE}, 1))
ab = np.concatenate([50 - lightness, lightness - 30], -1)
photos = tuple(map(np.float32, (grey, lightness, ab)))

def trained(loss, strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        scheme = CycleGANScheme(
            patch_layers=1, discriminator_filters=4, pool=4
        )
        architecture = models.get("resnet")(filters=4, blocks=1)
        colorizer = Colorizer(architecture, objectives.get(loss)(), {SIZE})
        training = scheme.build(colorizer, seed=0)
        training.compile(
            keras.optimizers.SGD(0.01),
            keras.optimizers.SGD(0.01),
            run_eagerly=not strategy,
        )
        training.build_optimizers()
    variables = training.generator_variables + training.discriminator_variables
    before = list(map(np.array, variables))
    dataset = tf.data.Dataset.from_tensor_slices(photos).batch(4)
    history = training.fit(dataset, epochs=3 if strategy else 1, verbose=0)
    moved = [
        not np.array_equal(old, new) for old, new in zip(before, variables)
    ]
    count = tf.convert_to_tensor(training.pool.count.value)
    return history.history["loss"], np.mean(moved), int(count)

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
found = []
for name in ("l1", "rgb"):
    losses, moved, count = trained(name, strategy)
    found.append(dict(
        replicas=strategy.num_replicas_in_sync,
        loss=losses,
        moved=float(moved),
        remembered=count,
        alone=trained(name, None)[0][0],
    ))
print(json.dumps(found))
"""
