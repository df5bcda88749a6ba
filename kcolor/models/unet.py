"""Our own U-Net."""

from __future__ import annotations

from dataclasses import dataclass

from kcolor.errors import UserError
from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture, check_depth, doubled
from kcolor.settings import Count, Depth, Share

HEADS = 4  # of the attention
MOST_TOKENS = 1024  # whose attention to each other fits in memory


@register("unet")
@dataclass(frozen=True)
class UNet(Architecture):
    """A U-Net for processors: half the size, depth-to-space, wide where small.

    Squares of 2x2 pixels become channels first, and ab is predicted at that
    half size, which is all that most photos' files hold of it. Each level has
    a residual block of two 3x3 convolutions with batch normalisation on the way
    down and on the way up. Any photo size; in training
    at least 2^(depth + 1) pixels.

    Cost, with l2 at 64x64: 6.55 M parameters, 0.37 GFLOP a photo, trained
    on 285 photos/s by two cores.

    Args:
        filters: Of the first level; each next one has twice as many, up
            to eight times.
        depth: Levels below the first, each half as large.
        attention: Whether the smallest grid attends to itself, by four heads.
        dropout: Share of the smallest grid's features dropped in training.

    Example:

    >>> network = UNet(filters=8, depth=2).build(64, planes=1, channels=2)
    >>> network.output_shape
    (None, None, None, 2)

    Reference:
        Ronneberger, Fischer and Brox 2015, "U-Net"; He et al. 2016, "Deep
        Residual Learning", fig. 2; Shi et al. 2016, "Real-Time Single Image and
        Video Super-Resolution", sec. 3.2; Vaswani et al. 2017, "Attention Is
        All You Need", sec. 3.2.
    """

    filters: Count = 32
    depth: Depth = 4
    attention: bool = False
    dropout: Share = 0.0

    @property
    def stride(self) -> int:
        return 2

    @property
    def multiple(self) -> int:
        return 2 ** (self.depth + 1)

    def check(self, image_size: int, channels: int) -> None:
        check_depth(self, image_size)
        tokens = (image_size // self.multiple) ** 2
        if self.attention and tokens > MOST_TOKENS:
            raise UserError(
                f"the attention of unet cannot take photos of {image_size} "
                f"pixels at depth {self.depth}: --depth more, or "
                "--attention false"
            )

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor import layers

        inputs = keras.Input((None, None, planes), name="planes")
        x = layers.SpaceToDepth(name="half")(inputs)
        x = layers.conv(x, self.filters, "stem", activation=None)

        # === Down ===
        skips = []
        for level in range(self.depth):
            x = _block(x, f"down{level}")
            skips.append(x)
            filters = doubled(self.filters, level + 1)
            x = layers.conv(
                x,
                filters,
                f"shrink{level}",
                kernel=2,
                strides=2,
                activation=None,
            )

        # === The Smallest Grid ===
        x = _block(x, "middle1")
        if self.attention:
            x = _attend(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name="dropout")(x)
        x = _block(x, "middle2")

        # === Up ===
        for level in reversed(range(self.depth)):
            filters = doubled(self.filters, level)
            x = keras.layers.Conv2D(4 * filters, 1, name=f"spread{level}")(x)
            x = layers.DepthToSpace(name=f"enlarge{level}")(x)
            x = keras.layers.Concatenate(name=f"join{level}")([x, skips[level]])
            x = layers.conv(
                x, filters, f"mix{level}", kernel=1, activation=None
            )
            x = _block(x, f"up{level}")
        x = keras.layers.Conv2D(
            channels, 1, kernel_initializer=layers.small(), name="head"
        )(x)
        return keras.Model(inputs, layers.outputs(x), name=self.name)


def _block(x, name: str):
    """Returns the features with what two convolutions add to them."""
    from kcolor.layers import Conv2D, norm

    filters = x.shape[-1]
    y = x
    for number in (1, 2):
        y = norm(y, f"{name}_norm{number}")
        y = keras.layers.Activation("relu", name=f"{name}_relu{number}")(y)
        y = Conv2D(
            filters,
            3,
            padding="same",
            use_bias=number == 2,
            kernel_initializer="he_normal",
            name=f"{name}_conv{number}",
        )(y)
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _attend(x):
    """Returns the features with what attention to all of the grid adds."""
    filters = x.shape[-1]
    y = keras.layers.LayerNormalization(name="attention_norm")(x)
    y = keras.layers.MultiHeadAttention(
        HEADS,
        max(1, filters // HEADS),
        attention_axes=(1, 2),
        name="attention",
    )(y, y)
    return keras.layers.Add(name="attention_add")([x, y])
