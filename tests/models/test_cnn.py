"""Tests for `kcolor.models.cnn`."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcolor import layers
from kcolor.errors import UserError
from kcolor.models.cnn import CNN

pytestmark = pytest.mark.usefixtures("fresh_keras")

# As the poster has them.
FILTERS = (8, 16, 32, 64, 128, 16)


class CountedDense(keras.layers.Dense):
    """A linear layer that counts its parameters and allocates none."""

    def build(self, input_shape):
        self.parameters = (input_shape[-1] + 1) * self.units
        self.built = True

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs.shape[:-1], self.units))


@pytest.fixture
def poster_at_64(monkeypatch):
    # Really built, its linear layer alone takes 1.1 GB.
    monkeypatch.setattr(layers, "Dense", CountedDense)
    return CNN().build(image_size=64, planes=1, channels=2)


@pytest.fixture(scope="module")
def dense_at_32():
    return CNN().build(image_size=32, planes=1, channels=2)


@pytest.fixture(scope="module")
def convolutional():
    return CNN(head="conv").build(image_size=32, planes=1, channels=3)


def layers_of(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


def weight_shapes(network):
    return {weight.path: tuple(weight.shape) for weight in network.weights}


def trunk_shapes(network):
    shapes = weight_shapes(network).items()
    return {path: s for path, s in shapes if not path.startswith("head")}


def test_the_posters_network_at_64_pixels_has_277_6_million_parameters(
    poster_at_64,
):
    head = poster_at_64.get_layer("head")
    assert head.input.shape == (None, 46 * 46 * 16)
    assert head.units == 64 * 64 * 2
    total = poster_at_64.count_params() + head.parameters
    trained = total - sum(
        int(np.prod(weight.shape))
        for weight in poster_at_64.non_trainable_weights
    )
    assert round(total / 1e6, 1) == 277.6
    # Weights and biases of the convolutions, scales and shifts, the head.
    channels = (1, *FILTERS)
    assert trained == (
        sum(
            16 * before * after + 3 * after
            for before, after in zip(channels, FILTERS, strict=False)
        )
        + (33856 + 1) * 8192
    )


def test_the_posters_network_has_exactly_its_layers(poster_at_64):
    kinds = [type(layer).__name__ for layer in poster_at_64.layers]
    assert kinds == [
        "InputLayer",
        *["Conv2D", "BatchNormalization"] * 6,
        "Flatten",
        "CountedDense",
        "Rescaling",  # a constant: the head stays linear
        "Reshape",
        "Activation",  # linear: to float32
    ]
    convolutions = layers_of(poster_at_64, keras.layers.Conv2D)
    assert tuple(layer.filters for layer in convolutions) == FILTERS
    for layer in convolutions:
        assert layer.kernel_size == (4, 4)
        assert layer.strides == (1, 1)
        assert layer.padding == "valid"
        assert layer.use_bias
        # ReLU is part of the convolution, so it comes before the norm.
        assert layer.activation is keras.activations.relu
    for layer in (poster_at_64.get_layer("head"), poster_at_64.layers[-1]):
        assert layer.activation is keras.activations.linear
    (rescaling,) = layers_of(poster_at_64, keras.layers.Rescaling)
    assert rescaling.scale > 0
    assert rescaling.offset == 0
    assert poster_at_64.output_shape == (None, 64, 64, 2)


def test_each_layer_of_the_poster_feeds_the_next(poster_at_64):
    for before, after in zip(
        poster_at_64.layers, poster_at_64.layers[1:], strict=False
    ):
        assert after.input is before.output


def test_the_dense_head_at_32_pixels_maps_3136_features_to_2048_numbers(
    dense_at_32,
):
    assert dense_at_32.get_layer("flatten").input.shape == (None, 14, 14, 16)
    kernel = dense_at_32.get_layer("head").kernel
    assert tuple(kernel.shape) == (3136, 2048)
    outputs = dense_at_32(np.zeros((2, 32, 32, 1), "float32"))
    assert outputs.shape == (2, 32, 32, 2)


def test_each_output_of_the_dense_head_sees_the_whole_photo(dense_at_32):
    # A corner's output changes with the opposite corner.
    lightness = np.zeros((1, 32, 32, 1), "float32")
    before = np.array(dense_at_32(lightness))
    lightness[0, -6:, -6:] = 1
    after = np.array(dense_at_32(lightness))
    assert np.abs(after - before)[0, 0, 0].max() > 0


def test_the_dense_head_takes_only_the_size_it_was_built_for(dense_at_32):
    assert dense_at_32.input_shape == (None, 32, 32, 1)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(10, 40), width=st.integers(10, 40))
def test_the_conv_head_returns_the_size_it_is_given(
    convolutional, height, width
):
    inputs = np.random.default_rng(0).uniform(-1, 1, (1, height, width, 1))
    outputs = np.array(convolutional(inputs.astype("float32")))
    assert outputs.shape == (1, height, width, 3)
    assert np.isfinite(outputs).all()


def test_the_conv_head_answers_at_the_pixel_it_was_asked_about(convolutional):
    # Each output sees 19x19 pixels, 9 to each side: nothing moves.
    inputs = np.zeros((1, 41, 41, 1), "float32")
    before = np.array(convolutional(inputs))
    inputs[0, 20, 20] = 1
    changed = np.argwhere((np.array(convolutional(inputs)) != before).any(-1))
    assert changed[:, 1:].min() >= 20 - 9
    assert changed[:, 1:].max() <= 20 + 9
    assert np.abs(changed[:, 1:].mean(0) - 20).max() < 1


def test_the_conv_head_has_a_fifth_of_a_million_parameters():
    network = CNN(head="conv").build(image_size=64, planes=1, channels=2)
    assert round(network.count_params() / 1e6, 1) == 0.2


def test_both_heads_stand_on_the_same_trunk(dense_at_32, convolutional):
    shapes = trunk_shapes(dense_at_32)
    assert shapes == trunk_shapes(convolutional)
    assert len(shapes) == 6 * (2 + 4)


def test_auto_is_dense_for_two_channels_and_conv_for_more():
    for channels, head in ((2, "dense"), (3, "conv"), (313, "conv")):
        chosen, meant = (
            CNN(head=name).build(19, planes=1, channels=channels)
            for name in ("auto", head)
        )
        kind = keras.layers.Dense if head == "dense" else keras.layers.Conv2D
        assert isinstance(chosen.get_layer("head"), kind)
        assert chosen.output_shape == meant.output_shape
        assert weight_shapes(chosen) == weight_shapes(meant)


def test_more_planes_widen_only_the_first_convolution(convolutional):
    network = CNN(head="conv").build(image_size=32, planes=4, channels=3)
    assert network.input_shape == (None, None, None, 4)
    wider = trunk_shapes(network)
    ours = trunk_shapes(convolutional)
    assert {path for path in ours if wider[path] != ours[path]} == {
        "conv1/kernel"
    }


@pytest.mark.parametrize("head", ["dense", "conv"])
def test_dropout_follows_each_batch_normalisation_and_nothing_else(head):
    network = CNN(head=head, dropout=0.3).build(19, planes=1, channels=2)
    drops = layers_of(network, keras.layers.Dropout)
    norms = layers_of(network, keras.layers.BatchNormalization)
    assert len(drops) == len(norms) == 6
    for drop, norm in zip(drops, norms, strict=True):
        assert drop.rate == 0.3
        assert drop.input is norm.output
    after = [*layers_of(network, keras.layers.Conv2D)[1:6]]
    for drop, convolution in zip(drops, after, strict=False):
        assert convolution.input is drop.output


def test_dropout_acts_in_training_only():
    network = CNN(head="conv", dropout=0.5).build(19, planes=1, channels=2)
    inputs = np.ones((1, 19, 19, 1), "float32")
    first, second = (np.array(network(inputs)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (np.array(network(inputs, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(("head", "smallest"), [("dense", 19), ("conv", 10)])
def test_the_smallest_size_builds_and_one_pixel_less_is_refused(head, smallest):
    cnn = CNN(head=head)
    cnn.check(smallest, channels=2)
    network = cnn.build(smallest, planes=1, channels=2)
    size = (1, smallest, smallest)
    assert network(np.zeros((*size, 1), "float32")).shape == (*size, 2)
    for too_small in (smallest - 1, 1):
        with pytest.raises(UserError, match=f"at least {smallest}$") as caught:
            cnn.check(too_small, channels=2)
        assert "--image-size" in str(caught.value)
        assert str(too_small) in str(caught.value)
        with pytest.raises(UserError):
            cnn.build(too_small, planes=1, channels=2)


@pytest.mark.parametrize("channels", [3, 261, 313])
def test_the_dense_head_refuses_more_than_two_channels(channels):
    # At 64x64, 313 channels would be 43 billion parameters.
    with pytest.raises(UserError, match="--head conv") as caught:
        CNN(head="dense").check(64, channels)
    assert str(channels) in str(caught.value)
    CNN(head="conv").check(64, channels)
    CNN(head="auto").check(64, channels)


@pytest.mark.parametrize("head", ["dense", "conv"])
def test_outputs_are_float32_under_mixed_precision(head):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = CNN(head=head).build(19, planes=1, channels=2)
    outputs = network(np.zeros((1, 19, 19, 1), "float32"))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert network.get_layer("conv1").compute_dtype == "bfloat16"


@pytest.mark.parametrize("head", ["conv", "dense"])
@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_any_depth_answers_the_photo_s_own_size(head, depth):
    network = CNN(head=head, depth=depth, width=0.25).build(32, 1, 2)
    convolutions = layers_of(network, keras.layers.Conv2D)
    assert len(convolutions) == depth + (head == "conv")
    ab = network(np.zeros((1, 32, 32, 1), np.float32))
    assert ab.shape == (1, 32, 32, 2)


def test_filters_double_up_to_the_last_and_follow_the_width():
    assert tuple(CNN().filters) == FILTERS
    assert CNN(depth=4).filters == [8, 16, 32, 16]
    assert CNN(depth=1).filters == [16]
    assert CNN(width=2.0).filters == [2 * count for count in FILTERS]


@pytest.mark.parametrize("depth", [1, 3, 7])
@pytest.mark.parametrize("head", ["conv", "dense"])
def test_the_least_size_of_a_depth_is_taken_and_less_is_refused(head, depth):
    network = CNN(head=head, depth=depth)
    least = network.least if head == "conv" else network.shrinkage + 1
    network.check(least, 2)
    network.build(least, 1, 2)
    with pytest.raises(UserError, match=f"at least {least}"):
        network.check(least - 1, 2)
