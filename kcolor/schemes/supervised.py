"""Learning from pairs of lightness and ab."""

from __future__ import annotations

from dataclasses import dataclass

from kcolor.schemes import register
from kcolor.schemes.scheme import Scheme


@register("supervised")
@dataclass(frozen=True)
class SupervisedScheme(Scheme):
    """The loss alone, on pairs of lightness and true ab.

    Example:

    >>> SupervisedScheme().learning_rate
    0.001
    """

    def build(self, colorizer, seed):
        from kcolor.training.supervised import Supervised

        return Supervised(colorizer, seed)
