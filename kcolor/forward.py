"""One batch of lightness on its way through a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


class Forward:
    """Asks a network about one batch, as often as an objective wants.

    Args:
        network: What is asked.
        planes: (N, H, W, 1), the lightness as the network sees it.
        stride: Pixels of the photo to one of the network's outputs.
        training: Whether dropout and batch statistics are those of training.
        positions: int32 (N, S), the outputs that are asked for, where the
            network is one that gives only some.
    """

    def __init__(
        self,
        network: keras.Model,
        planes: Tensor,
        stride: int = 1,
        training: bool = False,
        positions: Tensor | None = None,
    ):
        self.network = network
        self.stride = stride
        self.training = training
        self.positions = positions
        self.classes: Tensor | None = None  # logits of the last call, if any
        self._planes = planes

    @property
    def shape(self) -> tuple:
        """N, H and W of the planes."""
        return tuple(keras.ops.shape(self._planes)[:3])

    def __call__(self, *planes: Tensor) -> Tensor:
        """Returns the network's outputs, float32 (N, H', W', channels).

        Args:
            *planes: What the objective adds to the lightness, (N, H, W, any).
        """
        inputs = self._planes
        if planes:
            inputs = keras.ops.concatenate([inputs, *planes], axis=-1)
        if self.positions is not None:
            inputs = [inputs, self.positions]
        outputs = self.network(inputs, training=self.training)
        if isinstance(outputs, dict):
            self.classes = outputs["classes"]
            outputs = outputs["pixels"]
        return outputs
