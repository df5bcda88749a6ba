"""A convolution that is computed in the way that is fastest for its shape."""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

FEW_FILTERS = 4  # fewer than processors compute at once
_PIXELS = [(0, 0), (0, 1), (1, 0), (1, 1)]  # of a square
SMALL = 8  # height and width of maps whose kernels learn faster otherwise


@keras.saving.register_keras_serializable("kcolor")
class Conv2D(keras.layers.Conv2D):
    """Keras' layer, faster on processors where batches have a known shape.

    TensorFlow's library does well on plain kernels and large maps. Others are
    turned into what it does well, by which nothing but the rounding changes.
    """

    def convolution_op(self, inputs, kernel):
        count, height, width, _ = inputs.shape
        # In exports the number of photos is open, or one.
        is_known = None not in (count, height, width) and count > 1
        if is_known and _is_processor():
            way = self._way(height, width)
            if way is not None:
                return way(inputs, tf.convert_to_tensor(kernel))
        return super().convolution_op(inputs, kernel)

    def _way(self, height: int, width: int):
        """Returns the way to compute maps of a size; None for Keras' own."""
        if self.strides != (1, 1) or self.groups != 1:
            return None
        if self.padding == "same" and self.kernel_size == (3, 3):
            if self.dilation_rate == (2, 2):
                return None if height % 2 or width % 2 else _dilated
            if self.dilation_rate == (1, 1):
                if height == width == 2:
                    return _of_four_pixels
                if height <= SMALL and width <= SMALL:
                    return _small
        rows, columns = (
            side - size + 1
            for side, size in zip(
                (height, width), self.kernel_size, strict=True
            )
        )
        if (
            self.padding == "valid"
            and self.dilation_rate == (1, 1)
            and min(self.kernel_size) > 1
            and self.filters <= FEW_FILTERS
            and not (rows % 2 or columns % 2)
        ):
            return _few_filters
        return None


@functools.cache
def _is_processor() -> bool:
    """Whether networks run on the processor: GPUs have their own library."""
    return not tf.config.list_physical_devices("GPU")


def _few_filters(inputs, kernel):
    """Computes squares of 2x2 pixels at once: four times the filters.

    Processors compute sixteen filters in the time of one.
    """
    # A pixel's kernel stands where the pixel is in its square.
    kernels = [
        tf.pad(kernel, [[row, 1 - row], [column, 1 - column], [0, 0], [0, 0]])
        for row, column in _PIXELS
    ]
    squares = tf.nn.conv2d(inputs, tf.concat(kernels, -1), 2, "VALID")
    return tf.nn.depth_to_space(squares, 2)


def _dilated(inputs, kernel):
    """Computes every other row and column as a map of its own.

    For the gradient of a dilated kernel takes twice the time of a plain one's.
    """
    count, height, width, channels = inputs.shape
    halves = (count, height // 2, 2, width // 2, 2)
    maps = tf.transpose(
        tf.reshape(inputs, (*halves, channels)), (2, 4, 0, 1, 3, 5)
    )
    maps = tf.reshape(maps, (4 * count, height // 2, width // 2, channels))
    if max(maps.shape[1:3]) <= SMALL:
        maps = _small(maps, kernel)
    else:
        maps = tf.nn.conv2d(maps, kernel, 1, "SAME")
    filters = kernel.shape[-1]
    maps = tf.reshape(maps, (2, 2, count, height // 2, width // 2, filters))
    maps = tf.transpose(maps, (2, 3, 0, 4, 1, 5))
    return tf.reshape(maps, (count, height, width, filters))


def _of_four_pixels(inputs, kernel):
    """Computes 2x2 pixels as a dense layer: most of a kernel sees no pixel."""
    count, filters = inputs.shape[0], kernel.shape[-1]
    weights = _weights_of_four_pixels(kernel)
    answers = tf.matmul(tf.reshape(inputs, (count, -1)), weights)
    return tf.reshape(answers, (count, 2, 2, filters))


# Which tap of a 3x3 kernel, by row, leads from an input pixel to an output.
_TAPS = [
    [
        3 * (row - to_row + 1) + column - to_column + 1
        for to_row, to_column in _PIXELS
    ]
    for row, column in _PIXELS
]


@tf.custom_gradient
def _weights_of_four_pixels(kernel):
    """Returns (4 channels, 4 filters) of (3, 3, channels, filters)."""
    *_, channels, filters = kernel.shape
    taps = tf.gather(tf.reshape(kernel, (9, channels, filters)), _TAPS)

    def gradient(upstream):
        parts = tf.reshape(upstream, (4, channels, 4, filters))
        parts = tf.reshape(tf.transpose(parts, (0, 2, 1, 3)), (16, -1))
        # A product of sums, where those that a gather has take long.
        chosen = tf.one_hot(
            tf.reshape(_TAPS, (16,)), 9, axis=0, dtype=kernel.dtype
        )
        return tf.reshape(tf.matmul(chosen, parts), kernel.shape)

    weights = tf.transpose(taps, (0, 2, 1, 3))
    return tf.reshape(weights, (4 * channels, 4 * filters)), gradient


@tf.custom_gradient
def _small(inputs, kernel):
    """Computes the kernel's gradient as a convolution forwards.

    What is a channel there are the photos here, and the gradient of the
    outputs is the kernel.
    """

    def gradient(upstream):
        of_inputs = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=inputs.shape,
            filter=kernel,
            out_backprop=upstream,
            strides=[1] * 4,
            padding="SAME",
        )
        of_kernel = tf.nn.conv2d(
            tf.transpose(inputs, (3, 1, 2, 0)),
            tf.transpose(upstream, (1, 2, 0, 3)),
            strides=1,
            padding=[[0, 0], [1, 1], [1, 1], [0, 0]],
        )
        return of_inputs, tf.transpose(of_kernel, (1, 2, 0, 3))

    return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradient
