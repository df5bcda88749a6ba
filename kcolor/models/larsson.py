"""Hypercolumns on a VGG-16 trunk."""

from __future__ import annotations

from dataclasses import dataclass

from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture, scaled
from kcolor.settings import Count, Width

# Filters and convolutions of each block of VGG-16; each closes with pooling.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# What were its dense layers: filters and kernel.
DENSE = ((4096, 7), (4096, 1))
# Depths of at least a quarter of the photo's size, which have more pixels than
# are sampled: there, samples are taken before the hidden layer.
FINE = 1 + sum(count for _, count in BLOCKS[:3])


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

    Cost, with l2 at 64x64: 9.20 M parameters, 0.32 GFLOP a photo, trained
    on 138 photos/s by two cores.

    Args:
        width: Factor on the number of filters: 1 is the paper's network.
        hidden: Units of the hidden layer: the paper's network has 1024.

    Example:

    >>> network = Larsson(width=0.0625, hidden=16).build(64, 1, channels=64)
    >>> network.output_shape
    (None, None, None, 64)

    Reference:
        Larsson, Maire and Shakhnarovich 2016, "Learning Representations for
        Automatic Colorization", sec. 3.
    """

    width: Width = 0.25
    hidden: Count = 256

    @property
    def stride(self) -> int:
        return 2

    @property
    def multiple(self) -> int:
        return 32

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor.layers import conv, norm, outputs, small
        from kcolor.layers.hypercolumn import Hypercolumn

        inputs = keras.Input((None, None, planes), name="planes")
        # Features that are larger than the output, by their means.
        depths, x = [_halved(inputs, "half0")], inputs
        for block, (filters, count) in enumerate(BLOCKS, 1):
            for number in range(1, count + 1):
                name = f"conv{block}_{number}"
                x = conv(x, scaled(filters, self.width), name)
                x = norm(x, f"{name}_norm")
                depths.append(x if block > 1 else _halved(x, f"half{number}"))
            x = keras.layers.MaxPooling2D(2, name=f"pool{block}")(x)
        for number, (filters, kernel) in enumerate(DENSE, len(BLOCKS) + 1):
            name = f"conv{number}"
            x = conv(x, scaled(filters, self.width), name, kernel=kernel)
            x = norm(x, f"{name}_norm")
            depths.append(x)
        parts = [
            keras.layers.Conv2D(
                self.hidden,
                1,
                use_bias=False,
                # The sum of all is to be as large as one would be.
                kernel_initializer=keras.initializers.VarianceScaling(
                    1 / len(depths)
                ),
                name=f"part{number}",
            )(depth)
            for number, depth in enumerate(depths)
        ]
        x = Hypercolumn(name="hypercolumn")(parts)
        x = keras.layers.Dense(
            channels, kernel_initializer=small(), name="head"
        )(x)
        return keras.Model(inputs, outputs(x), name=self.name)

    def sparse(self, network: keras.Model) -> keras.Model:
        from kcolor.layers.hypercolumn import At

        positions = keras.Input((None, 2), dtype="int32", name="positions")
        hypercolumn = network.get_layer("hypercolumn")
        first = hypercolumn.input[0]
        parts = []
        for number, part in enumerate(hypercolumn.input):
            layer = network.get_layer(f"part{number}")
            at = At(name=f"at{number}")
            if number < FINE:
                part = layer(at(layer.input, first, positions))
            else:
                part = at(part, first, positions)
            parts.append(part)
        x = hypercolumn(parts)
        x = network.get_layer("outputs")(network.get_layer("head")(x))
        return keras.Model([network.input, positions], x, name="sparse")


def _halved(x, name: str):
    return keras.layers.AveragePooling2D(2, name=name)(x)
