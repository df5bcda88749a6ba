"""Tests for `kcolor.resize`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kcolor.resize import enlarge, pad, resize, shrink

SIDES = st.integers(1, 13)
FACTORS = st.integers(1, 5)

# Each with the arguments that exercise all of it.
EVERY_FUNCTION = pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pad(pixels, 4),
        lambda pixels: pad(pixels, 3, least=10),
        lambda pixels: shrink(pixels, 4),
        lambda pixels: enlarge(pixels, 3),
        lambda pixels: enlarge(pixels, 3, "nearest"),
        lambda pixels: resize(pixels, 7, 4),
        lambda pixels: resize(pixels, 7, 4, "nearest"),
    ],
    ids=[
        "pad",
        "pad to the least",
        "shrink",
        "enlarge",
        "enlarge nearest",
        "resize",
        "resize nearest",
    ],
)


def photos(height, width):
    """Returns two photos of two channels, no pixel as another."""
    random = np.random.default_rng(0)
    return random.normal(size=(2, height, width, 2)).astype("float32")


def with_edges(pixels, height, width):
    """Returns the photos with their last row and column repeated."""
    below, beside = height - pixels.shape[1], width - pixels.shape[2]
    margins = [(0, 0), (0, below), (0, beside), (0, 0)]
    return np.pad(pixels, margins, mode="edge")


@settings(deadline=None, max_examples=50)
@given(height=SIDES, width=SIDES, multiple=FACTORS, least=st.integers(1, 20))
def test_padding_keeps_the_photo_and_repeats_its_last_row_and_column(
    height, width, multiple, least
):
    pixels = photos(height, width)
    padded = np.array(pad(pixels, multiple, least))
    np.testing.assert_array_equal(
        padded, with_edges(pixels, *padded.shape[1:3])
    )


@settings(deadline=None, max_examples=50)
@given(height=SIDES, width=SIDES, multiple=FACTORS, least=st.integers(1, 20))
def test_padding_stops_at_the_first_multiple_that_is_large_enough(
    height, width, multiple, least
):
    padded = pad(photos(height, width), multiple, least)
    for before, after in zip((height, width), padded.shape[1:3], strict=True):
        assert after % multiple == 0
        assert 0 <= after - max(before, least) < multiple


def test_a_photo_of_the_right_size_is_not_padded():
    pixels = photos(8, 12)
    assert pad(pixels, 4, least=8) is pixels


@settings(deadline=None, max_examples=50)
@given(height=SIDES, width=SIDES, factor=FACTORS)
def test_shrinking_undoes_enlarging_to_the_nearest(height, width, factor):
    pixels = photos(height, width)
    enlarged = enlarge(pixels, factor, "nearest")
    assert enlarged.shape == (2, factor * height, factor * width, 2)
    np.testing.assert_allclose(shrink(enlarged, factor), pixels, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(height=SIDES, width=SIDES, factor=FACTORS)
def test_shrunk_pixels_are_means_of_squares_that_repeat_the_edge(
    height, width, factor
):
    pixels = photos(height, width)
    rows, columns = -(-height // factor), -(-width // factor)
    squares = with_edges(pixels, factor * rows, factor * columns).reshape(
        2, rows, factor, columns, factor, 2
    )
    np.testing.assert_allclose(
        shrink(pixels, factor), squares.mean((2, 4)), atol=1e-6
    )


def test_a_photo_smaller_than_a_square_becomes_one_pixel():
    pixels = np.array([[1.0, 4.0]], "float32").reshape(1, 1, 2, 1)
    assert np.array(shrink(pixels, 3)).tolist() == [[[[3.0]]]]


def test_an_enlarged_ramp_is_a_finer_ramp_between_its_ends():
    ramp = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
    expected = [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    for row in np.array(enlarge(ramp, 2))[0, ..., 0]:
        np.testing.assert_allclose(row, expected, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(1, 1), (3, 11), (7, 5), (16, 15)])
def test_resizing_is_that_of_keras(size, interpolation):
    pixels = photos(7, 5)
    np.testing.assert_allclose(
        resize(pixels, *size, interpolation),
        keras.ops.image.resize(pixels, size, interpolation),
        atol=1e-6,
    )


@EVERY_FUNCTION
def test_sizes_known_only_when_a_graph_runs_give_the_same(change):
    compiled = tf.function(
        change, input_signature=[tf.TensorSpec((None, None, None, 2))]
    )
    for height, width in ((1, 1), (5, 8), (8, 4), (13, 11)):
        pixels = photos(height, width)
        np.testing.assert_allclose(compiled(pixels), change(pixels), atol=1e-6)


@EVERY_FUNCTION
def test_sizes_known_to_a_graph_stay_known(change):
    shapes = []

    @tf.function
    def traced(pixels):
        changed = change(pixels)
        shapes.append(tuple(changed.shape))
        return changed

    assert shapes == [traced(photos(5, 6)).shape]


@EVERY_FUNCTION
@pytest.mark.parametrize("is_compiled", [False, True])
def test_bfloat16_stays_bfloat16(change, is_compiled):
    pixels = tf.cast(photos(5, 6), "bfloat16")
    open_size = tf.TensorSpec((None, None, None, 2), "bfloat16")
    if is_compiled:
        changed = tf.function(change, input_signature=[open_size])(pixels)
    else:
        changed = change(pixels)
    assert changed.dtype == tf.bfloat16
    np.testing.assert_allclose(
        tf.cast(changed, "float32"),
        change(tf.cast(pixels, "float32")),
        atol=0.02,
    )
