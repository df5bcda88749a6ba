"""The network of "Colorful Image Colorization"."""

from __future__ import annotations

from dataclasses import dataclass

from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture, scaled
from kcolor.settings import Width

# Filters, convolutions, stride of the last one, dilation of each block.
BLOCKS = (
    (64, 2, 2, 1),
    (128, 2, 2, 1),
    (256, 3, 2, 1),
    (512, 3, 1, 1),
    (512, 3, 1, 2),
    (512, 3, 1, 2),
    (512, 3, 1, 1),
)
LAST = (256, 3)  # filters and convolutions of block 8, the first of them up


@register("zhang")
@dataclass(frozen=True)
class Zhang(Architecture):
    """Eight blocks of convolutions, no pooling, a quarter of the photo's size.

    Each of the first seven blocks closes with batch normalisation; the fifth
    and the sixth are dilated by 2. Unlike in the released network, the
    normalisation learns scales and centres. Any image size.

    Cost, with l2 at 64x64: 2.01 M parameters, 0.33 GFLOP a photo, trained
    on 365 photos/s by two cores.

    Args:
        width: Factor on the number of filters: 1 is the paper's network.

    Example:

    >>> network = Zhang(width=0.125).build(64, planes=1, channels=313)
    >>> network.output_shape
    (None, None, None, 313)

    Reference:
        Zhang, Isola and Efros 2016, "Colorful Image Colorization", sec. 2.1 and
        table 4 of its appendix, and the released prototxt.
    """

    width: Width = 0.25

    @property
    def stride(self) -> int:
        return 4

    @property
    def multiple(self) -> int:
        return 8

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor.layers import conv, norm, outputs, small

        inputs = keras.Input((None, None, planes), name="planes")
        x = inputs
        for block, (filters, count, stride, dilation) in enumerate(BLOCKS, 1):
            for number in range(1, count + 1):
                x = conv(
                    x,
                    scaled(filters, self.width),
                    f"conv{block}_{number}",
                    strides=stride if number == count else 1,
                    dilation_rate=dilation,
                )
            x = norm(x, f"norm{block}")
        filters, count = LAST
        x = keras.layers.Conv2DTranspose(
            scaled(filters, self.width),
            4,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name="conv8_1",
        )(x)
        for number in range(2, count + 1):
            x = conv(x, scaled(filters, self.width), f"conv8_{number}")
        x = keras.layers.Conv2D(
            channels, 1, kernel_initializer=small(), name="head"
        )(x)
        return keras.Model(inputs, outputs(x), name=self.name)
