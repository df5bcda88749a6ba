"""The generator of pix2pix."""

from __future__ import annotations

from dataclasses import dataclass

from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture, check_depth, doubled
from kcolor.settings import Count, Depth, Share

DROPPED = 3  # of the smallest levels of the decoder have dropout


@register("pix2pix")
@dataclass(frozen=True)
class Pix2Pix(Architecture):
    """A U-Net of 4x4 convolutions of stride 2, down to few pixels and up again.

    Leaky ReLU on the way down, ReLU on the way up, batch normalisation but for
    the first and the innermost level, dropout at the decoder's three smallest
    levels. Unlike in the paper, outputs are not squashed by a tangent, and
    dropout and batch statistics are those of training in training alone. Any
    photo size; in training at least 2^depth pixels.

    Cost, with l2 at 64x64: 7.32 M parameters, 0.19 GFLOP a photo, trained
    on 363 photos/s by two cores.

    Args:
        filters: Of the first level: 64 is the paper's network.
        depth: Levels, each half as large: 8 is the paper's network, for 256
            pixels, 6 takes 64 pixels down to one.
        dropout: Share of the features dropped where there is dropout: 0.5 in
            the paper.

    Example:

    >>> network = Pix2Pix(filters=8, depth=4).build(64, planes=1, channels=2)
    >>> network.output_shape
    (None, None, None, 2)

    Reference:
        Isola, Zhu, Zhou and Efros 2017, "Image-to-Image Translation with
        Conditional Adversarial Networks", sec. 6.1.1.
    """

    filters: Count = 32
    depth: Depth = 6
    dropout: Share = 0.5

    @property
    def multiple(self) -> int:
        return 2**self.depth

    def check(self, image_size: int, channels: int) -> None:
        check_depth(self, self.depth, image_size)

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor import layers

        inputs = keras.Input((None, None, planes), name="planes")
        x, skips = inputs, []
        for level in range(self.depth):
            if level:
                x = keras.layers.LeakyReLU(0.2, name=f"leaky{level}")(x)
            filters = doubled(self.filters, level)
            x = _sized(keras.layers.Conv2D, filters, f"down{level}")(x)
            if 0 < level < self.depth - 1:
                x = layers.norm(x, f"down{level}_norm")
            skips.append(x)
        for level in reversed(range(1, self.depth)):
            x = keras.layers.Activation("relu", name=f"relu{level}")(x)
            filters = doubled(self.filters, level - 1)
            x = _sized(keras.layers.Conv2DTranspose, filters, f"up{level}")(x)
            x = layers.norm(x, f"up{level}_norm")
            if self.dropout and self.depth - 1 - level < DROPPED:
                x = layers.Dropout(self.dropout, name=f"dropout{level}")(x)
            x = keras.layers.Concatenate(name=f"join{level}")(
                [x, skips[level - 1]]
            )
        x = keras.layers.Activation("relu", name="relu0")(x)
        x = _sized(keras.layers.Conv2DTranspose, channels, "head")(x)
        return keras.Model(inputs, layers.outputs(x), name=self.name)


def _sized(kind: type, filters: int, name: str):
    """Returns a layer that halves or doubles the size."""
    from kcolor.layers import narrow

    return kind(
        filters,
        4,
        strides=2,
        padding="same",
        kernel_initializer=narrow(),
        name=name,
    )
