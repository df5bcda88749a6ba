"""One batch of lightness on its way through a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kcolor.late import keras
from kcolor.replicas import drawn
from kcolor.resize import crop, pad

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from kcolor.models.architecture import Architecture

NOISE_PLANES = 4  # beside the lightness, one number each for the whole photo
# The noise of answers that are always the same, each followed by its opposite,
# so that the tints they give cancel out in a mean. Not drawn by Keras, whose
# draws differ between devices and under XLA.
PREDICT_NOISE = np.random.default_rng(0).normal(size=(32, NOISE_PLANES))
PREDICT_NOISE = np.stack([PREDICT_NOISE, -PREDICT_NOISE], axis=1)
PREDICT_NOISE = np.float32(PREDICT_NOISE.reshape(-1, NOISE_PLANES))


class Forward:
    """Asks a network about one batch, as often as an objective wants.

    Args:
        network: What is asked.
        architecture: What the network was built by.
        lightness: (N, H, W, 1), as the network sees it, of any H and W.
        noise: (N, H, W, any), planes of the scheme beside it, if any.
        training: Whether dropout and batch statistics are those of training.
        positions: int32 (N, S, 2), row and column of the outputs that are asked
            for, where the network is one that gives only some.
        features: What an encoder says of the lightness, where the network is
            the rest alone.
    """

    def __init__(
        self,
        network: keras.Model,
        architecture: Architecture,
        lightness: Tensor,
        noise: Tensor | None = None,
        training: bool = False,
        positions: Tensor | None = None,
        features: Sequence[Tensor] = (),
    ):
        self.network = network
        self.stride = architecture.stride
        self.outputs: Tensor | None = None  # of the last call
        self.classes: Tensor | None = None  # logits of the last call, if any
        self._multiple = architecture.multiple
        self._least = architecture.least
        self._lightness = lightness
        self._noise = [] if noise is None else [noise]
        self._training = training
        self._positions = positions
        self._features = features

    @property
    def shape(self) -> tuple:
        """N, H and W of the lightness."""
        return tuple(keras.ops.shape(self._lightness)[:3])

    @property
    def lightness(self) -> Tensor:
        """The lightness, (N, H, W, 1), 0 to 100."""
        return 50.0 * (self._lightness + 1.0)

    def __call__(self, *planes: Tensor) -> Tensor:
        """Returns the network's outputs, float32 (N, h, w, channels).

        There is one output to each `stride` x `stride` square of the photo,
        also where the photo ends within a square.

        Args:
            *planes: What the objective adds to the lightness, (N, H, W, any).
        """
        inputs = self._lightness
        if self._noise or planes:
            inputs = keras.ops.concatenate(
                [inputs, *self._noise, *planes], axis=-1
            )
        inputs = pad(inputs, self._multiple, self._least)
        if self._positions is not None:
            inputs = [inputs, self._positions]
        if self._features:
            inputs = [inputs, *self._features]
        outputs = self.network(inputs, training=self._training)
        if isinstance(outputs, dict):
            self.classes = outputs["classes"]
            outputs = outputs["pixels"]
        if self._positions is None:
            _, height, width = self.shape
            rows, columns = -(-height // self.stride), -(-width // self.stride)
            outputs = crop(outputs, rows, columns)
        self.outputs = outputs
        return outputs


def noise_planes(
    shape: tuple, seeds: keras.random.SeedGenerator | int | None
) -> Tensor:
    """Returns fresh noise for each of N photos, (N, H, W, NOISE_PLANES).

    Args:
        shape: N, H and W.
        seeds: Where it comes from.
    """
    each = (shape[0], 1, 1, NOISE_PLANES)
    noise = drawn(keras.random.normal, each, seed=seeds)
    return keras.ops.broadcast_to(noise, (*shape, NOISE_PLANES))
