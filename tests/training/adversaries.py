"""What the tests of both schemes with a discriminator do to a training."""

import keras
import numpy as np
import tensorflow as tf


def step(training, batch):
    """Takes a step, not in a graph, and returns its figures."""
    training.reset_metrics()
    return {k: float(v) for k, v in training.train_step(batch).items()}


def numbers_of(variables):
    return [np.array(variable) for variable in variables]


def moved(before, variables):
    return [
        not np.array_equal(old, new)
        for old, new in zip(before, variables, strict=True)
    ]


def assert_xla_agrees(training_of, photos, epochs):
    """Compares the figures of some steps, in a compiled graph and in none.

    Args:
        training_of: Makes a training.
        photos: The batch of each step.
        epochs: How many steps.
    """
    found = []
    for mode in ({"run_eagerly": True}, {"jit_compile": True}):
        training = training_of()
        training.compile(
            keras.optimizers.SGD(1e-2, global_clipnorm=1.0),
            keras.optimizers.SGD(1e-2, global_clipnorm=1.0),
            **mode,
        )
        dataset = tf.data.Dataset.from_tensors(photos)
        found.append(training.fit(dataset, epochs=epochs, verbose=0).history)
    plain, compiled = found
    assert set(plain) == set(compiled) == set(training.logged)
    for name, values in plain.items():
        # Of logits near the bound, rounding decides.
        if not name.endswith("accuracy"):
            np.testing.assert_allclose(
                compiled[name], values, rtol=2e-3, atol=1e-5
            )


def assert_16_bits_train(training, photos, expected, least_moved):
    """Compares a step in mixed precision with one in float32, and goes on.

    Args:
        training: Made under the policy of mixed precision.
        photos: The batch of each step.
        expected: The losses of a step in float32, by name.
        least_moved: Share of the variables that the steps must move.
    """
    if keras.config.dtype_policy().name == "mixed_float16":
        training.compile(
            *(
                keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-2))
                for _ in range(2)
            )
        )
        training.build_optimizers()
    variables = training.generator_variables + training.discriminator_variables
    before = numbers_of(variables)
    figures = step(training, photos)
    for name, value in expected.items():
        assert abs(figures[name] - value) <= max(0.1, 0.1 * abs(value)), name
    for _ in range(7):  # too large scales are halved
        assert np.isfinite(list(step(training, photos).values())).all()
    for variable in variables:
        assert np.isfinite(variable).all(), variable.path
    assert np.mean(moved(before, variables)) > least_moved
