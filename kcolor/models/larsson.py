"""Hypercolumns on a VGG-16 trunk."""

from __future__ import annotations

from dataclasses import dataclass

from jsonargparse.typing import PositiveInt

from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture
from kcolor.settings import Rate

# Filters and convolutions of each block of VGG-16; each closes with pooling.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# What were its dense layers: filters and kernel.
DENSE = ((4096, 7), (4096, 1))


@register("larsson")
@dataclass(frozen=True)
class Larsson(Architecture):
    """VGG-16 whose features of all depths describe each pixel.

    The lightness and all convolutions' features at a pixel, its hypercolumn, go
    through one hidden layer to the pixel's numbers: at half the size, or in
    training at a few random pixels of each photo, so that the description of
    all pixels is never held. The hidden layer is computed as the sum of its
    parts, each at its own depth's size. Batch normalisation stands in for the
    paper's weights from ImageNet. Any image size.

    Args:
        width: Factor on the number of filters: 1 is the paper's network.
        hidden: Units of the hidden layer: the paper's network has 1024.

    Example:

    >>> network = Larsson(width=0.0625, hidden=16).build(64, 1, channels=64)
    >>> network.output_shape
    (None, None, None, 64)

    Reference:
        Larsson, Maire and Shakhnarovich 2016, "Learning Representations for
        Automatic Colorization", sec. 3.1 and 3.2.
    """

    width: Rate = 0.25
    hidden: PositiveInt = 256

    @property
    def stride(self) -> int:
        return 2

    @property
    def multiple(self) -> int:
        return 32

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor.layers import conv, norm, outputs
        from kcolor.layers.hypercolumn import Hypercolumn

        inputs = keras.Input((None, None, planes), name="planes")
        depths, x = [inputs], inputs
        for block, (filters, count) in enumerate(BLOCKS, 1):
            for number in range(1, count + 1):
                name = f"conv{block}_{number}"
                x = norm(conv(x, self._scaled(filters), name), f"{name}_norm")
                depths.append(x)
            x = keras.layers.MaxPooling2D(2, name=f"pool{block}")(x)
        for number, (filters, kernel) in enumerate(DENSE, len(BLOCKS) + 1):
            name = f"conv{number}"
            x = conv(x, self._scaled(filters), name, kernel=kernel)
            x = norm(x, f"{name}_norm")
            depths.append(x)
        # The sum of all is to be as large as one would be.
        calm = keras.initializers.VarianceScaling(1 / len(depths))
        parts = [
            keras.layers.Conv2D(
                self.hidden,
                1,
                use_bias=False,
                kernel_initializer=calm,
                name=f"part{n}",
            )(depth)
            for n, depth in enumerate(depths)
        ]
        x = Hypercolumn(self.stride, name="hypercolumn")(parts)
        x = keras.layers.Dense(channels, name="head")(x)
        return keras.Model(inputs, outputs(x), name=self.name)

    def sampled(self, network: keras.Model) -> keras.Model:
        positions = keras.Input((None,), dtype="int32", name="positions")
        hypercolumn = network.get_layer("hypercolumn")
        parts = [
            network.get_layer(layer.name).output
            for layer in network.layers
            if layer.name.startswith("part")
        ]
        x = hypercolumn(parts, positions)
        x = network.get_layer("outputs")(network.get_layer("head")(x))
        return keras.Model([network.input, positions], x, name="sampled")

    def _scaled(self, filters: int) -> int:
        return max(1, round(self.width * filters))
