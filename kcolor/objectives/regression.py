"""Objectives whose network gives ab itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kcolor.color import LARGEST_AB
from kcolor.late import keras
from kcolor.objectives.objective import Objective

# One unit of the network's output in ab units: about the spread of a photo's
# chroma, so that outputs, like weights and features, stay near 1.
SCALE = 16.0
# Mean absolute error of grey photos, in ab units.
GREY_ERROR = 11.0


@dataclass(frozen=True)
class Regression(Objective):
    """Two numbers for each pixel, the ab of the photo.

    Assumes that the colours a pixel may have lie around one: where a car may be
    red or green, it answers with what lies between, a brown.
    """

    monitor: ClassVar[str] = "rmse_ab"

    @property
    def channels(self) -> int:
        return 2

    @property
    def range_loss(self):
        return self.penalty(2 * LARGEST_AB)

    @property
    def grey_loss(self):
        return self.penalty(GREY_ERROR)

    def losses(self, outputs, ab):
        penalties = self.penalty(self.decode(outputs) - ab)
        return {"loss": keras.ops.mean(penalties)}

    def penalty(self, difference):
        """Returns the loss of each difference, given in ab units."""
        raise NotImplementedError

    def decode(self, outputs):
        return SCALE * keras.ops.cast(outputs, "float32")
