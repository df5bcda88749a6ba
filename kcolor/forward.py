"""One batch of lightness on its way through a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcolor.late import keras
from kcolor.resize import pad

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from kcolor.models.architecture import Architecture


class Forward:
    """Asks a network about one batch, as often as an objective wants.

    Args:
        network: What is asked.
        architecture: What the network was built by.
        lightness: (N, H, W, 1), as the network sees it, of any H and W.
        training: Whether dropout and batch statistics are those of training.
        positions: int32 (N, S, 2), row and column of the outputs that are asked
            for, where the network is one that gives only some.
    """

    def __init__(
        self,
        network: keras.Model,
        architecture: Architecture,
        lightness: Tensor,
        training: bool = False,
        positions: Tensor | None = None,
    ):
        self.network = network
        self.stride = architecture.stride
        self.classes: Tensor | None = None  # logits of the last call, if any
        self._multiple = architecture.multiple
        self._least = architecture.least
        self._lightness = lightness
        self._training = training
        self._positions = positions

    @property
    def shape(self) -> tuple:
        """N, H and W of the lightness."""
        return tuple(keras.ops.shape(self._lightness)[:3])

    def __call__(self, *planes: Tensor) -> Tensor:
        """Returns the network's outputs, float32 (N, h, w, channels).

        There is one output to each `stride` x `stride` square of the photo,
        also where the photo ends within a square.

        Args:
            *planes: What the objective adds to the lightness, (N, H, W, any).
        """
        inputs = self._lightness
        if planes:
            inputs = keras.ops.concatenate([inputs, *planes], axis=-1)
        inputs = pad(inputs, self._multiple, self._least)
        if self._positions is not None:
            inputs = [inputs, self._positions]
        outputs = self.network(inputs, training=self._training)
        if isinstance(outputs, dict):
            self.classes = outputs["classes"]
            outputs = outputs["pixels"]
        if self._positions is not None:
            return outputs
        _, height, width = self.shape
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        return outputs[:, :rows, :columns]
