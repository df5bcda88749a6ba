"""Absolute error."""

from dataclasses import dataclass

from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.regression import Regression


@register("l1")
@dataclass(frozen=True)
class L1(Regression):
    """Mean absolute error of ab, in ab units.

    Its best answer is the median of the plausible colours, channel by channel.

    Example:

    >>> float(L1().penalty(-3.0))
    3.0

    Reference:
        Isola et al. 2017, "Image-to-Image Translation with Conditional
        Adversarial Networks", eq. 3.
    """

    def penalty(self, difference):
        return keras.ops.abs(difference)
