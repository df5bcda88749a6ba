"""Mixtures of Gaussians on the ab plane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jsonargparse.typing import restricted_number_type

from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.quantiles import draw, value_at
from kcolor.objectives.regression import SCALE
from kcolor.settings import Count

# An untrained network's components: how far from grey, and how wide.
SPREAD = 20.0
Sigma = restricted_number_type("Sigma", float, [(">=", 0.01), ("<=", 100)])


@register("mdn")
@dataclass(frozen=True)
class MixtureDensity(Objective):
    """Negative log-likelihood of ab under a mixture of Gaussians.

    Assumes that the colours a pixel may have lie in a few clouds whose axes are
    those of a and b. `decode` is the mixture's mean or its best mode. `sample`
    draws each pixel's a, then its b given a, all pixels of a photo by the same
    two quantiles.

    Args:
        components: How many Gaussians.
        least_sigma: The narrowest a Gaussian may be, in ab units. With no
            bound, a pixel that is hit exactly would have an infinite
            likelihood; 8-bit photos cannot tell less than about 1.
        answer: What `decode` returns: mean, of the mixture, or mode, the centre
            of the Gaussian with the highest density.

    Example:

    >>> objective = MixtureDensity(components=1)
    >>> outputs = keras.ops.zeros((1, 4, 4, objective.channels))
    >>> losses = objective.losses(outputs, keras.ops.zeros((1, 4, 4, 2)))
    >>> round(float(losses["nll"]), 2)  # log(2 pi 21^2) + (20 / 21)^2 / 2
    8.38

    Reference:
        Bishop 1994, "Mixture Density Networks", eq. 22 to 29.
    """

    also_logged: ClassVar[tuple[str, ...]] = ("nll", "bits")
    can_sample: ClassVar[bool] = True

    components: Count = 8
    least_sigma: Sigma = 1.0
    answer: Literal["mean", "mode"] = "mean"

    @property
    def channels(self) -> int:
        return 5 * self.components

    def mixture(self, outputs):
        """Returns the mixture of each pixel.

        Args:
            outputs: (N, H, W, channels) from the network.

        Returns:
            The logarithms of the shares, (N, H, W, components), the centres and
            the sigmas, both (N, H, W, components, 2), in ab units.
        """
        outputs = keras.ops.cast(outputs, "float32")
        shape = (*keras.ops.shape(outputs)[:3], self.components, 5)
        outputs = keras.ops.reshape(outputs, shape)
        log_shares = keras.ops.log_softmax(outputs[..., 0], axis=-1)
        # Apart from each other from the start, or they would stay one.
        centres = SCALE * outputs[..., 1:3] + self._starts()
        widths = keras.ops.softplus(outputs[..., 3:]) / math.log(2)
        return log_shares, centres, self.least_sigma + SPREAD * widths

    def _starts(self):
        turns = 2 * np.pi * np.arange(self.components) / self.components
        return np.float32(SPREAD * np.stack([np.cos(turns), np.sin(turns)], -1))

    def log_density(self, outputs, ab):
        """Returns the logarithm of the density at ab, (N, H, W), in nats."""
        log_shares, centres, sigmas = self.mixture(outputs)
        distances = (ab[..., None, :] - centres) / sigmas
        log_densities = log_shares - keras.ops.sum(
            keras.ops.square(distances) / 2 + keras.ops.log(sigmas), axis=-1
        )
        return keras.ops.logsumexp(log_densities, -1) - math.log(2 * math.pi)

    def losses(self, outputs, ab):
        """Returns the loss: `nll`, nats a pixel, and the same in `bits`."""
        nll = -keras.ops.mean(self.log_density(outputs, ab))
        return {"loss": nll, "nll": nll, "bits": nll / math.log(2)}

    def decode(self, outputs):
        log_shares, centres, sigmas = self.mixture(outputs)
        if self.answer == "mean":
            shares = keras.ops.exp(log_shares)
        else:
            heights = log_shares - keras.ops.sum(keras.ops.log(sigmas), axis=-1)
            best = keras.ops.argmax(heights, axis=-1)
            shares = keras.ops.one_hot(best, self.components)
        shares = keras.ops.expand_dims(shares, axis=-1)
        return keras.ops.sum(shares * centres, axis=-2)

    def sample(self, forward, seeds):
        # Not the component first: neighbours whose mixtures are alike may have
        # their components in another order.
        log_shares, centres, sigmas = self.mixture(forward())
        quantiles = draw(forward, seeds)
        a = value_at(
            log_shares, centres[..., 0], sigmas[..., 0], quantiles[..., 0]
        )
        distances = (a[..., None] - centres[..., 0]) / sigmas[..., 0]
        given_a = keras.ops.log_softmax(
            log_shares
            - keras.ops.square(distances) / 2
            - keras.ops.log(sigmas[..., 0]),
            axis=-1,
        )
        b = value_at(
            given_a, centres[..., 1], sigmas[..., 1], quantiles[..., 1]
        )
        return keras.ops.stack([a, b], axis=-1)
