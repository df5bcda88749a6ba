"""A depthwise convolution that learns fast in half precision."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("kcolor")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras' layer with a bias, whose gradients are computed in float32.

    On processors TensorFlow computes the outputs fastest in bfloat16, and the
    gradients fastest in float32, by a factor of two to three; the bias' would
    be off by a tenth in bfloat16.
    """

    def call(self, inputs):
        outputs = _depthwise(
            inputs,
            tf.convert_to_tensor(self.kernel),
            tf.convert_to_tensor(self.bias),
            self.strides[0],
            self.padding.upper(),
        )
        return self.activation(outputs)


def _depthwise(inputs, kernel, bias, stride: int, padding: str):
    options = {"strides": [1, stride, stride, 1], "padding": padding}

    @tf.custom_gradient
    def convolve(inputs, kernel, bias):
        def gradients(upstream):
            upstream = tf.cast(upstream, tf.float32)
            found = (
                tf.nn.depthwise_conv2d_backprop_input(
                    tf.shape(inputs),
                    tf.cast(kernel, tf.float32),
                    upstream,
                    **options,
                ),
                tf.nn.depthwise_conv2d_backprop_filter(
                    tf.cast(inputs, tf.float32),
                    kernel.shape,
                    upstream,
                    **options,
                ),
                tf.reduce_sum(upstream, (0, 1, 2)),
            )
            return [tf.cast(part, inputs.dtype) for part in found]

        outputs = tf.nn.depthwise_conv2d(inputs, kernel, **options)
        return tf.nn.bias_add(outputs, bias), gradients

    return convolve(inputs, kernel, bias)
