"""Learning rates that Keras has no schedule for."""

from __future__ import annotations

import keras


class SecondHalf(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that stays, and in the second half falls to 0 in a line.

    Args:
        rate: In the first half.
        steps: In all.

    Example:

    >>> [round(float(SecondHalf(2.0, 8)(step)), 2) for step in (0, 4, 6, 8)]
    [2.0, 2.0, 1.0, 0.0]

    Reference:
        Zhu et al. 2017, "Unpaired Image-to-Image Translation using
        Cycle-Consistent Adversarial Networks", sec. 4.
    """

    def __init__(self, rate: float, steps: int):
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        left = 2.0 * (1.0 - keras.ops.cast(step, "float32") / self.steps)
        return self.rate * keras.ops.clip(left, 0.0, 1.0)


class Lowered(keras.optimizers.schedules.LearningRateSchedule):
    """Another rate, times a factor from a step on.

    Args:
        rate: The other one: a number or a schedule.
        step: The first that the factor is for.
        factor: What it is multiplied by.

    Example:

    >>> rate = Lowered(2.0, 10, 0.1)
    >>> [round(float(rate(step)), 2) for step in (9, 10)]
    [2.0, 0.2]
    """

    def __init__(
        self,
        rate: float | keras.optimizers.schedules.LearningRateSchedule,
        step: int,
        factor: float,
    ):
        self.rate = rate
        self.step = step
        self.factor = factor

    def __call__(self, step):
        rate = self.rate(step) if callable(self.rate) else self.rate
        return rate * keras.ops.where(step < self.step, 1.0, self.factor)


class Following(keras.optimizers.schedules.LearningRateSchedule):
    """Another optimizer's rate, times a factor.

    So that whatever lowers the one, a schedule or a callback, lowers both, and
    an optimizer that takes more steps, or fewer, keeps pace.

    Args:
        optimizer: The other one.
        factor: What its rate is multiplied by.

    Example:

    >>> adam = keras.optimizers.Adam(0.5)
    >>> rate = Following(adam, 2.0)
    >>> adam.learning_rate = 0.25
    >>> float(rate(1000))
    0.5
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, factor: float):
        self.optimizer = optimizer
        self.factor = factor

    def __call__(self, step):
        return self.factor * keras.ops.convert_to_tensor(
            self.optimizer.learning_rate
        )
