"""Encoded photos within a TensorFlow graph, where no Python is."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

# Bytes and segments of a JPEG that are searched for its orientation: it stands
# among the first, and nobody shall keep a server busy with searching.
HEAD, SEGMENTS = 2**18, 64
EXIF = b"Exif\0\0"
APP1, SCAN, END = 0xE1, 0xDA, 0xD9  # markers of a JPEG's segments
ORIENTATION = 0x0112  # a tag
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"


def decoded(
    encoded: tf.Tensor,
    number: tf.Tensor,
    most_pixels: int,
    then: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Returns what `then` makes of an encoded photo.

    Its size is read and checked before its pixels are decoded. JPEGs are turned
    upright as their EXIF says.

    Args:
        encoded: Scalar string, a JPEG of any colours, or a PNG of any.
        number: Scalar, which photo of the request it is: named in errors.
        most_pixels: A photo of more is an error.
        then: Takes uint8, or of a PNG of 16 bits uint16, (H, W, C): grey or
            RGB, with alpha after it or not, C from 1 to 4 and known only when
            the graph runs.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no such photo.
    """
    is_jpeg = _begins(encoded, JPEG_START)
    is_png = _begins(encoded, PNG_START) & (tf.strings.length(encoded) > 32)
    refusal = tf.debugging.Assert(
        is_jpeg | is_png, ["neither JPEG nor PNG: image_bytes", number]
    )
    with tf.control_dependencies([refusal]):
        encoded = tf.identity(encoded)
    pixels, bits = tf.cond(
        is_png, lambda: _png_size(encoded), lambda: _jpeg_size(encoded)
    )
    fits = (pixels > 0) & (pixels <= most_pixels)
    refusal = tf.debugging.Assert(
        fits,
        [f"not from 1 to {most_pixels} pixels: image_bytes", number],
    )
    with tf.control_dependencies([refusal]):
        encoded = tf.identity(encoded)

    def shallow():
        return tf.cond(
            is_png, lambda: tf.io.decode_png(encoded), lambda: _jpeg(encoded)
        )

    return tf.cond(
        bits > 8,
        lambda: then(tf.io.decode_png(encoded, dtype=tf.uint16)),
        lambda: then(shallow()),
    )


def _begins(encoded: tf.Tensor, start: bytes) -> tf.Tensor:
    length = tf.minimum(tf.strings.length(encoded), len(start))
    return tf.strings.substr(encoded, 0, length) == start


def _png_size(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns how many pixels a PNG declares, and bits of each sample."""
    header = tf.io.decode_raw(tf.strings.substr(encoded, 16, 9), tf.uint8)
    header = tf.cast(header, tf.int64)
    width, height = (
        tf.reduce_sum(header[at : at + 4] * [2**24, 2**16, 2**8, 1])
        for at in (0, 4)
    )
    return width * height, tf.cast(header[8], tf.int32)


def _jpeg_size(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.image.extract_jpeg_shape(encoded, tf.int64)
    return shape[0] * shape[1], tf.constant(8)


def _jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Returns uint8 (H, W, 3), upright."""
    pixels = tf.io.decode_jpeg(
        encoded, channels=3, dct_method="INTEGER_ACCURATE"
    )
    turn = orientation(encoded)
    pixels = tf.cond(
        turn >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels
    )
    for axis, turns in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        pixels = tf.cond(
            tf.reduce_any(turn == turns),
            lambda pixels=pixels, axis=axis: tf.reverse(pixels, [axis]),
            lambda pixels=pixels: pixels,
        )
    return pixels


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation of a JPEG, 1 to 8; 1 where it has none.

    Args:
        encoded: Scalar string.
    """
    length = tf.minimum(tf.strings.length(encoded), HEAD)
    head = tf.strings.substr(encoded, 0, length)
    data = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)

    def at(place, count):
        """Returns bytes, 0 where the head has ended."""
        places = tf.expand_dims(place, -1) + tf.range(count)
        is_inside = (places >= 0) & (places < length)
        values = tf.gather(data, tf.clip_by_value(places, 0, length - 1))
        return tf.where(is_inside, values, 0)

    # === The segment that holds EXIF ===
    def goes_on(_, place, found):
        marker = at(place, 2)
        is_segment = (marker[0] == 0xFF) & (marker[1] != SCAN)
        is_segment &= (marker[1] != END) & (place < length)
        return is_segment & (found < 0)

    def look(passed, place, found):
        start = at(place, 10)
        is_exif = (start[1] == APP1) & tf.reduce_all(start[4:] == list(EXIF))
        size = 256 * start[2] + start[3]
        following = place + 2 + tf.maximum(size, 2)
        return passed + 1, following, tf.where(is_exif, place + 10, found)

    *_, base = tf.while_loop(
        goes_on, look, (0, 2, -1), maximum_iterations=SEGMENTS
    )

    # === Its first directory of tags ===
    is_little = at(base, 1)[0] == ord("I")

    def number(place, count):
        values = at(place, count)
        weights = tf.constant([256**power for power in range(count)])
        weights = tf.where(is_little, weights, weights[::-1])
        return tf.reduce_sum(values * weights, axis=-1)

    directory = base + number(base + 4, 4)
    # No picture has as many tags: a damaged count must not be believed.
    count = tf.clip_by_value(number(directory, 2), 0, 512)
    entries = directory + 2 + 12 * tf.range(count)
    values = number(entries + 8, 2)[number(entries, 2) == ORIENTATION]
    turn = tf.concat([values, [1]], axis=0)[0]
    is_turn = (base >= 0) & (turn >= 1) & (turn <= 8)
    return tf.where(is_turn, turn, 1)
