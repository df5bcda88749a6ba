"""Tests for the architectures of the field, layer by layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.layers import (
    BatchNormalization,
    DepthToSpace,
    SpaceToDepth,
    norm,
)
from kcolor.layers.hypercolumn import At, Hypercolumn
from kcolor.models.iizuka import Iizuka
from kcolor.models.larsson import Larsson
from kcolor.models.unet import UNet
from kcolor.models.zhang import Zhang
from kcolor.objectives.l2 import L2
from kcolor.training.supervised import Supervised

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


def test_features_at_positions_are_those_of_the_resized_map_there():
    larger = random(2, 16, 12, 1)
    positions = np.random.default_rng(1).integers(0, 12, (2, 40, 2))
    for height, width in ((16, 12), (8, 6), (3, 4), (1, 1)):
        features = random(2, height, width, 5)
        every = np.array(tf.image.resize(features, (16, 12)))
        rows, columns = positions[..., 0], positions[..., 1]
        np.testing.assert_allclose(
            At()(features, larger, positions)[:, :, 0],
            every[[[0], [1]], rows, columns],
            atol=1e-5,
        )


def test_a_hypercolumn_is_the_sum_of_its_resized_maps():
    maps = [random(2, side, side, 5) for side in (8, 8, 4, 1)]
    expected = sum(np.array(tf.image.resize(m, (8, 8))) for m in maps)
    np.testing.assert_allclose(
        Hypercolumn()(maps), np.maximum(expected, 0), atol=1e-5
    )


def test_no_two_parts_of_a_hypercolumn_begin_alike():
    network = Larsson(width=0.0625, hidden=8).build(64, planes=1, channels=2)
    kernels = [
        np.array(layer.kernel).tobytes()
        for layer in network.layers
        if layer.name.startswith("part")
    ]
    assert len(set(kernels)) == len(kernels)


def test_larsson_trained_on_samples_shares_its_weights_with_the_whole():
    larsson = Larsson(width=0.0625, hidden=8)
    network = larsson.build(64, planes=1, channels=4)
    sampled = larsson.sparse(network)
    assert {id(w) for w in sampled.weights} == {id(w) for w in network.weights}
    planes = random(2, 64, 64, 1)
    positions = np.stack(np.divmod(np.arange(1024), 32), -1)[None]
    positions = positions.repeat(2, 0)
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


def test_iizuka_s_classes_count_beside_colours_in_their_own_unit():
    keras.utils.set_random_seed(0)
    scheme = Supervised(Colorizer(Iizuka(width=0.125), L2(), 32, classes=10))
    lightness = 50 + 20 * random(4, 32, 32, 1)
    ab = 20 * random(4, 32, 32, 2)
    losses = scheme.losses_of(lightness, ab, np.arange(4), training=True)
    grey = float(np.square(scheme.colorizer.to_grid(ab)).mean())
    of_classes = float(losses["class_loss"]) * 220**2 / 300
    # The untrained network's answer is next to grey.
    assert float(losses["loss"]) - of_classes == pytest.approx(grey, rel=0.1)
    assert of_classes > 0.1 * grey


def test_the_unet_refuses_photos_that_its_depth_would_enlarge():
    with pytest.raises(UserError, match="--depth less"):
        UNet(depth=4).check(16, channels=2)
    UNet(depth=4).check(32, channels=2)


def test_the_unet_refuses_attention_that_no_memory_holds():
    with pytest.raises(UserError, match="--depth more"):
        UNet(depth=1, attention=True).check(256, channels=2)
    UNet(depth=3, attention=True).check(256, channels=2)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_the_unet_gives_half_the_size_at_any_depth(depth, attention):
    unet = UNet(filters=4, depth=depth, attention=attention)
    network = unet.build(32, planes=3, channels=7)
    side = 3 * unet.multiple
    outputs = network(random(1, side, 2 * side, 3))
    assert outputs.shape == (1, side // 2, side, 7)


# === Layers that call TensorFlow, and their twins ===


def normalisations(features):
    """Returns ours and Keras' layer, with the same scales and centres."""
    layers = [
        BatchNormalization(),
        keras.layers.BatchNormalization(momentum=0.9),
    ]
    for layer in layers:
        layer.build(features.shape)
        layer.gamma.assign(1 + 0.3 * random(features.shape[-1]))
        layer.beta.assign(random(features.shape[-1]))
    return layers


@pytest.mark.parametrize("is_trainable", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 0.05)]
)
def test_fused_normalisation_is_that_of_keras(
    training, is_trainable, precision, tolerance
):
    keras.config.set_dtype_policy(precision)
    features = 3 + 2 * random(4, 5, 6, 8)
    layers = normalisations(features)
    for layer in layers:
        layer.trainable = is_trainable
    for _ in range(3):
        results = [
            np.array(layer(features, training=training), "float32")
            for layer in layers
        ]
        np.testing.assert_allclose(*results, atol=tolerance)
    for mine, theirs in zip(*(layer.weights for layer in layers), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance / 10)


def test_fused_normalisation_has_the_gradients_of_keras():
    features = tf.constant(random(4, 5, 6, 8))
    gradients = []
    for layer in normalisations(features):
        watched = [features, *layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = tf.reduce_sum(layer(features, training=True) ** 3)
        gradients.append(tape.gradient(loss, watched))
    for mine, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-2, rtol=1e-3)


def test_a_feature_that_training_never_saw_is_not_magnified_to_nonsense():
    """A network whose every channel sleeps in training, and one photo wakes."""
    sleeping = keras.Input((4, 4, 8))
    network = keras.Model(sleeping, norm(sleeping, "norm"))
    for _ in range(200):
        network(np.zeros((2, 4, 4, 8), "float32"), training=True)
    assert np.abs(network(np.ones((1, 4, 4, 8), "float32"))).max() < 40


def test_no_feature_of_the_unet_is_cut_off_before_it_is_normalised():
    network = UNet().build(64, planes=1, channels=2)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.activation is keras.activations.linear


def test_depth_becomes_space_as_a_plain_transposition_says():
    features = random(2, 3, 5, 8)
    plain = features.reshape(2, 3, 5, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5)
    enlarged = np.array(DepthToSpace()(features))
    np.testing.assert_array_equal(enlarged, plain.reshape(2, 6, 10, 2))
    np.testing.assert_array_equal(SpaceToDepth()(enlarged), features)
