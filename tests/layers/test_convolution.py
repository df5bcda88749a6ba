"""Convolutions computed another way are Keras' own but for rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.layers import Conv2D
from kcolor.layers.convolution import (
    _dilated,
    _few_filters,
    _of_four_pixels,
    _small,
)

SAME = {"kernel_size": 3, "padding": "same"}
WAYS = [
    ((3, 2, 2, 5), _of_four_pixels, SAME),
    ((3, 4, 4, 5), _small, SAME),
    ((3, 1, 3, 5), _small, SAME),
    ((3, 8, 6, 5), _dilated, {**SAME, "dilation_rate": 2}),
    ((3, 14, 12, 5), _few_filters, {"kernel_size": 7, "filters": 3}),
    ((3, 9, 7, 5), _few_filters, {"kernel_size": 4, "filters": 1}),
    # Keras' own way.
    ((3, 6, 9, 5), None, SAME),
    ((1, 2, 2, 5), None, SAME),
    ((3, 7, 6, 5), None, {**SAME, "dilation_rate": 2}),
    ((3, 14, 12, 5), None, {"kernel_size": 7, "filters": 5}),
    ((3, 13, 12, 5), None, {"kernel_size": 7, "filters": 3}),
    ((3, 4, 4, 5), None, {**SAME, "strides": 2}),
]


@pytest.mark.parametrize(("shape", "way", "options"), WAYS)
def test_a_convolution_and_its_gradients_are_keras_own(shape, way, options):
    options = {"filters": 6, "bias_initializer": "normal", **options}
    ours, keras_own = Conv2D(**options), keras.layers.Conv2D(**options)
    assert shape[0] == 1 or ours._way(*shape[1:3]) is way
    found = []
    random = np.random.default_rng(0)
    photos = tf.constant(random.normal(size=shape), tf.float32)
    for layer in (ours, keras_own):
        layer.build(shape)
        layer.set_weights(ours.get_weights())
        variables = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(photos)
            answers = layer(photos)
            loss = tf.reduce_sum(answers**3)
        found.append([answers, *tape.gradient(loss, [photos, *variables])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_photos_of_open_number_or_size_are_convolved_in_keras_own_way():
    layer = Conv2D(2, 3, padding="same")
    layer.build((None, None, None, 4))
    photos = np.random.default_rng(0).normal(size=(2, 4, 4, 4))
    photos = tf.constant(photos, tf.float32)

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 4), tf.float32)]
    )
    def open_sized(photos):
        return layer(photos)

    np.testing.assert_allclose(open_sized(photos), layer(photos), atol=1e-5)
