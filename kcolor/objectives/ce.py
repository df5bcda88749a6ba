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
from kcolor.late import keras, tf
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
        saturation: Factor on the annealed mean: a mean of many colours is paler
            than each of them.
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
    saturation: NonNegative = 1.0
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
        values = self._pixel_losses(outputs, ab)
        names = ("loss", *self.also_logged)
        return {
            name: keras.ops.mean(found)
            for name, found in zip(names, values, strict=True)
        }

    def log_density(self, outputs, ab):
        """Returns the logarithm of the density at ab, (N, H, W), in nats.

        That of the softmax with the weights taken back, each bin spread evenly
        over its square.
        """
        return -self._pixel_losses(outputs, ab)[-1]

    def decode(self, outputs):
        logits = keras.ops.cast(outputs, "float32") + self._offsets()[0]
        centres = keras.ops.convert_to_tensor(gamut_bins(self.bins))
        # The largest to 0 first: divided by a tiny temperature, no other way
        # round leaves it finite.
        logits = logits - keras.ops.max(logits, -1, keepdims=True)
        if self._is_mode:
            # Not by its number, which TFLite cannot find as Keras does.
            best = keras.ops.cast(logits >= 0, "float32")
            best = best / keras.ops.sum(best, -1, keepdims=True)
            return self.saturation * keras.ops.matmul(best, centres)
        shares = keras.ops.softmax(logits / self.temperature, axis=-1)
        return self.saturation * keras.ops.matmul(shares, centres)

    def sample(self, forward, seeds):
        outputs = keras.ops.cast(forward(), "float32")
        shares = keras.ops.softmax(outputs + self._offsets()[1])
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

    def _offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns what added to the outputs makes them logits, twice (Q,).

        Of the weighted shares and of the colours' own. Outputs count from the
        best constant ones, so a network whose outputs are still near 0 knows
        the prior already, and does not spend its first epochs on learning it.
        """
        if self.prior is None:
            return np.zeros((2, self.bins), np.float32)
        own = np.log(self.prior)
        return np.float32(own + np.log(self.class_weights())), np.float32(own)

    def _pixel_losses(self, outputs, ab):
        """Returns loss, cross entropy and nll of each pixel, three (...)."""
        outputs = keras.ops.cast(outputs, "float32")
        log_sums, own_log_sums = self._log_sums(outputs)
        offsets, own_offsets = self._offsets()
        indices, shares = self._labels(ab)
        # A dense target would be gigabytes: since its five weights sum to 1,
        # -sum w log softmax(z) = logsumexp(z) - sum w z needs five logits.
        chosen = keras.ops.sum(shares * tf.gather(offsets, indices), -1)
        chosen = chosen + _expected(outputs, indices, shares)
        entropies = log_sums - chosen
        nearest = indices[..., 0]
        weights = tf.gather(self.class_weights(), nearest)
        if self.focal:
            # What a perfect answer has is no doubt. And not the power of 0,
            # whose gradient is no number.
            sizes = keras.ops.log(keras.ops.maximum(shares, LEAST_PRIOR))
            least = -keras.ops.sum(shares * sizes, -1)
            doubt = 1 - keras.ops.exp(least - entropies)
            doubt = keras.ops.maximum(doubt, 1e-6)
            weights = weights * doubt**self.focal
        own = tf.gather(outputs, nearest[..., None], batch_dims=-1)[..., 0]
        own = own + tf.gather(own_offsets, nearest)
        nll = own_log_sums + np.log(BIN_AREA) - own
        return weights * entropies, entropies, nll

    def _labels(self, ab):
        """Returns each ab's bins, nearest first, and their shares, (..., n)."""
        cell = _cells(ab)
        table, shares = soft_encoding(self.bins)
        indices, shares = tf.gather(table, cell), tf.gather(shares, cell)
        if self.labels == "hard":
            return indices[..., :1], keras.ops.ones_like(shares[..., :1])
        return indices, shares

    def _log_sums(self, outputs):
        """Returns logsumexp of the weighted and of the own logits, two (...).

        As exp(z + k) = exp(z) exp(k), the exponentials of the outputs, which
        are most of the work, serve both.
        """
        factors = np.exp(np.stack(self._offsets(), axis=-1))
        largest = keras.ops.max(outputs, -1, keepdims=True)
        largest = keras.ops.stop_gradient(largest)
        sums = keras.ops.matmul(keras.ops.exp(outputs - largest), factors)
        logs = keras.ops.log(sums) + largest
        return logs[..., 0], logs[..., 1]


def _expected(logits, indices, shares):
    """Returns the sums of a few of the logits, each times its share, (...).

    As plain sums would be. Their gradient is written to its places at once,
    where that of `take_along_axis` counts all logits and a scattered sum takes
    six times as long.

    Args:
        logits: (..., Q).
        indices: int (..., few), of the logits, no two of a pixel the same.
        shares: (..., few).
    """

    @keras.ops.custom_gradient
    def expected(logits):
        chosen = tf.gather(logits, indices, batch_dims=-1)

        def gradient(upstream):
            *photos, bins = keras.ops.shape(logits)
            pixels = math.prod(photos)
            few = indices.shape[-1]
            rows = keras.ops.repeat(keras.ops.arange(pixels), few)
            found = tf.raw_ops.SparseToDense(
                sparse_indices=keras.ops.stack(
                    [rows, keras.ops.reshape(indices, (-1,))], axis=-1
                ),
                output_shape=(pixels, bins),
                sparse_values=keras.ops.reshape(
                    upstream[..., None] * shares, (-1,)
                ),
                default_value=0.0,
                validate_indices=False,  # they need not be in order
            )
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
