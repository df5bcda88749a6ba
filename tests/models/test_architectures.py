"""Tests for the architectures of the field, layer by layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.layers import BatchNormalization, DepthToSpace, SpaceToDepth
from kcolor.layers.hypercolumn import Hypercolumn
from kcolor.models.iizuka import Iizuka
from kcolor.models.larsson import Larsson
from kcolor.models.unet import UNet
from kcolor.models.zhang import Zhang

pytestmark = pytest.mark.usefixtures("fresh_keras")


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_zhang_at_width_one_is_the_paper_s_network_layer_for_layer():
    # kernel, stride, dilation, filters, parameters
    blocks = [
        [(3, 1, 1, 64, 640), (3, 2, 1, 64, 36_928)],
        [(3, 1, 1, 128, 73_856), (3, 2, 1, 128, 147_584)],
        [(3, 1, 1, 256, 295_168)]
        + [(3, 1, 1, 256, 590_080), (3, 2, 1, 256, 590_080)],
        [(3, 1, 1, 512, 1_180_160)] + 2 * [(3, 1, 1, 512, 2_359_808)],
        3 * [(3, 1, 2, 512, 2_359_808)],
        3 * [(3, 1, 2, 512, 2_359_808)],
        3 * [(3, 1, 1, 512, 2_359_808)],
        [(4, 2, 1, 256, 2_097_408)] + 2 * [(3, 1, 1, 256, 590_080)],
    ]
    network = Zhang(width=1.0).build(256, planes=1, channels=313)
    for number, block in enumerate(blocks, 1):
        layers = [
            layer
            for layer in network.layers
            if layer.name.startswith(f"conv{number}_")
        ]
        found = [
            (
                layer.kernel_size[0],
                layer.strides[0],
                layer.dilation_rate[0],
                layer.filters,
                layer.count_params(),
            )
            for layer in layers
        ]
        assert found == block
        names = [layer.name for layer in network.layers]
        assert (f"norm{number}" in names) == (number < 8)
    assert network.get_layer("head").kernel_size == (1, 1)
    assert not any("Pool" in type(x).__name__ for x in network.layers)
    assert network(random(1, 64, 64, 1)).shape == (1, 16, 16, 313)


def test_larsson_at_width_one_has_the_paper_s_hypercolumn():
    network = Larsson(width=1.0, hidden=1).build(64, planes=1, channels=64)
    parts = [x for x in network.layers if x.name.startswith("part")]
    assert sum(part.input.shape[-1] for part in parts) == 12_417


@pytest.mark.parametrize("stride", [1, 2])
def test_a_hypercolumn_at_positions_is_that_of_all_pixels_there(stride):
    maps = [random(2, side, side, 5) for side in (16, 8, 4, 1)]
    layer = Hypercolumn(stride)
    every = np.array(layer(maps))
    side = 16 // stride
    positions = np.random.default_rng(1).integers(0, side**2, (2, 40))
    some = np.array(layer(maps, positions))
    expected = every.reshape(2, side**2, 1, 5)[[[0], [1]], positions]
    np.testing.assert_allclose(some, expected, atol=1e-5)


def test_larsson_trained_on_samples_shares_its_weights_with_the_whole():
    larsson = Larsson(width=0.0625, hidden=8)
    network = larsson.build(64, planes=1, channels=4)
    sampled = larsson.sampled(network)
    assert {id(w) for w in sampled.weights} == {id(w) for w in network.weights}
    planes = random(2, 64, 64, 1)
    positions = np.arange(1024)[None].repeat(2, 0)
    np.testing.assert_allclose(
        np.array(sampled([planes, positions])).reshape(2, 32, 32, 4),
        network(planes),
        atol=1e-4,
    )


def test_iizuka_classifies_only_where_photos_have_classes():
    plain = Iizuka(width=0.125).build(64, planes=1, channels=2)
    assert plain(random(1, 64, 64, 1)).shape == (1, 32, 32, 2)
    labelled = Iizuka(width=0.125).label(7).build(64, planes=1, channels=2)
    assert labelled(random(1, 64, 64, 1))["classes"].shape == (1, 7)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_the_unet_gives_half_the_size_at_any_depth(depth, attention):
    unet = UNet(width=4, depth=depth, attention=attention)
    network = unet.build(32, planes=3, channels=7)
    side = 3 * unet.multiple
    outputs = network(random(1, side, 2 * side, 3))
    assert outputs.shape == (1, side // 2, side, 7)


# === Layers that call TensorFlow, and their twins ===


@pytest.mark.parametrize("training", [False, True])
def test_fused_normalisation_is_that_of_keras(training):
    fused = BatchNormalization()
    plain = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    features = 3 + 2 * random(4, 5, 6, 8)
    for _ in range(3):
        results = [
            layer(features, training=training) for layer in (fused, plain)
        ]
        np.testing.assert_allclose(*results, atol=1e-4)
    for mine, theirs in zip(fused.weights, plain.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_fused_normalisation_has_the_gradients_of_keras():
    layers = [
        BatchNormalization(),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
    ]
    features = tf.constant(random(4, 5, 6, 8))
    gradients = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = tf.reduce_sum(layer(features, training=True) ** 3)
        gradients.append(tape.gradient(loss, features))
    np.testing.assert_allclose(*gradients, atol=1e-3)


def test_depth_becomes_space_as_a_plain_transposition_says():
    features = random(2, 3, 5, 8)
    plain = features.reshape(2, 3, 5, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5)
    enlarged = np.array(DepthToSpace()(features))
    np.testing.assert_array_equal(enlarged, plain.reshape(2, 6, 10, 2))
    np.testing.assert_array_equal(SpaceToDepth()(enlarged), features)
