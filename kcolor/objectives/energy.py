"""The energy score of a network that takes noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jsonargparse.typing import restricted_number_type

from kcolor.color import LARGEST_AB
from kcolor.forward import NOISE_PLANES, PREDICT_NOISE, noise_planes
from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.regression import GREY_ERROR, SCALE
from kcolor.objectives.terms import length

# Colours are compared pixel by pixel and as means of squares of these sides:
# alone, single pixels would not mind neighbours that disagree.
SIDES = (1, 4, 16)
Draws = restricted_number_type(
    "Draws", int, [(">=", 1), ("<=", len(PREDICT_NOISE))]
)


@register("energy")
@dataclass(frozen=True)
class EnergyScore(Objective):
    """Energy score of two colourings of the same photo by different noise.

    mean(|x - y| + |x' - y|) / 2 - |x - x'| / 2, where y is the truth: least, on
    average, where x and x' are drawn as y is, so that diverse colours need no
    discriminator. It is the mean of those of single pixels and of the means of
    squares of 4 and of 16 of the outputs, so it is proper for these, not for
    whole photos. Assumes nothing about the colours' shape. The noise is the
    poster's: planes beside the lightness, one number each for the whole photo.
    `sample` is a colouring by fresh noise. The one answer is the mean of
    `draws` colourings by noise that is always the same.

    Args:
        draws: How many colourings the one answer is the mean of.

    Example:

    >>> one, other, truth = keras.ops.reshape([3.0, 0.0] * 3, (3, 1, 1, 1, 2))
    >>> round(float(energy_score(one, other, truth + [0.0, 4.0])), 2)
    4.0

    Reference:
        Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction,
        and Estimation", eq. 22.
    """

    also_logged: ClassVar[tuple[str, ...]] = ("spread",)
    planes: ClassVar[int] = NOISE_PLANES
    can_sample: ClassVar[bool] = True
    sees_all: ClassVar[bool] = True

    draws: Draws = 4

    @property
    def channels(self) -> int:
        return 2

    @property
    def range_loss(self):
        return 2 * LARGEST_AB

    @property
    def grey_loss(self):
        return GREY_ERROR

    def decode(self, outputs):
        return SCALE * keras.ops.cast(outputs, "float32")

    def train_losses(self, forward, ab, seeds):
        """Returns the loss, and the `spread`, |x - x'|, in ab units."""
        one, other = (self.sample(forward, seeds) for _ in range(2))
        losses = {
            "loss": energy_score(one, other, ab),
            "spread": keras.ops.mean(length(one - other)),
        }
        return self.with_terms(losses, one, ab)

    def predict(self, forward):
        shape = (*forward.shape, NOISE_PLANES)
        colourings = [
            self.decode(forward(keras.ops.broadcast_to(noise, shape)))
            for noise in PREDICT_NOISE[: self.draws]
        ]
        return sum(colourings) / self.draws

    def sample(self, forward, seeds):
        return self.decode(forward(noise_planes(forward.shape, seeds)))


def energy_score(one, other, truth):
    """Returns the energy score, mean over photos, pixels and sides of squares.

    Args:
        one: (N, H, W, 2), a draw, in ab units.
        other: (N, H, W, 2), an independent draw.
        truth: (N, H, W, 2).
    """
    scores = []
    for side in SIDES:
        # Squares that reach beyond the photo are means of what is in it.
        x, y, z = (
            keras.ops.average_pool(ab, side, padding="same")
            for ab in (one, other, truth)
        )
        error = (length(x - z) + length(y - z)) / 2
        scores.append(keras.ops.mean(error - length(x - y) / 2))
    return sum(scores) / len(scores)
