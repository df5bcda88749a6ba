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
        step = tf.cast(self.iterations + 1, tf.float32)
        rate = tf.cast(learning_rate, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].value.handle,
            v=self._velocities[number].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
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
