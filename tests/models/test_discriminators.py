"""Tests for `kcolor.models.discriminators`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.models.discriminators import CNN_FILTERS, build, receptive_field

pytestmark = pytest.mark.usefixtures("fresh_keras")

KINDS = ["patch", "pixel", "cnn"]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
EITHER = pytest.mark.parametrize("spectral", [False, True])


def photos(count=4, size=24, planes=3):
    random = np.random.default_rng(0)
    numbers = random.uniform(-1, 1, (count, size, size, planes))
    return tf.constant(numbers, tf.float32)


def small(kind, spectral=False, size=24, planes=3):
    return build(kind, size, planes, 4, 2, spectral, "discriminator")


def squares_of(discriminator, size, logits):
    """Returns first and last row and column that each logit depends on."""
    seen = photos(1, size)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(seen)
        found = discriminator(seen)
        chosen = [found[0, row, column, 0] for row, column in logits]
    squares = []
    for logit in chosen:
        gradient = np.abs(tape.gradient(logit, seen)[0]).sum(-1)
        rows, columns = np.nonzero(gradient)
        ends = (rows.min(), rows.max(), columns.min(), columns.max())
        # Nothing within is left out.
        area = (ends[1] + 1 - ends[0]) * (ends[3] + 1 - ends[2])
        assert len(rows) == area
        squares.append(tuple(map(int, ends)))
    return squares


def largest_singular_values(discriminator):
    return [
        np.linalg.norm(np.reshape(kernel, (-1, kernel.shape[-1])), 2)
        for kernel in discriminator.trainable_variables
        if len(kernel.shape) == 4
    ]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_patch_s_logit_sees_the_square_it_is_said_to(layers):
    side = receptive_field(layers)
    # Instance normalisation alone would let each logit see all of the photo.
    discriminator = build("patch", 2 * side, 3, 2, layers, True, "patches")
    across = discriminator(photos(1, 2 * side)).shape[1]
    middle = across // 2
    first, beside = squares_of(
        discriminator, 2 * side, [(middle, middle), (middle, middle + 1)]
    )
    top, bottom, left, right = first
    assert bottom + 1 - top == right + 1 - left == side
    # The next one's square lies as far on as the strides take it.
    step = 2**layers
    assert beside == (top, bottom, left + step, right + step)


def test_a_patch_s_squares_together_cover_the_whole_photo():
    discriminator = small("patch", spectral=True, size=32)
    last = discriminator(photos(1, 32)).shape[1] - 1
    first, other = squares_of(discriminator, 32, [(0, 0), (last, last)])
    assert first[::2] == (0, 0)
    assert other[1::2] == (31, 31)


@pytest.mark.parametrize("spectral", [False, True])
def test_a_pixel_s_logit_sees_the_pixel_alone(spectral):
    discriminator = small("pixel", spectral=spectral)
    places = [(0, 0), (5, 17), (23, 23)]
    assert squares_of(discriminator, 24, places) == [
        (row, row, column, column) for row, column in places
    ]


@pytest.mark.parametrize("size", [19, 24])
def test_the_cnn_has_one_number_for_all_of_a_photo(size):
    discriminator = small("cnn", spectral=True, size=size)
    assert discriminator(photos(4, size)).shape == (4, 1, 1, 1)
    (square,) = squares_of(discriminator, size, [(0, 0)])
    assert square == (0, size - 1, 0, size - 1)


def test_the_cnn_has_the_poster_s_convolutions():
    convolutions = [
        layer
        for layer in small("cnn", size=64).layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    *trunk, head = convolutions
    assert tuple(layer.filters for layer in trunk) == CNN_FILTERS
    for layer in trunk:
        assert layer.kernel_size == (4, 4)
        assert layer.padding == "valid"
    assert head.kernel.shape == (46, 46, 16, 1)  # 64 - 6 x 3: every feature


@pytest.mark.parametrize("layers", [1, 3])
def test_patch_has_pix2pix_s_layers(layers):
    discriminator = build("patch", 64, 3, 8, layers, False, "patches")
    convolutions = [
        (layer.filters, layer.strides[0], layer.kernel_size)
        for layer in discriminator.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    halving = [(8 * 2**level, 2, (4, 4)) for level in range(layers)]
    rest = [(8 * 2**layers, 1, (4, 4)), (1, 1, (4, 4))]
    assert convolutions == halving + rest
    normalised = [
        layer.input.shape[-1]
        for layer in discriminator.layers
        if isinstance(layer, keras.layers.GroupNormalization)
    ]
    # All but the first layer and the last.
    assert normalised == [8 * 2**level for level in range(1, layers + 1)]


@EVERY_KIND
@EITHER
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_logits_are_float32_and_near_the_same_in_mixed_precision(
    kind, spectral, precision
):
    whole = small(kind, spectral)
    keras.config.set_dtype_policy(precision)
    mixed = small(kind, spectral)
    mixed.set_weights(whole.get_weights())
    half = precision.removeprefix("mixed_")
    assert mixed.get_layer("conv0_leaky").compute_dtype == half
    expected = whole(photos(), training=True)
    found = mixed(photos(), training=True)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=0.1 * scale)


@EVERY_KIND
def test_spectral_weights_have_a_largest_singular_value_of_one(kind):
    discriminator = small(kind, spectral=True)
    optimizer = keras.optimizers.SGD(0.05)
    variables = discriminator.trainable_variables
    for _ in range(40):
        with tf.GradientTape() as tape:
            logits = discriminator(photos(), training=True)
            loss = tf.reduce_mean(tf.square(logits - 1.0))
        optimizer.apply(tape.gradient(loss, variables), variables)
    discriminator(photos(), training=True)
    assert largest_singular_values(discriminator) == pytest.approx(
        [1.0] * len(largest_singular_values(discriminator)), abs=0.05
    )


@EVERY_KIND
def test_spectral_normalisation_does_not_round_weights_to_16_bits(kind):
    # Or the small steps of an optimizer would come to nothing.
    keras.config.set_dtype_policy("mixed_bfloat16")
    discriminator = small(kind, spectral=True)
    for _ in range(2):
        discriminator(photos(), training=True)
    for kernel in discriminator.trainable_variables:
        if len(kernel.shape) == 4:
            rounded = tf.cast(tf.cast(kernel.value, tf.bfloat16), tf.float32)
            assert not np.array_equal(rounded, kernel), kernel.path


@EVERY_KIND
@EITHER
def test_only_training_changes_spectral_weights(kind, spectral):
    discriminator = small(kind, spectral)
    before = discriminator.get_weights()
    discriminator(photos(), training=False)
    for old, new in zip(before, discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    discriminator(photos(), training=True)
    is_same = all(map(np.array_equal, before, discriminator.get_weights()))
    assert is_same != spectral


@EVERY_KIND
@EITHER
def test_a_photo_s_logits_do_not_depend_on_the_others_of_its_batch(
    kind, spectral
):
    discriminator = small(kind, spectral)
    # Spectral weights are another's after each call of training.
    training = not spectral
    together = discriminator(photos(), training=training)
    alone = [
        discriminator(photos()[number : number + 1], training=training)[0]
        for number in range(4)
    ]
    scale = np.abs(together).max()
    np.testing.assert_allclose(together, alone, atol=1e-4 * scale)
    assert np.ptp(together, axis=0).min() > 0  # they do tell them apart


@EITHER
@pytest.mark.parametrize("planes", [1, 3])
def test_every_plane_is_seen(planes, spectral):
    discriminator = small("patch", spectral, planes=planes)
    seen = photos(1, planes=planes)
    with tf.GradientTape() as tape:
        tape.watch(seen)
        logits = discriminator(seen)
    gradient = np.abs(tape.gradient(logits, seen))
    assert (gradient.sum((0, 1, 2)) > 0).all()
