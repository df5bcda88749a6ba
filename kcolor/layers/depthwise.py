"""A depthwise convolution that learns fast in half precision."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("kcolor")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras' layer, whose gradients are computed in float32.

    On processors TensorFlow computes the outputs fastest in bfloat16, and the
    gradients fastest in float32, by a factor of three.
    """

    def call(self, inputs):
        outputs = _depthwise(
            inputs,
            tf.convert_to_tensor(self.kernel),
            self.strides[0],
            self.padding.upper(),
        )
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)


def _depthwise(inputs, kernel, stride: int, padding: str):
    options = {"strides": [1, stride, stride, 1], "padding": padding}

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradients(upstream):
            upstream = tf.cast(upstream, tf.float32)
            of_inputs = tf.nn.depthwise_conv2d_backprop_input(
                tf.shape(inputs),
                tf.cast(kernel, tf.float32),
                upstream,
                **options,
            )
            of_kernel = tf.nn.depthwise_conv2d_backprop_filter(
                tf.cast(inputs, tf.float32),
                kernel.shape,
                upstream,
                **options,
            )
            return (
                tf.cast(of_inputs, inputs.dtype),
                tf.cast(of_kernel, kernel.dtype),
            )

        outputs = tf.nn.depthwise_conv2d(inputs, kernel, **options)
        return outputs, gradients

    return convolve(inputs, kernel)
