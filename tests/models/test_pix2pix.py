"""Tests for `kcolor.models.pix2pix`."""

import keras
import numpy as np
import pytest

from kcolor.models.pix2pix import Pix2Pix

pytestmark = pytest.mark.usefixtures("fresh_keras")

# Side of the output, channels before and after, parameters. Isola et al. 2017,
# sec. 6.1.1: C64-C128-C256-C512-C512-C512-C512-C512.
ENCODER = [
    (128, 1, 64, 1_088),
    (64, 64, 128, 131_200),
    (32, 128, 256, 524_544),
    (16, 256, 512, 2_097_664),
    (8, 512, 512, 4_194_816),
    (4, 512, 512, 4_194_816),
    (2, 512, 512, 4_194_816),
    (1, 512, 512, 4_194_816),
]
# CD512-CD512-CD512-C512-C256-C128-C64 and the layer of the outputs. All but the
# first see as many channels again of the encoder: the 512-1024-1024-1024-1024-
# 512-256-128 that the paper lists for the U-Net.
DECODER = [
    (2, 512, 512, 4_194_816),
    (4, 512 + 512, 512, 8_389_120),
    (8, 512 + 512, 512, 8_389_120),
    (16, 512 + 512, 512, 8_389_120),
    (32, 512 + 512, 256, 4_194_560),
    (64, 256 + 256, 128, 1_048_704),
    (128, 128 + 128, 64, 262_208),
    (256, 64 + 64, 2, 4_098),
]
# The paper's erratum takes the innermost level's away.
NORMALISED = [128, 256, 512, 512, 512, 512] + [512, 512, 512, 512, 256, 128, 64]


@pytest.fixture(scope="module")
def paper():
    keras.utils.set_random_seed(0)
    return Pix2Pix(filters=64, depth=8).build(256, planes=1, channels=2)


def layers_of(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


def convolutions_of(network):
    # To Keras a transposed convolution is none.
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    return layers_of(network, kinds)


def test_pix2pix_is_the_paper_s_network_layer_for_layer(paper):
    kinds = [type(layer).__name__ for layer in paper.layers]
    up = ["Activation", "Conv2DTranspose", "BatchNormalization"]
    assert kinds == [
        "InputLayer",
        "Conv2D",  # no normalisation in the first
        *["LeakyReLU", "Conv2D", "BatchNormalization"] * 6,
        *["LeakyReLU", "Conv2D"],  # nor in the innermost
        *[*up, "Dropout", "Concatenate"] * 3,
        *[*up, "Concatenate"] * 4,
        *["Activation", "Conv2DTranspose"],
        "Activation",  # linear: to float32
    ]


def test_pix2pix_s_convolutions_have_the_paper_s_sizes(paper):
    convolutions = convolutions_of(paper)
    sides = keras.Model(
        paper.input, [layer.output for layer in convolutions]
    ).compute_output_shape((1, 256, 256, 1))
    found = [
        (
            shape[1],
            layer.input.shape[-1],
            layer.filters,
            layer.count_params(),
        )
        for layer, shape in zip(convolutions, sides, strict=True)
    ]
    assert found == ENCODER + DECODER
    for layer in convolutions:
        assert layer.kernel_size == (4, 4)
        assert layer.strides == (2, 2)
        assert layer.padding == "same"


def test_pix2pix_s_other_layers_have_the_paper_s_settings(paper):
    for layer in layers_of(paper, keras.layers.LeakyReLU):
        assert layer.negative_slope == pytest.approx(0.2)
    for layer in layers_of(paper, keras.layers.Dropout):
        assert layer.rate == 0.5
    *activations, last = layers_of(paper, keras.layers.Activation)
    assert last.activation is keras.activations.linear
    for layer in activations:
        assert layer.activation is keras.activations.relu
    for layer in convolutions_of(paper):
        assert layer.activation is keras.activations.linear
    norms = layers_of(paper, keras.layers.BatchNormalization)
    assert [layer.input.shape[-1] for layer in norms] == NORMALISED


def test_each_level_of_the_decoder_sees_its_mirror_in_the_encoder(paper):
    joins = layers_of(paper, keras.layers.Concatenate)
    downs = ["down6_norm", "down5_norm", "down4_norm"]
    downs += ["down3_norm", "down2_norm", "down1_norm", "down0"]
    assert len(joins) == 7
    for join, down in zip(joins, downs, strict=True):
        assert join.input[1] is paper.get_layer(down).output


def test_pix2pix_has_54_4_million_parameters(paper):
    # Each normalised feature has a scale, a centre, a mean and a variance.
    expected = sum(row[-1] for row in ENCODER + DECODER) + 4 * sum(NORMALISED)
    assert paper.count_params() == expected == 54_425_218


def test_pix2pix_s_weights_are_drawn_from_the_paper_s_gaussian(paper):
    for layer in convolutions_of(paper):
        kernel = np.array(layer.kernel)
        assert kernel.mean() == pytest.approx(0, abs=0.003)
        assert kernel.std() == pytest.approx(0.02, rel=0.1)
        # Neither cut off at two deviations nor uniform.
        assert (np.abs(kernel) > 0.04).mean() == pytest.approx(0.046, abs=0.03)
        assert not np.array(layer.bias).any()


def test_only_training_drops_features_of_pix2pix():
    network = Pix2Pix(filters=4, depth=4).build(16, planes=1, channels=2)
    photo = np.ones((1, 16, 16, 1), "float32")
    first, second = (np.array(network(photo)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (np.array(network(photo, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(("depth", "dropped"), [(1, 0), (2, 1), (4, 3), (6, 3)])
def test_at_most_three_levels_of_pix2pix_have_dropout(depth, dropped):
    network = Pix2Pix(filters=1, depth=depth).build(64, planes=1, channels=2)
    found = [layer.name for layer in layers_of(network, keras.layers.Dropout)]
    # Levels count from the largest.
    levels = range(depth - 1, depth - 1 - dropped, -1)
    assert found == [f"dropout{level}" for level in levels]


def test_pix2pix_without_dropout_has_no_layer_of_it():
    network = Pix2Pix(filters=1, dropout=0.0).build(64, planes=1, channels=2)
    assert not layers_of(network, keras.layers.Dropout)
