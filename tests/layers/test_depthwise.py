"""Tests for the depthwise convolution beside Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.layers import DepthwiseConv2D

pytestmark = pytest.mark.usefixtures("fresh_keras")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(
    ("precision", "away"), [("float32", 1e-4), ("mixed_bfloat16", 5e-2)]
)
def test_it_answers_and_learns_as_keras_own(kernel, stride, precision, away):
    inputs = np.random.default_rng(0).normal(size=(3, 9, 12, 6))
    weights = np.random.default_rng(1).normal(size=(kernel, kernel, 6, 1)) / 5
    keras.config.set_dtype_policy("float32")
    twin = keras.layers.DepthwiseConv2D(kernel, stride, padding="same")
    keras.config.set_dtype_policy(precision)
    ours = DepthwiseConv2D(kernel, stride, padding="same")
    found = []
    for layer in (ours, twin):
        layer.build(inputs.shape)
        layer.set_weights([weights, np.arange(6)])
        given = tf.constant(inputs, layer.compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch(given)
            outputs = layer(given)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2)
        variables = [given, *(w.value for w in layer.trainable_weights)]
        gradients = tape.gradient(loss, variables)
        found.append([np.float32(part) for part in (outputs, *gradients)])
    for one, other in zip(*found, strict=True):
        assert abs(one - other).max() <= away * abs(other).max()
