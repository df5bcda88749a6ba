"""Absolute error, rounded off near zero."""

from dataclasses import dataclass

from jsonargparse.typing import restricted_number_type

from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.regression import Regression

Delta = restricted_number_type("Delta", float, [(">=", 1e-6), ("<=", 1e3)])


@register("smooth_l1")
@dataclass(frozen=True)
class SmoothL1(Regression):
    """Huber's loss on ab, over delta: squared below `delta`, absolute above.

    For a difference d: d^2 / (2 delta) where |d| < delta, |d| - delta / 2
    elsewhere. In ab units.

    Args:
        delta: Where the square ends, in ab units.

    Example:

    >>> loss = SmoothL1(delta=2.0)
    >>> [float(loss.penalty(d)) for d in (1.0, -3.0)]
    [0.25, 2.0]

    Reference:
        Girshick 2015, "Fast R-CNN", eq. 3. Zhang et al. 2017, "Real-Time
        User-Guided Image Colorization", eq. 2 (delta = 1).
    """

    delta: Delta = 1.0

    def penalty(self, difference):
        size = keras.ops.abs(difference)
        return keras.ops.where(
            size < self.delta,
            keras.ops.square(size) / (2 * self.delta),
            size - self.delta / 2,
        )
