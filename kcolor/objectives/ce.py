"""Cross entropy over bins of colour."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jsonargparse.typing import ClosedUnitInterval, restricted_number_type

from kcolor.color import gamut_bins
from kcolor.errors import UserError
from kcolor.late import keras
from kcolor.objectives import register
from kcolor.objectives.objective import Objective
from kcolor.objectives.quantiles import bin_at, draw
from kcolor.settings import NonNegative

NEIGHBOURS = 5
SIGMA = 5.0  # of the soft encoding and of the prior's smoothing, in ab units
BIN_AREA = 100.0  # in squared ab units
LEAST_PRIOR = 1e-6  # of any bin: no weight is ever infinite


Power = restricted_number_type("Power", float, [(">=", 0), ("<=", 10)])


@register("ce")
@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Cross entropy between soft-encoded ab and a softmax over bins of ab.

    Assumes nothing about the shape of a pixel's colours, so that red and green
    may both be likely and brown not. Each true ab is spread over its five
    nearest bins by a Gaussian. Rare colours weigh more: a pixel whose nearest
    bin has the share p of all training pixels weighs
    1 / (rebalance p + (1 - rebalance) / Q), scaled to 1 in the mean of the
    smoothed prior. `decode` is the annealed mean: the mean of the bins under
    the softmax sharpened by `temperature`. `sample` draws a, then b given a,
    from the density that `nll` is that of: with the weights taken back, each
    bin evenly over its square, all pixels of a photo by the same two quantiles.

    Args:
        bins: 313, the bins of the paper, or 261, those that 8-bit colours
            round to.
        rebalance: How strongly rare colours are favoured: 0 not at all, 0.5 as
            in the paper, 1 until every bin weighs the same.
        temperature: Of the annealed mean: 1 is the expectation, 0 the mode.
        labels: soft, spread over five bins, or hard, the nearest bin alone.
        focal: How much less pixels count whose colour is already known: each
            weighs (1 - p) to this power, where -log p is how far its cross
            entropy is from the least it can be; 0 for all alike.

    Example:

    >>> objective = CrossEntropy(rebalance=0.0)
    >>> logits = keras.ops.zeros((1, 8, 8, objective.channels))
    >>> losses = objective.losses(logits, keras.ops.zeros((1, 8, 8, 2)))
    >>> round(float(losses["loss"]), 3)  # knows nothing: log(313)
    5.746

    Reference:
        Zhang, Isola and Efros 2016, "Colorful Image Colorization", sec. 2.2
        (eq. 2 to 4) and 2.3 (eq. 5).
        Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. 4.
    """

    also_logged: ClassVar[tuple[str, ...]] = ("cross_entropy", "nll")
    can_sample: ClassVar[bool] = True

    bins: Literal[313, 261] = 313
    rebalance: ClosedUnitInterval = 0.5
    temperature: NonNegative = 0.38
    labels: Literal["soft", "hard"] = "soft"
    focal: Power = 0.0
    # Learnt by `adapt`, kept in the model: no setting.
    prior: tuple[float, ...] | None = dataclasses.field(
        default=None, repr=False, metadata={"setting": False}
    )

    def __post_init__(self):
        super().__post_init__()
        if self._is_mode and self.term_weights:
            raise UserError(
                f"--temperature {self.temperature} gives added terms no "
                "gradient: set it higher"
            )

    @property
    def _is_mode(self) -> bool:
        # Devices may flush numbers below `tiny` to 0, and 0 / 0 is no number.
        return self.temperature < np.finfo(np.float32).tiny

    @property
    def channels(self) -> int:
        return self.bins

    @property
    def teachable(self) -> bool:
        return not self._is_mode

    def adapt(self, histogram: np.ndarray) -> CrossEntropy:
        """Returns this objective with the prior of the training photos.

        The share of each bin, by nearest bin, smoothed by a Gaussian over the
        ab plane and kept positive.

        Args:
            histogram: (256, 256) counts of the training pixels by rounded a
                and b, from -128 to 127.
        """
        nearest = soft_encoding(self.bins)[0][:, 0]
        counts = np.bincount(nearest, histogram.ravel(), minlength=self.bins)
        centres = gamut_bins(self.bins).astype(np.float64)
        squares = ((centres[:, None] - centres) ** 2).sum(-1)
        kernel = np.exp(-squares / (2 * SIGMA**2))
        kernel /= kernel.sum(0)
        prior = kernel @ (counts / counts.sum())
        prior = np.maximum(prior, LEAST_PRIOR)
        return self.restore({"prior": (prior / prior.sum()).tolist()})

    def class_weights(self) -> np.ndarray:
        """Returns the weight of each bin, (Q,), 1 in the mean of the prior.

        Raises:
            ValueError: Rebalanced, but `adapt` has not seen the data.
        """
        if not self.rebalance:
            return np.ones(self.bins, np.float32)
        if self.prior is None:
            raise ValueError("ce is rebalanced by a prior: adapt() it first")
        prior = np.asarray(self.prior)
        mixed = self.rebalance * prior + (1 - self.rebalance) / self.bins
        weights = 1 / mixed
        return np.float32(weights / (prior @ weights))

    def losses(self, outputs, ab):
        """Returns the loss, and two figures without weights, in nats a pixel.

        `cross_entropy` is that of the softmax and the labels, `nll` that of the
        density on the ab plane, as `mdn` has one.
        """
        nearest, entropies, least = self._cross_entropies(outputs, ab)
        weights = keras.ops.take(self.class_weights(), nearest)
        if self.focal:
            # What a perfect answer has is no doubt. And not the power of 0,
            # whose gradient is no number.
            doubt = 1 - keras.ops.exp(least - entropies)
            doubt = keras.ops.maximum(doubt, 1e-6)
            weights = weights * doubt**self.focal
        return {
            "loss": keras.ops.mean(weights * entropies),
            "cross_entropy": keras.ops.mean(entropies),
            "nll": -keras.ops.mean(self.log_density(outputs, ab)),
        }

    def log_density(self, outputs, ab):
        """Returns the logarithm of the density at ab, (N, H, W), in nats.

        That of the softmax with the weights taken back, each bin spread evenly
        over its square.
        """
        logits = self._own_logits(outputs)
        nearest = keras.ops.take(
            soft_encoding(self.bins)[0][:, :1], _cells(ab), axis=0
        )
        chosen = keras.ops.take_along_axis(logits, nearest, axis=-1)[..., 0]
        return chosen - keras.ops.logsumexp(logits, -1) - np.log(BIN_AREA)

    def decode(self, outputs):
        logits = self._logits(outputs)
        centres = keras.ops.convert_to_tensor(gamut_bins(self.bins))
        # The largest to 0 first: divided by a tiny temperature, no other way
        # round leaves it finite.
        logits = logits - keras.ops.max(logits, -1, keepdims=True)
        if self._is_mode:
            # Not by its number, which TFLite cannot find as Keras does.
            best = keras.ops.cast(logits >= 0, "float32")
            best = best / keras.ops.sum(best, -1, keepdims=True)
            return keras.ops.matmul(best, centres)
        shares = keras.ops.softmax(logits / self.temperature, axis=-1)
        return keras.ops.matmul(shares, centres)

    def sample(self, forward, seeds):
        shares = keras.ops.softmax(self._own_logits(forward()))
        quantiles = draw(forward, seeds)
        # Bins of one a are a row. The quantile of all bins in any one order
        # would jump across the plane where neighbours differ little.
        bins = gamut_bins(self.bins)
        rows = np.float32(bins[:, :1] == np.unique(bins[:, 0]))
        row, a = bin_at(keras.ops.matmul(shares, rows), quantiles[..., 0])
        in_row = keras.ops.take(np.ascontiguousarray(rows.T), row, axis=0)
        drawn, b = bin_at(shares * in_row, quantiles[..., 1])
        within = math.sqrt(BIN_AREA) * keras.ops.stack([a, b], axis=-1)
        return keras.ops.take(bins, drawn, axis=0) + within

    def _logits(self, outputs):
        """Returns the outputs as logits, counted from the best constant ones.

        So a network whose outputs are still near 0 knows the prior already,
        and does not spend its first epochs on learning it.
        """
        logits = keras.ops.cast(outputs, "float32")
        if self.prior is None:
            return logits
        return logits + np.log(self.class_weights() * self.prior)

    def _own_logits(self, outputs):
        """Returns logits of the colours' own shares, not the weighted ones."""
        logits = self._logits(outputs)
        if self.prior is None:
            return logits
        return logits - np.log(self.class_weights())

    def _cross_entropies(self, outputs, ab):
        """Returns each pixel's nearest bin, cross entropy and its least, (...).

        A dense target would be gigabytes: since its five weights sum to 1,
        -sum w log softmax(z) = logsumexp(z) - sum w z needs only five logits.
        """
        logits = self._logits(outputs)
        cell = _cells(ab)
        table, shares = soft_encoding(self.bins)
        indices = keras.ops.take(table, cell, axis=0)
        shares = keras.ops.take(shares, cell, axis=0)
        if self.labels == "hard":
            indices, shares = indices[..., :1], keras.ops.ones_like(cell)
            shares = keras.ops.cast(shares, "float32")[..., None]
        expected = _expected(logits, indices, shares)
        entropies = keras.ops.logsumexp(logits, -1) - expected
        sizes = keras.ops.log(keras.ops.maximum(shares, LEAST_PRIOR))
        return indices[..., 0], entropies, -keras.ops.sum(shares * sizes, -1)


def _expected(logits, indices, shares):
    """Returns the sums of a few of the logits, each times its share, (...).

    As plain sums would be. Their gradient is scattered to its places at once,
    where that of `take_along_axis` counts all logits.

    Args:
        logits: (..., Q).
        indices: int (..., few), of the logits.
        shares: (..., few).
    """

    @keras.ops.custom_gradient
    def expected(logits):
        chosen = keras.ops.take_along_axis(logits, indices, axis=-1)

        def gradient(upstream):
            *photos, bins = keras.ops.shape(logits)
            pixels = math.prod(photos)
            values = keras.ops.reshape(upstream[..., None] * shares, (-1,))
            few = indices.shape[-1]
            rows = keras.ops.repeat(keras.ops.arange(pixels), few)
            places = keras.ops.reshape(indices, (-1,))
            places = keras.ops.stack([rows, places], axis=-1)
            found = keras.ops.scatter(places, values, (pixels, bins))
            return keras.ops.reshape(found, (*photos, bins))

        return keras.ops.sum(shares * chosen, -1), gradient

    return expected(logits)


def _cells(ab):
    """Returns the row of each ab, (...), in the table of `soft_encoding`."""
    cell = keras.ops.cast(keras.ops.round(ab), "int32") + 128
    cell = keras.ops.clip(cell, 0, 255)
    return 256 * cell[..., 0] + cell[..., 1]


@functools.cache
def soft_encoding(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the soft encoding of every cell of the 8-bit ab plane.

    Args:
        bins: How many bins: 313 or 261.

    Returns:
        The indices of the five nearest bins, nearest first, and their Gaussian
        weights, which sum to 1: two (65536, 5) arrays, int32 and float32. Row
        256 * (a + 128) + b + 128 is that of (a, b).

    Reference:
        Zhang, Isola and Efros 2016, sec. 2.2: soft encoding with 5 neighbours
        and sigma 5.
    """
    from scipy.spatial import KDTree

    axis = np.arange(-128, 128)
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    distances, indices = KDTree(gamut_bins(bins)).query(plane, NEIGHBOURS)
    # Relative to the nearest: far outside the gamut all would underflow to 0.
    exponents = (distances[:, :1] ** 2 - distances**2) / (2 * SIGMA**2)
    shares = np.exp(exponents)
    shares /= shares.sum(1, keepdims=True)
    return indices.astype(np.int32), shares.astype(np.float32)
