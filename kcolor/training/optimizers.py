"""Optimizers of Keras, each step of which is one operation a variable.

Keras makes a dozen of it, each of which passes over the whole variable: for
networks of many parameters that takes as long as the network itself.
"""

from __future__ import annotations

import keras
import tensorflow as tf


class _OneOperation:
    """What Adam and AdamW share."""

    def update_step(self, gradient, variable, learning_rate):
        """Moves a variable by its gradient, as Keras does.

        Reference:
            Kingma and Ba 2015, "Adam", sec. 2, the last lines.
        """
        number = self._get_variable_index(variable)
        step = self.iterations + 1
        numbers = {
            "lr": learning_rate,
            "beta1": self.beta_1,
            "beta2": self.beta_2,
            "beta1_power": keras.ops.power(self.beta_1, step),
            "beta2_power": keras.ops.power(self.beta_2, step),
            "epsilon": self.epsilon,
            "grad": gradient,
        }
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].value.handle,
            v=self._velocities[number].value.handle,
            **{k: tf.cast(n, variable.dtype) for k, n in numbers.items()},
        )


class Adam(_OneOperation, keras.optimizers.Adam):
    """`keras.optimizers.Adam`, faster.

    Example:

    >>> weight = keras.Variable([1.0])
    >>> optimizer = Adam(0.1)
    >>> optimizer.apply([tf.constant([2.0])], [weight])
    >>> weight.numpy().round(3)
    array([0.9], dtype=float32)
    """


class AdamW(_OneOperation, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, faster."""
