"""Photos and features at another size."""

import tensorflow as tf


def resize(pixels, height, width, interpolation: str = "bilinear"):
    """Returns (N, height, width, C) of (N, any, any, C), in the same precision.

    As `keras.ops.image.resize`, which refuses sizes that are known only when a
    graph runs.
    """
    resized = tf.image.resize(pixels, (height, width), interpolation)
    return tf.cast(resized, pixels.dtype)
