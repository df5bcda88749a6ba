"""The residual network that CycleGAN uses as its generator."""

from __future__ import annotations

from dataclasses import dataclass

from jsonargparse.typing import restricted_number_type

from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture
from kcolor.settings import Count

AUTO_BLOCKS = 0
Blocks = restricted_number_type("Blocks", int, [(">=", 0), ("<=", 100)])


@register("resnet")
@dataclass(frozen=True)
class ResNet(Architecture):
    """A residual network at a quarter of the size, between two small ends.

    CycleGAN's generator: convolutions padded by reflection, instance
    normalisation, ReLU. Unlike there, outputs are not squashed by a tangent.
    Any image size.

    Cost, with l2 at 64x64: 1.96 M parameters, 1.10 GFLOP a photo, trained
    on 77 photos/s by two cores.

    Args:
        filters: At full size: 64 is the paper's network.
        blocks: Residual blocks; 0 for the paper's: 6 for photos up to 128
            pixels, 9 for larger ones.

    Example:

    >>> generator = ResNet(filters=8, blocks=2)
    >>> generator.build(64, planes=1, channels=2).output_shape
    (None, None, None, 2)

    Reference:
        Zhu, Park, Isola and Efros 2017, "Unpaired Image-to-Image Translation
        using Cycle-Consistent Adversarial Networks", sec. 7.2. Johnson, Alahi
        and Fei-Fei 2016, "Perceptual Losses", supplement.
    """

    filters: Count = 32
    blocks: Blocks = AUTO_BLOCKS

    @property
    def multiple(self) -> int:
        return 8  # 4 for the strides, and no less than 2 pixels to reflect

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor import layers

        blocks = self.blocks or (6 if image_size <= 128 else 9)
        inputs = keras.Input((None, None, planes), name="planes")
        x = _reflected(inputs, self.filters, 7, "first")
        for number in (1, 2):
            x = keras.layers.ZeroPadding2D(1, name=f"pad{number}")(x)
            x = keras.layers.Conv2D(
                self.filters * 2**number,
                3,
                strides=2,
                kernel_initializer=layers.narrow(),
                name=f"shrink{number}",
            )(x)
            x = _normalised(x, f"shrink{number}")
        for number in range(1, blocks + 1):
            y = _reflected(x, x.shape[-1], 3, f"block{number}_1")
            y = _reflected(y, x.shape[-1], 3, f"block{number}_2", None)
            x = keras.layers.Add(name=f"block{number}")([x, y])
        for number in (1, 2):
            x = keras.layers.Conv2DTranspose(
                self.filters * 2 ** (2 - number),
                3,
                strides=2,
                kernel_initializer=layers.narrow(),
                name=f"enlarge{number}",
            )(x)
            # Back to where the convolutions took their squares from: "same"
            # would leave the features a pixel further down and to the right.
            x = layers.Crop(name=f"enlarge{number}_crop")(x)
            x = _normalised(x, f"enlarge{number}")
        x = _convolved(x, channels, 7, "head")
        return keras.Model(inputs, layers.outputs(x), name=self.name)


def _convolved(x, filters: int, kernel: int, name: str):
    """Returns a convolution, padded by reflection."""
    from kcolor import layers

    edge = (kernel // 2, kernel // 2)
    x = keras.ops.pad(x, [(0, 0), edge, edge, (0, 0)], mode="reflect")
    return layers.Conv2D(
        filters, kernel, kernel_initializer=layers.narrow(), name=name
    )(x)


def _reflected(x, filters: int, kernel: int, name: str, activation="relu"):
    """Returns a normalised convolution, padded by reflection."""
    return _normalised(_convolved(x, filters, kernel, name), name, activation)


def _normalised(x, name: str, activation: str | None = "relu"):
    from kcolor.layers import InstanceNormalization

    x = InstanceNormalization(name=f"{name}_norm")(x)
    if activation is None:
        return x
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)
