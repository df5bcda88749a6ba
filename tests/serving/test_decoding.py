"""Tests for `kcolor.serving.decoding`."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import encoded, pixels
from PIL import Image, ImageOps

from kcolor.serving.decoding import decoded, orientation

found_orientation = tf.function(
    orientation, input_signature=[tf.TensorSpec((), tf.string)]
)


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def samples_of(photo):
    """As a graph, where the turn is not known before."""
    return decoded(photo, 0, 5000, lambda samples: tf.cast(samples, tf.uint8))


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])
def shape_and_mean(photo):
    def then(samples):
        floats = tf.cast(samples, tf.float32) / samples.dtype.max
        shape = tf.cast(tf.shape(samples), tf.float32)
        return tf.concat([shape, [tf.reduce_mean(floats)]], 0)

    return decoded(photo, 0, 5000, then)


def with_exif(turn, **options):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Kodak", turn
    file = io.BytesIO()
    photo = Image.fromarray(pixels(40, 24))
    photo.save(file, "JPEG", exif=exif, **options)
    return file.getvalue()


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_jpeg_is_turned_as_pillow_turns_it(turn):
    photo = with_exif(turn, quality=98)
    assert int(found_orientation(photo)) == turn
    ours = samples_of(photo)
    theirs = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(photo))))
    assert ours.shape == theirs.shape
    assert np.abs(ours.numpy().astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_either_byte_order_is_read(order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels(8, 8)).save(file, "JPEG", exif=exif.tobytes())
    assert int(found_orientation(file.getvalue())) == 6


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.integers(0, 200))
def test_no_bytes_break_the_search_for_the_orientation(noise, start):
    photo = with_exif(6)
    broken = photo[: 2 + start] + noise + photo[2 + start :]
    assert 1 <= int(found_orientation(broken)) <= 8


@pytest.mark.parametrize(
    ("mode", "kind", "channels"),
    [
        ("L", "PNG", 1),
        ("LA", "PNG", 2),
        ("RGB", "PNG", 3),
        ("RGBA", "PNG", 4),
        ("P", "PNG", 3),
        ("1", "PNG", 1),
        ("L", "JPEG", 3),
        ("RGB", "JPEG", 3),
        ("CMYK", "JPEG", 3),
    ],
)
def test_photos_of_any_colours_keep_their_channels(mode, kind, channels):
    photo = encoded(pixels(30, 20), kind, mode)
    height, width, found, mean = shape_and_mean(photo).numpy()
    assert (height, width, found) == (20, 30, channels)
    assert 0.1 < mean < 0.95


def test_sixteen_bits_are_read_whole():
    samples = np.linspace(0, 65535, 600).reshape(20, 30, 1).astype(np.uint16)
    photo = tf.io.encode_png(samples)

    def then(found):
        assert found.dtype in (tf.uint8, tf.uint16)
        return tf.cast(found, tf.int32)

    found = decoded(photo, 0, 5000, then)
    np.testing.assert_array_equal(found, samples)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_photo_of_too_many_pixels_is_refused_by_its_header(kind):
    photo = encoded(pixels(100, 51), kind)
    with pytest.raises(tf.errors.InvalidArgumentError, match="5000 pixels"):
        shape_and_mean(photo[:640])  # there is nothing more to decode
    assert shape_and_mean(encoded(pixels(100, 50), kind)).shape == (4,)


@pytest.mark.parametrize(
    "wrong", [b"", b"x", b"Dear diary", b"GIF89a....", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_neither_jpeg_nor_png_is_refused_as_such(wrong):
    with pytest.raises(tf.errors.InvalidArgumentError, match="neither JPEG"):
        shape_and_mean(wrong)
