"""Photos and features at another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcolor.late import keras, tf

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


def resize(
    pixels: Tensor, height: int, width: int, interpolation: str = "bilinear"
) -> Tensor:
    """Returns (N, height, width, C) of (N, any, any, C), in the same precision.

    As `keras.ops.image.resize`, which refuses sizes that are known only when a
    graph runs.
    """
    # Under XLA the gradient of 16-bit features would not be of 16 bits.
    whole = tf.cast(pixels, "float32")
    resized = tf.image.resize(whole, (height, width), interpolation)
    return tf.cast(resized, pixels.dtype)


def enlarge(
    pixels: Tensor, factor: int, interpolation: str = "bilinear"
) -> Tensor:
    """Returns (N, factor H, factor W, C) of (N, H, W, C)."""
    if factor == 1:
        return pixels
    height, width = keras.ops.shape(pixels)[1:3]
    return resize(pixels, factor * height, factor * width, interpolation)


def pad(pixels: Tensor, multiple: int, least: int = 1) -> Tensor:
    """Repeats the last row and column until both sizes are a multiple.

    Args:
        pixels: (N, H, W, C).
        multiple: What height and width are to be a multiple of.
        least: What they are to be at least.

    Example:

    >>> pad(keras.ops.ones((1, 5, 8, 1)), 4).shape
    TensorShape([1, 8, 8, 1])
    """
    for axis in (1, 2):
        size = keras.ops.shape(pixels)[axis]
        known = isinstance(size, int)
        maximum = max if known else keras.ops.maximum
        padded = -(-maximum(size, least) // multiple) * multiple
        if known and padded == size:
            continue
        lines = keras.ops.minimum(keras.ops.arange(padded), size - 1)
        pixels = keras.ops.take(pixels, lines, axis=axis)
    return pixels


def crop(pixels: Tensor, height: int, width: int) -> Tensor:
    """Returns the first rows and columns, (N, height, width, C)."""
    if not isinstance(height, int) or not isinstance(width, int):
        return pixels[:, :height, :width]
    # Of known sizes, as in training: the gradient of the other way takes ten
    # times as long.
    return tf.slice(pixels, [0] * 4, [-1, height, width, -1])


def shrink(pixels: Tensor, factor: int) -> Tensor:
    """Returns the means of squares of pixels, (N, H / factor, W / factor, C).

    Squares that reach beyond the photo repeat its last row and column.

    Example:

    >>> shrink(keras.ops.ones((1, 5, 8, 2)), 4).shape
    TensorShape([1, 2, 2, 2])
    """
    if factor == 1:
        return pixels
    return keras.ops.average_pool(pad(pixels, factor), factor)
