"""Layers that several architectures share.

Those that call TensorFlow do what Keras does, faster or where Keras cannot.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from kcolor import replicas
from kcolor.layers.convolution import Conv2D
from kcolor.layers.depthwise import DepthwiseConv2D
from kcolor.layers.dropout import Dropout, dropping
from kcolor.resize import enlarge

__all__ = [
    "Conv2D",
    "DepthwiseConv2D",
    "Dropout",
    "dropping",
]  # beside what is defined here


def outputs(x):
    """Returns what a network ends with: the same numbers in float32."""
    return keras.layers.Activation("linear", dtype="float32", name="outputs")(x)


def small():
    """Returns the initializer of the layer whose outputs are to begin near 0.

    There objectives know nothing but the prior; far from it the first epochs go
    into coming back.
    """
    return keras.initializers.VarianceScaling(1e-4)


def narrow():
    """Returns the initializer of pix2pix and CycleGAN."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def conv(
    x, filters: int, name: str, kernel: int = 3, activation="relu", **options
):
    """Returns a convolution, with ReLU, padded alike on all sides."""
    # At stride 2 "same" would pad below and to the right alone, and shift the
    # features. Of kernels that reach beyond small maps, bfloat16 on processors
    # (oneDNN in TensorFlow 2.21) gives garbage for the gradient; with the
    # padding in the map they do not reach beyond it.
    if kernel > 3 or (kernel == 3 and options.get("strides", 1) == 2):
        x = keras.layers.ZeroPadding2D(kernel // 2, name=f"pad_{name}")(x)
        padding = "valid"
    else:
        padding = "same"
    return Conv2D(
        filters,
        kernel,
        padding=padding,
        activation=activation,
        kernel_initializer="he_normal",
        name=name,
        **options,
    )(x)


def norm(x, name: str, epsilon: float = 1e-3):
    """Returns the batch-normalised features.

    Features behind a ReLU may be 0 for nearly all photos, so have next to no
    variance: the photo that wakes one would have it magnified by
    1 / sqrt(epsilon).
    """
    return BatchNormalization(epsilon=epsilon, name=name)(x)


def double(x, name: str):
    """Returns features of twice the size, each pixel a square of 2x2.

    As `keras.layers.UpSampling2D`, which loses the number of channels where a
    model of open size is exported.
    """
    x = keras.layers.Concatenate(name=f"{name}_copies")([x] * 4)
    return DepthToSpace(name=name)(x)


@keras.saving.register_keras_serializable("kcolor")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer for 4-D features, by TensorFlow's fused operation.

    Under mixed bfloat16 on a processor Keras computes the statistics in several
    passes; the fused operation in one. The momentum is 0.9: Keras' own 0.99
    needs more steps than a short training has. The other settings are Keras'
    defaults.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if not self.trainable:
            return super().call(inputs, training, mask)
        training = bool(training)
        if training and replicas.count() > 1:
            return self._of_replicas(inputs)
        normalised, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            None if training else tf.cast(self.moving_mean, tf.float32),
            None if training else tf.cast(self.moving_variance, tf.float32),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The fused operation divides by one less than Keras.
            count = tf.cast(tf.size(inputs[..., 0]), tf.float32)
            variance *= tf.maximum(count - 1, 1) / count
            self._remember(mean, variance)
        return normalised

    def _of_replicas(self, inputs):
        """Normalises by the statistics of the whole batch, as one device."""
        whole = tf.cast(inputs, tf.float32)
        parts = tf.stack(
            [
                tf.reduce_mean(whole, (0, 1, 2)),
                tf.reduce_mean(tf.square(whole), (0, 1, 2)),
            ]
        )
        mean, square = tf.unstack(replicas.summed(parts / replicas.count()))
        variance = tf.maximum(square - tf.square(mean), 0.0)
        self._remember(mean, variance)
        normalised = tf.nn.batch_normalization(
            whole, mean, variance, self.beta, self.gamma, self.epsilon
        )
        return tf.cast(normalised, inputs.dtype)

    def _remember(self, mean, variance):
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))


@keras.saving.register_keras_serializable("kcolor")
class InstanceNormalization(keras.layers.GroupNormalization):
    """Keras' group normalisation, a group a channel, by the fused operation.

    In training, where it counts: each channel of each photo becomes a channel
    of one large photo.
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs):
        kwargs.pop("groups", None)
        super().__init__(-1, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=False):
        if not training:
            return super().call(inputs)
        photos, height, width, channels = keras.ops.shape(inputs)
        wide = tf.reshape(
            tf.transpose(inputs, (1, 2, 0, 3)),
            (1, height, width, photos * channels),
        )
        normalised, _, _ = tf.compat.v1.nn.fused_batch_norm(
            wide,
            tf.tile(tf.cast(self.gamma, tf.float32), [photos]),
            tf.tile(tf.cast(self.beta, tf.float32), [photos]),
            epsilon=self.epsilon,
        )
        normalised = tf.reshape(normalised, (height, width, photos, channels))
        return tf.transpose(normalised, (2, 0, 1, 3))


@keras.saving.register_keras_serializable("kcolor")
class Crop(keras.layers.Layer):
    """Leaves out the first row and the first column.

    As `keras.layers.Cropping2D`, whose gradient takes ten times as long.
    """

    def call(self, inputs):
        return tf.slice(inputs, [0, 1, 1, 0], [-1] * 4)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        sides = [side and side - 1 for side in (height, width)]
        return (count, *sides, channels)


@keras.saving.register_keras_serializable("kcolor")
class Dense(keras.layers.Dense):
    """Keras' layer, whose two gradients are computed one after the other.

    For each TensorFlow's library orders large matrices in its own way, which
    takes the memory of the weights once more. For (N, channels), with a bias.
    """

    def call(self, inputs, training=None):
        outputs = _product(inputs, tf.convert_to_tensor(self.kernel))
        return self.activation(tf.nn.bias_add(outputs, self.bias))


@tf.custom_gradient
def _product(inputs, kernel):
    """Returns (N, filters) of (N, channels) and (channels, filters)."""

    def gradients(upstream):
        of_inputs = tf.matmul(upstream, kernel, transpose_b=True)
        with tf.control_dependencies([of_inputs]):
            return of_inputs, tf.matmul(inputs, upstream, transpose_a=True)

    return tf.matmul(inputs, kernel), gradients


@keras.saving.register_keras_serializable("kcolor")
class DepthToSpace(keras.layers.Layer):
    """Spreads each four channels over a square of 2x2 pixels.

    Its twin is `keras.ops.reshape` and `transpose`. Reference: Shi et al. 2016,
    "Real-Time Single Image and Video Super-Resolution", sec. 3.2.
    """

    def call(self, inputs):
        return tf.nn.depth_to_space(inputs, 2)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        sides = [side and 2 * side for side in (height, width)]
        return (count, *sides, channels // 4)


@keras.saving.register_keras_serializable("kcolor")
class Enlarge(keras.layers.Layer):
    """Features of twice the height and width, interpolated.

    As `keras.layers.UpSampling2D`, which loses the number of channels where a
    model of open size is exported.
    """

    def call(self, inputs):
        return enlarge(inputs, 2)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        sides = [side and 2 * side for side in (height, width)]
        return (count, *sides, channels)


@keras.saving.register_keras_serializable("kcolor")
class First(keras.layers.Layer):
    """The first channel of features."""

    def call(self, inputs):
        return inputs[..., :1]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable("kcolor")
class Grey(keras.layers.Layer):
    """Samples of grey, 0 to 255, of lightness, -1 to 1.

    Within 2 of what sRGB has for it, and 6 where it is nearly black: by sums
    and products, which every format of exports knows.
    """

    def call(self, inputs):
        share = 0.5 * (inputs + 1.0)
        return 255.0 * share * (0.88 + 0.12 * share)


@keras.saving.register_keras_serializable("kcolor")
class SpaceToDepth(keras.layers.Layer):
    """Gathers each square of 2x2 pixels into one of four times the channels."""

    def call(self, inputs):
        return tf.nn.space_to_depth(inputs, 2)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        sides = [side and side // 2 for side in (height, width)]
        return (count, *sides, channels * 4)
