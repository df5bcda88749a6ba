"""Our own U-Net, with an encoder of its own or one that others have trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kcolor.errors import UserError
from kcolor.late import keras
from kcolor.models import encoders, register
from kcolor.models.architecture import Architecture, check_depth, doubled
from kcolor.settings import Count, Depth, Share

HEADS = 4  # of the attention
MOST_ENCODED = len(encoders.STRIDES) - 1  # levels below an encoder's first
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

    An encoder takes the place of the way down: a classifier that others have
    trained sees the photo twice as large, and the way up joins its features of
    four sizes.

    Args:
        encoder: none, efficientnet_lite0, efficientnet_lite1,
            efficientnet_lite2, or a class of keras.applications, such as
            MobileNetV2, whose weights are fetched when a training begins.
        filters: Of the first level; each next one has twice as many, up
            to eight times.
        depth: Levels below the first, each half as large; auto: 4, or the 3
            that an encoder has.
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

    encoder: str = encoders.NONE
    filters: Count = 32
    depth: Literal["auto"] | Depth = "auto"
    attention: bool = False
    dropout: Share = 0.0

    @property
    def stride(self) -> int:
        return 2

    @property
    def multiple(self) -> int:
        return 2 ** (self.levels + 1)

    @property
    def has_encoder(self) -> bool:
        return self.encoder != encoders.NONE

    @property
    def levels(self) -> int:
        """Levels below the first."""
        if self.depth != "auto":
            return self.depth
        return MOST_ENCODED if self.has_encoder else 4

    def check(self, image_size: int, channels: int) -> None:
        if self.has_encoder:
            encoders.check(self.encoder)
            if self.levels > MOST_ENCODED:
                raise UserError(
                    f"--encoder {self.encoder} has {MOST_ENCODED} levels below "
                    f"its first: --depth {self.depth} is too deep"
                )
        check_depth(self, self.levels, image_size)
        tokens = (image_size // self.multiple) ** 2
        if self.attention and tokens > MOST_TOKENS:
            raise UserError(
                f"the attention of unet cannot take photos of {image_size} "
                f"pixels at depth {self.levels}: --depth more, or "
                "--attention false"
            )

    def encoder_of(self, network: keras.Model) -> keras.Model | None:
        return network.get_layer("encoder") if self.has_encoder else None

    def decoder_of(self, network: keras.Model) -> keras.Model | None:
        return network.get_layer("decoder") if self.has_encoder else None

    def require(self) -> None:
        if self.has_encoder:
            encoders.get(self.encoder).require()

    def load_encoder(self, network: keras.Model) -> None:
        if self.has_encoder:
            encoders.get(self.encoder).load(self.encoder_of(network))

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor import layers

        inputs = keras.Input((None, None, planes), name="planes")
        half = layers.SpaceToDepth(name="half")(inputs)
        stem = layers.conv(half, self.filters, "stem", activation=None)
        if not self.has_encoder:
            *skips, x = self._down(stem)
            x = _block(x, "middle1")
            x = _block(self._middle(x), "middle2")
            return keras.Model(
                inputs, self._up(x, skips, channels), name=self.name
            )

        encoder = encoders.get(self.encoder).build(self.levels)
        features = [keras.Input(f.shape[1:]) for f in encoder.outputs]
        # The way up sees the photo itself, at its own size, beside them.
        first, *skips, x = features
        first = keras.layers.Concatenate(name="beside")([stem, first])
        outputs = self._up(self._middle(x), [first, *skips], channels)
        decoder = keras.Model([inputs, *features], outputs, name="decoder")
        lightness = layers.First(name="lightness")(inputs)
        return keras.Model(
            inputs, decoder([inputs, *encoder(lightness)]), name=self.name
        )

    def _down(self, x) -> list:
        """Returns the features of each level, the smallest grid's last."""
        from kcolor import layers

        features = []
        for level in range(self.levels):
            x = _block(x, f"down{level}")
            features.append(x)
            filters = doubled(self.filters, level + 1)
            x = layers.conv(
                x,
                filters,
                f"shrink{level}",
                kernel=2,
                strides=2,
                activation=None,
            )
        return [*features, x]

    def _middle(self, x):
        """Returns the smallest grid's features, attended to and dropped."""
        from kcolor import layers

        if self.attention:
            x = _attend(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name="dropout")(x)
        return x

    def _up(self, x, skips: list, channels: int):
        """Returns the outputs of the smallest grid's features and others'."""
        from kcolor import layers

        for level in reversed(range(self.levels)):
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
        return layers.outputs(x)


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
