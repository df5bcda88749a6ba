"""Absolute error of a photo whose lightness is predicted, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kcolor.color import LARGEST_AB, lab_to_rgb, rgb_to_lab
from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.regression import GREY_ERROR
from kcolor.resize import shrink

RANGE = 2.0  # a pixel's red, green and blue are from -1 to 1


@register("rgb")
@dataclass(frozen=True)
class RGB(Objective):
    """Mean absolute error of red, green and blue, scaled to -1..1.

    Three numbers for each pixel, squashed by a tangent as in CycleGAN: a photo
    of a lightness of its own. `decode` keeps its ab alone, so the photo that is
    coloured loses no detail. With `--scheme cyclegan` it makes the paper's
    CycleGAN, where no true photo is seen. It suits architectures that answer
    for each pixel: others predict a coarser photo.

    Example:

    >>> grey = RGB().decode(keras.ops.zeros((1, 1, 1, 3)))
    >>> float(keras.ops.max(keras.ops.abs(grey))) < 0.01
    True

    Reference:
        Zhu, Park, Isola and Efros 2017, "Unpaired Image-to-Image Translation
        using Cycle-Consistent Adversarial Networks", sec. 5.2.
    """

    monitor: ClassVar[str] = "rmse_ab"
    sees_all: ClassVar[bool] = True

    @property
    def channels(self) -> int:
        return 3

    @property
    def range_loss(self):
        return RANGE

    @property
    def grey_loss(self):
        return RANGE * GREY_ERROR / (2 * LARGEST_AB)

    def rgb(self, outputs):
        """Returns the photo, (N, H, W, 3), from 0 to 1."""
        return (keras.ops.tanh(keras.ops.cast(outputs, "float32")) + 1.0) / 2.0

    def decode(self, outputs):
        return rgb_to_lab(self.rgb(outputs))[..., 1:]

    def train_losses(self, forward, ab, seeds):
        outputs = forward()
        lightness = shrink(forward.lightness, forward.stride)
        lab = keras.ops.concatenate([lightness, ab], axis=-1)
        losses = {"loss": self._error(outputs, lab_to_rgb(lab))}
        if not self.term_weights:
            return losses
        return self.with_terms(losses, self.decode(outputs), ab)

    def _error(self, outputs, truth):
        error = keras.ops.abs(self.rgb(outputs) - truth)
        return RANGE * keras.ops.mean(error)
