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


def twins(layer, twin, shape, **call):
    """Returns both layers' answers to photos, and all gradients."""
    random = np.random.default_rng(0)
    photos = tf.constant(random.normal(1, 2, shape), tf.float32)
    found = []
    for one in (layer, twin):
        one.build(shape)
        one.set_weights(
            [random.normal(size=np.shape(w)) for w in one.get_weights()]
            if one is layer
            else layer.get_weights()
        )
        with tf.GradientTape() as tape:
            tape.watch(photos)
            answers = one(photos, **(call if one is layer else {}))
            loss = tf.reduce_sum(answers**3)
        variables = [v.value for v in one.trainable_variables]
        found.append([answers, *tape.gradient(loss, [photos, *variables])])
    return found


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (1, 2, 2, 3)])
def test_instance_normalisation_is_keras_group_normalisation(shape, training):
    keras_own = keras.layers.GroupNormalization(-1, epsilon=1e-5)
    ours, theirs = twins(
        layers.InstanceNormalization(), keras_own, shape, training=training
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_a_dense_layer_is_keras_own():
    ours, theirs = twins(layers.Dense(7), keras.layers.Dense(7), (4, 5))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_crop_is_keras_own():
    keras_own = keras.layers.Cropping2D(((1, 0), (1, 0)))
    ours, theirs = twins(layers.Crop(), keras_own, (2, 5, 4, 3))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert layers.Crop().compute_output_shape((None, None, 4, 3)) == (
        None,
        None,
        3,
        3,
    )
