"""The plain CNN of the poster "Automatic Colorization"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from kcolor.errors import UserError
from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture, scaled
from kcolor.settings import Depth, Share, Width

FIRST, LAST = 8, 16  # filters; between them each layer has twice as many
KERNEL = 4


@register("cnn")
@dataclass(frozen=True)
class CNN(Architecture):
    """4x4 convolutions, each with ReLU and batch normalisation: the poster's.

    Six of them, valid, then the dense head, one linear layer from every feature
    to every output, which fixes the image size and weighs 277.6 M parameters at
    64x64. With the convolutional head, the same trunk on
    an input padded by reflection, so that the output is as large as the input,
    and a 1x1 convolution: any size, 0.2 M parameters.

    Cost, with l2 at 64x64: 277.56 M parameters, 1.57 GFLOP a photo, trained
    on 69 photos/s by two cores.

    Args:
        head: "dense", "conv", or "auto": dense where the objective asks for two
            channels, conv where it asks for more.
        dropout: Share of the features dropped after each batch normalisation,
            from 0 to below 1.
        depth: Convolutions: 6 are the poster's. Each but the last has twice the
            filters of the one before.
        width: Factor on the numbers of filters.

    Example:

    >>> network = CNN(head="conv").build(image_size=64, planes=1, channels=313)
    >>> network.output_shape
    (None, None, None, 313)

    Reference:
        "Automatic Colorization: A Search Space Odyssey" (poster), seed CNN.
    """

    head: Literal["auto", "dense", "conv"] = "auto"
    dropout: Share = 0.0
    depth: Depth = 6
    width: Width = 1.0

    @property
    def filters(self) -> list[int]:
        """How many filters each convolution has."""
        doubling = [FIRST * 2**level for level in range(self.depth - 1)]
        return [scaled(count, self.width) for count in (*doubling, LAST)]

    @property
    def shrinkage(self) -> int:
        """What valid convolutions take from the height and from the width."""
        return self.depth * (KERNEL - 1)

    @property
    def edge(self) -> tuple[int, int]:
        """Pixels before and after the photo that make up for it."""
        return self.shrinkage // 2, self.shrinkage - self.shrinkage // 2

    @property
    def least(self) -> int:
        return max(self.edge) + 1  # to reflect

    def check(self, image_size: int, channels: int) -> None:
        dense = self._is_dense(channels)
        if dense and channels > 2:
            raise UserError(
                f"the dense head of cnn gives 2 channels, this loss asks for "
                f"{channels}: use --head conv"
            )
        smallest = self.shrinkage + 1 if dense else self.least
        if image_size < smallest:
            raise UserError(
                f"cnn cannot take photos of {image_size} pixels: "
                f"--image-size must be at least {smallest}"
            )

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor import layers

        self.check(image_size, channels)
        dense = self._is_dense(channels)

        # === Functional Model ===
        side = image_size if dense else None
        inputs = keras.Input((side, side, planes), name="planes")
        x = inputs
        if not dense:
            around = [(0, 0), self.edge, self.edge, (0, 0)]
            x = keras.ops.pad(x, around, mode="reflect")
        for block, filters in enumerate(self.filters, start=1):
            x = keras.layers.Conv2D(
                filters, KERNEL, activation="relu", name=f"conv{block}"
            )(x)
            x = layers.norm(x, f"norm{block}", epsilon=1e-5)
            if self.dropout:
                x = layers.Dropout(self.dropout, name=f"dropout{block}")(x)
        if dense:
            x = keras.layers.Flatten(name="flatten")(x)
            # An output with thousands of inputs moves that much further at each
            # step than one of the 1x1 convolution. Without this the first
            # epochs go into coming back.
            calm = math.sqrt(self.filters[-1] / x.shape[-1])
            x = layers.Dense(side * side * channels, name="head")(x)
            x = keras.layers.Rescaling(calm, name="calm")(x)
            x = keras.layers.Reshape((side, side, channels), name="pixels")(x)
        else:
            x = keras.layers.Conv2D(
                channels, 1, kernel_initializer=layers.small(), name="head"
            )(x)
        return keras.Model(inputs, layers.outputs(x), name=self.name)

    def _is_dense(self, channels: int) -> bool:
        return self.head == "dense" or (self.head == "auto" and channels == 2)
