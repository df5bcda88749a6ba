"""Histograms of hue and chroma."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jsonargparse.typing import restricted_number_type

from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.quantiles import bin_at, draw
from kcolor.objectives.terms import length
from kcolor.settings import NonNegative

LARGEST_CHROMA = 134.0  # pure blue has it, in ab units
LEAST_SHARE = 1e-6  # of a bin, in the prior and to divide by
UNSURE = 0.03  # mean hues shorter than this fade to grey
Bins = restricted_number_type("Bins", int, [(">=", 2), ("<=", 1024)])


@register("hue_chroma")
@dataclass(frozen=True)
class HueChroma(Objective):
    """Kullback-Leibler divergence from histograms of hue and of chroma.

    Assumes that hue and chroma are independent given the photo. Each true value
    is split between its two nearest bins. A pixel's hue counts by its chroma,
    since greys have none. `decode` is the median of the chroma in the mean
    direction of the hue, faded where the hues cancel each other. `sample` draws
    both, all pixels of a photo by the same two quantiles.

    Args:
        histogram_bins: Bins of the hue, and as many of the chroma.
        hue_weight: Weight of the hue's divergence: 5 in the paper.

    Example:

    >>> objective = HueChroma()
    >>> outputs = keras.ops.zeros((1, 4, 4, objective.channels))
    >>> losses = objective.losses(outputs, keras.ops.zeros((1, 4, 4, 2)))
    >>> round(float(losses["chroma"]), 3)  # knows nothing: log(32)
    3.466

    Reference:
        Larsson, Maire and Shakhnarovich 2016, "Learning Representations for
        Automatic Colorization", sec. 3, with Lab's hue and chroma in the place
        of their HSL-like ones.
    """

    also_logged: ClassVar[tuple[str, ...]] = ("hue", "chroma")
    can_sample: ClassVar[bool] = True

    histogram_bins: Bins = 32
    hue_weight: NonNegative = 5.0
    # Learnt by `adapt`, kept in the model: no setting. Hue, then chroma.
    prior: tuple[float, ...] | None = dataclasses.field(
        default=None, repr=False, metadata={"setting": False}
    )

    @property
    def channels(self) -> int:
        return 2 * self.histogram_bins

    def adapt(self, histogram: np.ndarray) -> HueChroma:
        """Returns this objective with the prior of the training photos.

        The shares of hue, by chroma, and of chroma, by nearest bin.

        Args:
            histogram: (256, 256) counts of the training pixels by rounded a
                and b, from -128 to 127.
        """
        count = self.histogram_bins
        a, b = np.mgrid[-128:128, -128:128].reshape(2, -1)
        pixels, chroma = histogram.ravel(), np.hypot(a, b)
        hue = np.rint(np.arctan2(b, a) / (2 * np.pi) * count) % count
        place = np.rint(chroma / LARGEST_CHROMA * (count - 1))
        prior = []
        for bins, mass in ((hue, pixels * chroma), (place, pixels)):
            bins = np.minimum(bins, count - 1).astype(int)
            counts = np.bincount(bins, mass, minlength=count)
            shares = counts / max(counts.sum(), 1) + LEAST_SHARE
            prior += (shares / shares.sum()).tolist()
        return self.restore({"prior": prior})

    def losses(self, outputs, ab):
        """Returns the loss, and the divergence of `hue` and of `chroma`."""
        hue_logits, chroma_logits = self._logits(outputs)
        count = self.histogram_bins
        chroma = length(ab)
        # Not 0 / 0, whose angle has no gradient and, on some devices, no value.
        angle = keras.ops.arctan2(ab[..., 1], ab[..., 0] + 1e-6)
        hue = (angle / (2 * math.pi)) % 1.0 * count
        of_hue = _divergence(hue_logits, hue, count, is_circle=True)
        place = chroma / LARGEST_CHROMA * (count - 1)
        of_chroma = _divergence(chroma_logits, place, count, is_circle=False)
        share = keras.ops.minimum(chroma / LARGEST_CHROMA, 1.0)
        weighted = share * of_hue
        return {
            "loss": keras.ops.mean(of_chroma + self.hue_weight * weighted),
            "hue": keras.ops.mean(weighted),
            "chroma": keras.ops.mean(of_chroma),
        }

    def decode(self, outputs):
        hue_logits, chroma_logits = self._logits(outputs)
        mean = keras.ops.matmul(
            keras.ops.softmax(hue_logits, axis=-1), self._directions()
        )
        sureness = keras.ops.expand_dims(length(mean), -1)
        chroma = self._quantile(chroma_logits, 0.5)
        fade = keras.ops.minimum(sureness / UNSURE, 1.0)
        return keras.ops.expand_dims(chroma, -1) * fade * mean / sureness

    def sample(self, forward, seeds):
        hue_logits, chroma_logits = self._logits(forward())
        quantiles = draw(forward, seeds)
        shares = keras.ops.softmax(hue_logits, axis=-1)
        drawn, into = bin_at(shares, quantiles[..., 0])
        turns = (keras.ops.cast(drawn, "float32") + into) / self.histogram_bins
        hue = keras.ops.stack(
            [f(2 * math.pi * turns) for f in (keras.ops.cos, keras.ops.sin)], -1
        )
        chroma = self._quantile(chroma_logits, quantiles[..., 1])
        return chroma[..., None] * hue

    def _logits(self, outputs):
        """Returns logits of hue and of chroma, counted from the prior's.

        So a network whose outputs are still near 0 knows the prior already.
        """
        outputs = keras.ops.cast(outputs, "float32")
        if self.prior is not None:
            outputs = outputs + np.float32(np.log(self.prior))
        return keras.ops.split(outputs, 2, axis=-1)

    def _directions(self):
        """Returns the direction of each bin's hue, (bins, 2)."""
        count = self.histogram_bins
        turns = 2 * math.pi * np.arange(count) / count
        return np.float32(np.stack([np.cos(turns), np.sin(turns)], -1))

    def _quantile(self, logits, quantile):
        """Returns the chroma below which that share of the histogram lies."""
        shares = keras.ops.softmax(logits, axis=-1)
        below = keras.ops.cumsum(shares, axis=-1)
        # Linear within a bin, so that it moves when the histogram does.
        into = keras.ops.expand_dims(quantile, -1) - (below - shares)
        reached = into / keras.ops.maximum(shares, LEAST_SHARE)
        reached = keras.ops.clip(reached, 0.0, 1.0)
        place = keras.ops.sum(reached, axis=-1) - 0.5
        place = keras.ops.maximum(place, 0.0)
        return place * LARGEST_CHROMA / (self.histogram_bins - 1)


def _divergence(logits, place, count: int, is_circle: bool):
    """Returns KL(truth | prediction) of each pixel, (N, H, W), in nats.

    Args:
        logits: (N, H, W, count).
        place: (N, H, W), the true value, in bins.
        count: How many bins.
        is_circle: Whether the first bin follows the last.
    """
    place = place if is_circle else keras.ops.minimum(place, count - 1.0)
    lower = keras.ops.floor(place)
    upper_share = place - lower
    lower = keras.ops.cast(lower, "int32")
    upper = lower + 1
    if is_circle:
        lower, upper = lower % count, upper % count
    else:
        upper = keras.ops.minimum(upper, count - 1)
    log_shares = keras.ops.log_softmax(logits, axis=-1)
    divergence = 0.0
    for indices, share in ((lower, 1 - upper_share), (upper, upper_share)):
        chosen = keras.ops.take_along_axis(
            log_shares, indices[..., None], axis=-1
        )[..., 0]
        entropy = share * keras.ops.log(keras.ops.maximum(share, 1e-6))
        divergence = divergence + entropy - share * chosen
    return divergence
