"""Tests for `kcolor.models.resnet`."""

import keras
import numpy as np
import pytest

from kcolor.models.resnet import ResNet

pytestmark = pytest.mark.usefixtures("fresh_keras")

# Zhu et al. 2017, sec. 7.2: kernel, stride, pixels of the photo to one of the
# output along a side, channels before and after, parameters.
BEFORE = [
    (7, 1, 1, 1, 64, 3_200),  # c7s1-64
    (3, 2, 2, 64, 128, 73_856),  # d128
    (3, 2, 4, 128, 256, 295_168),  # d256
]
BLOCK = 2 * [(3, 1, 4, 256, 256, 590_080)]  # R256
AFTER = [
    (3, 2, 2, 256, 128, 295_040),  # u128
    (3, 2, 1, 128, 64, 73_792),  # u64
    (7, 1, 1, 64, 2, 6_274),  # c7s1-2
]
PARAMETERS = {6: 7_835_714, 9: 11_379_266}  # by the number of blocks
PAPER = pytest.mark.parametrize(("image_size", "blocks"), [(128, 6), (256, 9)])


@pytest.fixture
def small():
    return ResNet(filters=4, blocks=2).build(16, planes=1, channels=2)


def paper(image_size):
    return ResNet(filters=64).build(image_size, planes=1, channels=2)


def layers_of(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


def convolutions_of(network):
    # To Keras a transposed convolution is none.
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    return layers_of(network, kinds)


def photos(count=3):
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (count, 16, 24, 1)).astype("float32")


@PAPER
def test_resnet_is_the_paper_s_network_layer_for_layer(image_size, blocks):
    network = paper(image_size)
    convolutions = convolutions_of(network)
    sides = keras.Model(
        network.input, [layer.output for layer in convolutions]
    ).compute_output_shape((1, image_size, image_size, 1))
    found = [
        (
            layer.kernel_size[0],
            layer.strides[0],
            round(image_size / shape[1]),
            layer.input.shape[-1],
            layer.filters,
            layer.count_params(),
        )
        for layer, shape in zip(convolutions, sides, strict=True)
    ]
    table = BEFORE + blocks * BLOCK + AFTER
    assert found == table
    # All but the last are normalised, with a scale and a centre each.
    normalised = sum(row[-2] for row in table[:-1])
    total = sum(row[-1] for row in table) + 2 * normalised
    assert network.count_params() == total == PARAMETERS[blocks]


@PAPER
def test_resnet_normalises_and_rectifies_where_the_paper_does(
    image_size, blocks
):
    kinds = [type(x).__name__ for x in paper(image_size).operations]
    norm = "InstanceNormalization"
    assert kinds == [
        "InputLayer",
        *["Pad", "Conv2D", norm, "Activation"],
        *["ZeroPadding2D", "Conv2D", norm, "Activation"] * 2,
        *["Pad", "Conv2D", norm, "Activation", "Pad", "Conv2D", norm, "Add"]
        * blocks,
        *["Conv2DTranspose", "Crop", norm, "Activation"] * 2,
        *["Pad", "Conv2D"],
        "Activation",  # linear: to float32
    ]


def test_resnet_s_layers_are_rectified_but_for_the_last(small):
    *activations, last = layers_of(small, keras.layers.Activation)
    assert last.activation is keras.activations.linear
    for layer in activations:
        assert layer.activation is keras.activations.relu
    for layer in convolutions_of(small):
        assert layer.activation is keras.activations.linear


@pytest.mark.parametrize(
    ("image_size", "blocks"), [(64, 6), (128, 6), (129, 9), (256, 9)]
)
def test_photos_of_more_than_128_pixels_have_nine_blocks(image_size, blocks):
    network = ResNet(filters=1).build(image_size, planes=1, channels=2)
    assert len(layers_of(network, keras.layers.Add)) == blocks


def test_resnet_s_weights_are_drawn_from_the_paper_s_gaussian():
    for layer in convolutions_of(paper(128)):
        kernel = np.array(layer.kernel)
        assert kernel.mean() == pytest.approx(0, abs=0.002)
        assert kernel.std() == pytest.approx(0.02, rel=0.1)
        # Neither cut off at two deviations nor uniform.
        assert (np.abs(kernel) > 0.04).mean() == pytest.approx(0.046, abs=0.03)
        assert not np.array(layer.bias).any()


def test_resnet_pads_by_reflection_at_each_size_that_it_keeps(small):
    kept = [x for x in convolutions_of(small) if x.strides == (1, 1)]
    assert len(kept) == 6
    for layer in kept:
        edge = layer.kernel_size[0] // 2
        padded = np.array(keras.Model(small.input, layer.input)(photos()))
        margins = [(0, 0), (edge, edge), (edge, edge), (0, 0)]
        inner = padded[:, edge:-edge, edge:-edge]
        np.testing.assert_array_equal(
            padded, np.pad(inner, margins, mode="reflect")
        )


def test_resnet_normalises_each_channel_of_each_photo(small):
    for layer in layers_of(small, keras.layers.GroupNormalization):
        before, after = (
            np.array(x)
            for x in keras.Model(small.input, [layer.input, layer.output])(
                photos()
            )
        )
        mean = before.mean((1, 2), keepdims=True)
        variance = before.var((1, 2), keepdims=True)
        np.testing.assert_allclose(
            after, (before - mean) / np.sqrt(variance + 1e-5), atol=1e-3
        )


@pytest.mark.parametrize("training", [False, True])
def test_resnet_s_answer_for_a_photo_ignores_the_others_of_its_batch(
    small, training
):
    together = np.array(small(photos(), training=training))
    for number, photo in enumerate(photos()):
        alone = np.array(small(photo[None], training=training))
        np.testing.assert_allclose(alone[0], together[number], atol=1e-5)


def test_resnet_answers_alike_in_training_and_outside_of_it(small):
    np.testing.assert_allclose(
        small(photos(), training=True),
        small(photos(), training=False),
        atol=1e-5,
    )


def test_a_block_that_adds_nothing_hands_on_what_it_was_given(small):
    for number in (1, 2):
        small.get_layer(f"block{number}_2_norm").gamma.assign([0.0] * 16)
    given, handed_on = keras.Model(
        small.input,
        [small.get_layer(name).output for name in ("shrink2_relu", "block2")],
    )(photos())
    assert np.array(given).any()
    np.testing.assert_array_equal(given, handed_on)


def test_resnet_leaves_features_where_they_are(small):
    for layer in convolutions_of(small):
        kernel = np.zeros(layer.kernel.shape, "float32")
        middle = layer.kernel_size[0] // 2
        kernel[middle, middle] = 1
        layer.kernel.assign(kernel)
    photo = np.zeros((1, 16, 24, 1), "float32")
    photo[0, 8, 12] = 1
    answer = np.array(small(photo))[0, ..., 0]
    assert np.unravel_index(answer.argmax(), answer.shape) == (8, 12)
