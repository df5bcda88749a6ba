"""Optimizers of one operation a variable are Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.training import optimizers

SETTINGS = [
    {"learning_rate": 0.1},
    {"learning_rate": 0.1, "beta_1": 0.5, "global_clipnorm": 0.3},
    {
        "learning_rate": keras.optimizers.schedules.CosineDecay(0.1, 8),
        "use_ema": True,
        "ema_momentum": 0.7,
    },
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(
    ("ours", "keras_own"),
    [
        (optimizers.Adam, keras.optimizers.Adam),
        (optimizers.AdamW, keras.optimizers.AdamW),
    ],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_are_keras_own(ours, keras_own, settings, jit_compile):
    found = []
    for kind in (ours, keras_own):
        random = np.random.default_rng(0)
        weights = [keras.Variable(random.normal(size=s)) for s in (5, (2, 3))]
        optimizer = kind(**settings)
        optimizer.build(weights)

        @tf.function(jit_compile=jit_compile)
        def step(*gradients, optimizer=optimizer):
            optimizer.apply(gradients)

        for _ in range(6):
            step(
                *(
                    tf.constant(random.normal(size=w.shape), tf.float32)
                    for w in weights
                )
            )
        found.append([*weights, *optimizer.variables])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
