"""The generator of CycleGAN."""

from __future__ import annotations

from dataclasses import dataclass

from jsonargparse.typing import NonNegativeInt, PositiveInt

from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture

AUTO_BLOCKS = 0


@register("cyclegan")
@dataclass(frozen=True)
class CycleGANGenerator(Architecture):
    """A residual network at a quarter of the size, between two small ends.

    Convolutions padded by reflection, instance normalisation, ReLU. Any image
    size.

    Args:
        width: Filters at full size: 64 is the paper's network.
        blocks: Residual blocks; 0 for the paper's: 6 for photos up to 128
            pixels, 9 for larger ones.

    Example:

    >>> generator = CycleGANGenerator(width=8, blocks=2)
    >>> generator.build(64, planes=1, channels=2).output_shape
    (None, None, None, 2)

    Reference:
        Zhu, Park, Isola and Efros 2017, "Unpaired Image-to-Image Translation
        using Cycle-Consistent Adversarial Networks", sec. 7.2. Johnson, Alahi
        and Fei-Fei 2016, "Perceptual Losses", supplement.
    """

    width: PositiveInt = 32
    blocks: NonNegativeInt = AUTO_BLOCKS

    @property
    def multiple(self) -> int:
        return 8  # 4 for the strides, and no less than 2 pixels to reflect

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor import layers

        blocks = self.blocks or (6 if image_size <= 128 else 9)
        inputs = keras.Input((None, None, planes), name="planes")
        x = _reflected(inputs, self.width, 7, "first")
        for number in (1, 2):
            x = keras.layers.Conv2D(
                self.width * 2**number,
                3,
                strides=2,
                padding="same",
                name=f"shrink{number}",
            )(x)
            x = _normalised(x, f"shrink{number}")
        for number in range(1, blocks + 1):
            y = _reflected(x, x.shape[-1], 3, f"block{number}_1")
            y = _reflected(
                y, x.shape[-1], 3, f"block{number}_2", activation="linear"
            )
            x = keras.layers.Add(name=f"block{number}")([x, y])
        for number in (1, 2):
            x = keras.layers.Conv2DTranspose(
                self.width * 2 ** (2 - number),
                3,
                strides=2,
                padding="same",
                name=f"enlarge{number}",
            )(x)
            x = _normalised(x, f"enlarge{number}")
        x = keras.ops.pad(x, [(0, 0), (3, 3), (3, 3), (0, 0)], mode="reflect")
        x = keras.layers.Conv2D(channels, 7, name="head")(x)
        return keras.Model(inputs, layers.outputs(x), name=self.name)


def _reflected(x, filters: int, kernel: int, name: str, activation="relu"):
    """Returns a normalised convolution, padded by reflection."""
    edge = (kernel // 2, kernel // 2)
    x = keras.ops.pad(x, [(0, 0), edge, edge, (0, 0)], mode="reflect")
    x = keras.layers.Conv2D(filters, kernel, name=name)(x)
    return _normalised(x, name, activation)


def _normalised(x, name: str, activation: str = "relu"):
    # One group a channel is instance normalisation.
    x = keras.layers.GroupNormalization(-1, epsilon=1e-5, name=f"{name}_norm")(
        x
    )
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)
