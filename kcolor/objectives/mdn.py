"""Mixtures of Gaussians on the ab plane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jsonargparse.typing import PositiveFloat, PositiveInt

from kcolor.color import LARGEST_AB
from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.regression import SCALE

# An untrained network's components: how far from grey, and how wide.
SPREAD = 20.0
HALVINGS = 16  # from the range of ab to less than a hundredth


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

    components: PositiveInt = 8
    least_sigma: PositiveFloat = 1.0
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
            return keras.ops.sum(shares[..., None] * centres, axis=-2)
        heights = log_shares - keras.ops.sum(keras.ops.log(sigmas), axis=-1)
        best = keras.ops.argmax(heights, axis=-1)[..., None, None]
        return keras.ops.take_along_axis(centres, best, axis=-2)[..., 0, :]

    def sample(self, forward, seeds):
        # Not the component first: neighbours whose mixtures are alike may have
        # their components in another order.
        log_shares, centres, sigmas = self.mixture(forward())
        quantiles = keras.random.uniform(
            (forward.shape[0], 1, 1, 2), seed=seeds
        )
        a = _quantile(
            quantiles[..., :1], log_shares, centres[..., 0], sigmas[..., 0]
        )
        distances = (a - centres[..., 0]) / sigmas[..., 0]
        given_a = keras.ops.log_softmax(
            log_shares
            - keras.ops.square(distances) / 2
            - keras.ops.log(sigmas[..., 0]),
            axis=-1,
        )
        b = _quantile(
            quantiles[..., 1:], given_a, centres[..., 1], sigmas[..., 1]
        )
        return keras.ops.concatenate([a, b], axis=-1)


def _quantile(quantile, log_shares, centres, sigmas):
    """Returns the number, (N, H, W, 1), below which a share of a mixture lies.

    Found by halving: there is no formula.

    Args:
        quantile: (N, 1, 1, 1), from 0 to 1.
        log_shares: (N, H, W, components), of the components, in nats.
        centres: (N, H, W, components), on this axis.
        sigmas: (N, H, W, components), on this axis.
    """
    shares = keras.ops.exp(log_shares)
    low = keras.ops.full_like(shares[..., :1], -LARGEST_AB)
    high = -low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        distances = (middle - centres) / sigmas
        below = (1 + keras.ops.erf(distances / math.sqrt(2))) / 2
        share = keras.ops.sum(shares * below, axis=-1, keepdims=True)
        is_above = share > quantile
        low = keras.ops.where(is_above, low, middle)
        high = keras.ops.where(is_above, middle, high)
    return (low + high) / 2
