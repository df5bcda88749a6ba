"""Squared error."""

from dataclasses import dataclass

from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.regression import Regression


@register("l2")
@dataclass(frozen=True)
class L2(Regression):
    """Mean squared error of ab, in squared ab units.

    Its best answer is the mean of the plausible colours, which is greyer than
    any of them.

    Example:

    >>> float(L2().penalty(3.0))
    9.0

    Reference:
        "Automatic Colorization: A Search Space Odyssey" (poster).
        Cheng, Yang and Sheng 2015, "Deep Colorization", eq. 2.
    """

    def penalty(self, difference):
        return keras.ops.square(difference)
