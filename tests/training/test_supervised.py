"""Tests for training on pairs of lightness and ab."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor import objectives
from kcolor.colorizer import Colorizer
from kcolor.models.cnn import CNN
from kcolor.models.iizuka import Iizuka
from kcolor.models.larsson import Larsson
from kcolor.models.unet import UNet
from kcolor.objectives.ce import CrossEntropy
from kcolor.objectives.l2 import L2
from kcolor.training.supervised import Supervised

pytestmark = pytest.mark.usefixtures("fresh_keras")


def photos(count=5, height=16, width=16):
    random = np.random.default_rng(0)
    lightness = random.uniform(0, 100, (count, height, width, 1))
    ab = random.normal(0, 20, (count, height, width, 2))
    return lightness.astype("float32"), ab.astype("float32")


def scheme_of(loss, architecture=None):
    architecture = architecture or CNN(head="conv")
    colorizer = Colorizer(architecture, objectives.get(loss)(), 16)
    scheme = Supervised(colorizer)
    scheme.compile(keras.optimizers.SGD(1e-3))
    return scheme


def evaluated(scheme, batch_size, *arrays):
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)
    return scheme.validate(dataset)


@pytest.mark.parametrize("loss", ["energy", "flow"])
def test_the_same_weights_are_judged_by_the_same_draws(loss):
    scheme = scheme_of(loss)
    assert evaluated(scheme, 2, *photos()) == evaluated(scheme, 2, *photos())


@pytest.mark.parametrize("loss", ["energy", "flow"])
def test_validation_does_not_change_what_training_draws(loss):
    losses = []
    for validates in (False, True):
        keras.utils.set_random_seed(0)
        scheme = scheme_of(loss)
        if validates:
            evaluated(scheme, 2, *photos())
        losses.append(float(scheme.losses_of(*photos(), training=True)["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_small_last_batch_weighs_no_more_than_its_photos():
    lightness, ab = photos(count=5)
    ab[:4] = 0  # only the last, alone in its batch, is wrong
    scheme = scheme_of("l2")
    whole = evaluated(scheme, 5, lightness, ab)["loss"]
    assert evaluated(scheme, 4, lightness, ab)["loss"] == pytest.approx(
        whole, rel=1e-4
    )


@pytest.mark.parametrize("size", [(16, 16), (17, 19), (5, 30)])
def test_the_loss_is_of_the_photo_and_not_of_its_padding(size):
    lightness, ab = photos(1, *size)
    unet = UNet(filters=4, depth=2)
    assert any(side % unet.multiple for side in size) or size == (16, 16)
    scheme = Supervised(Colorizer(unet, L2(), 16))
    colorizer = scheme.colorizer
    rows, columns = (-(-side // 2) for side in size)
    decoded = np.array(L2().decode(colorizer.forward(lightness)()))
    squares = np.empty((rows, columns, 2), "float32")
    for row in range(rows):
        for column in range(columns):
            square = ab[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            # The last row or column stands for the one that is not there.
            square = np.pad(
                square,
                [(0, 2 - square.shape[0]), (0, 2 - square.shape[1]), (0, 0)],
                mode="edge",
            )
            squares[row, column] = square.mean((0, 1))
    expected = np.square(decoded[0] - squares).mean()
    loss = float(scheme.losses_of(lightness, ab)["loss"])
    assert loss == pytest.approx(expected, rel=1e-4)


def test_sampled_pixels_are_the_photo_s_own():
    lightness, ab = photos(2, 33, 40)
    scheme = Supervised(Colorizer(Larsson(width=0.0625, hidden=4), L2(), 33))
    target = np.array(scheme.colorizer.to_grid(ab))
    chosen, positions = (np.array(x) for x in scheme._choose(target))
    assert positions.shape == (2, 128, 2)
    assert (positions < [17, 20]).all()
    rows, columns = positions[..., 0], positions[..., 1]
    np.testing.assert_array_equal(
        chosen[:, :, 0], target[[[0], [1]], rows, columns]
    )
    assert np.isfinite(scheme.losses_of(lightness, ab, training=True)["loss"])


def test_sizes_may_be_known_when_the_graph_runs_only():
    scheme = Supervised(Colorizer(Larsson(width=0.0625, hidden=4), L2(), 32))
    shapes = [tf.TensorSpec((None, None, None, n)) for n in (1, 2)]

    @tf.function(input_signature=shapes)
    def loss(lightness, ab):
        return scheme.losses_of(lightness, ab, training=True)["loss"]

    assert np.isfinite(loss(*photos(2, 33, 40)))


def test_photos_without_classes_are_judged_by_the_other_losses():
    objective = CrossEntropy(rebalance=0)
    scheme = Supervised(Colorizer(Iizuka(0.0625), objective, 16, classes=3))
    scheme.compile()
    lightness = np.full((2, 16, 16, 1), 50, "float32")
    found = scheme.validate(
        tf.data.Dataset.from_tensors((lightness, np.zeros((2, 16, 16, 2))))
    )
    assert found["nll"] > 0
