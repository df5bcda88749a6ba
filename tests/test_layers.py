"""Tests for the layers that architectures share."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor import layers

pytestmark = pytest.mark.usefixtures("fresh_keras")


def gradient_of_kernel(side, kernel, precision):
    """Returns the gradient of a wide convolution's kernel on a small map."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    inputs = keras.Input((side, side, 128))
    outputs = layers.conv(inputs, 256, "conv", kernel=kernel)
    network = keras.Model(inputs, outputs)
    random = np.random.default_rng(0)
    photos = tf.constant(random.normal(size=(64, side, side, 128)), tf.float32)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            answer = tf.cast(network(photos), tf.float32)
            loss = tf.reduce_mean(tf.square(answer))
        return tape.gradient(loss, network.trainable_variables[0])

    return np.array(gradient())


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("kernel", [3, 7])
def test_a_kernel_wider_than_the_map_learns_the_same_in_bfloat16(side, kernel):
    expected = gradient_of_kernel(side, kernel, "float32")
    found = gradient_of_kernel(side, kernel, "mixed_bfloat16")
    np.testing.assert_allclose(found, expected, atol=0.03 * expected.max())


def test_a_network_can_be_built_before_anything_else_is_imported():
    # Keras, which lets kcolor register the colorizer, is imported by the layers
    # that the colorizer needs.
    script = (
        "from kcolor.models.cnn import CNN; CNN(head='conv').build(32, 1, 2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
