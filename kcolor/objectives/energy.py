"""The energy score of a network that takes noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jsonargparse.typing import PositiveInt

from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.regression import SCALE
from kcolor.objectives.terms import length

NOISE = 4  # planes
# Colours are compared pixel by pixel and as means of squares of these sides:
# alone, single pixels would not mind neighbours that disagree.
SIDES = (1, 4, 16)
PREDICT_SEED = 0


@register("energy")
@dataclass(frozen=True)
class EnergyScore(Objective):
    """Energy score of two colourings of the same photo by different noise.

    mean(|x - y| + |x' - y|) / 2 - |x - x'| / 2, where y is the truth: least, on
    average, where x and x' are drawn as y is, so that diverse colours need no
    discriminator. Assumes nothing about their shape. The noise is the poster's:
    planes beside the lightness, one number each for the whole photo. `sample`
    is a colouring by fresh noise; `decode` the mean of `draws` colourings by
    noise that is always the same.

    Args:
        draws: How many colourings `decode` is the mean of.

    Example:

    >>> one, other, truth = keras.ops.reshape([3.0, 0.0] * 3, (3, 1, 1, 1, 2))
    >>> round(float(energy_score(one, other, truth + [0.0, 4.0])), 2)
    4.0

    Reference:
        Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction,
        and Estimation", eq. 22.
    """

    also_logged: ClassVar[tuple[str, ...]] = ("spread",)
    planes: ClassVar[int] = NOISE
    samples: ClassVar[bool] = True
    sees_all: ClassVar[bool] = True

    draws: PositiveInt = 4

    @property
    def channels(self) -> int:
        return 2

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
        seeds = [PREDICT_SEED + number for number in range(self.draws)]
        drawn = [self._colouring(forward, 1, seed) for seed in seeds]
        return sum(drawn) / self.draws

    def sample(self, forward, seeds):
        return self._colouring(forward, forward.shape[0], seeds)

    def _colouring(self, forward, count, seeds):
        """Returns ab by the noise of each photo, or of all where count is 1."""
        noise = keras.random.normal((count, 1, 1, NOISE), seed=seeds)
        shape = (*forward.shape, NOISE)
        return self.decode(forward(keras.ops.broadcast_to(noise, shape)))


def energy_score(one, other, truth):
    """Returns the energy score, mean over photos, pixels and sides of squares.

    Args:
        one: (N, H, W, 2), a draw, in ab units.
        other: (N, H, W, 2), an independent draw.
        truth: (N, H, W, 2).
    """
    height, width = truth.shape[1:3]
    sides = [s for s in SIDES if s <= min(height or s, width or s)]
    scores = []
    for side in sides:
        x, y, z = (
            ab if side == 1 else keras.ops.average_pool(ab, side)
            for ab in (one, other, truth)
        )
        error = (length(x - z) + length(y - z)) / 2
        scores.append(keras.ops.mean(error - length(x - y) / 2))
    return sum(scores) / len(scores)
