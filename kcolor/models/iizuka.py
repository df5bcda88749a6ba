"""The network of "Let there be Color!"."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from kcolor.late import keras
from kcolor.models import register
from kcolor.models.architecture import Architecture, scaled
from kcolor.settings import Width

# Filters and stride of each convolution.
LOW = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1))
GLOBAL = ((512, 2), (512, 1), (512, 2), (512, 1))
MIDDLE = ((512, 1), (256, 1))


@register("iizuka")
@dataclass(frozen=True)
class Iizuka(Architecture):
    """Local features fused with one description of the whole photo.

    Low-level features, from them mid-level ones and global ones, a fusion
    layer, and a colorization network that ends at half the size. Where the
    photos have classes, a branch of the global features learns them, too, to
    help the others; its loss has the weight 1/300, beside errors of ab scaled
    to 0..1, or beside nats. Any image size. Unlike in the paper, outputs are
    not squashed by a sigmoid, and the global branch sees the low-level features
    at the size they had in training, where the paper shrinks the photo.

    Cost, with l2 at 64x64: 1.17 M parameters, 0.09 GFLOP a photo, trained
    on 797 photos/s by two cores.

    Args:
        width: Factor on the number of filters: 1 is the paper's network.

    Example:

    >>> network = Iizuka(width=0.125).label(10).build(64, 1, channels=2)
    >>> network.output["pixels"].shape, network.output["classes"].shape
    ((None, None, None, 2), (None, 10))

    Reference:
        Iizuka, Simo-Serra and Ishikawa 2016, "Let there be Color!", sec. 3 and
        table 1.
    """

    classifies: ClassVar[bool] = True

    width: Width = 0.25
    # Told by `label`: no setting.
    classes: int = dataclasses.field(default=0, metadata={"setting": False})

    @property
    def stride(self) -> int:
        return 2

    @property
    def multiple(self) -> int:
        return 8

    def label(self, classes: int) -> Iizuka:
        return dataclasses.replace(self, classes=classes)

    def build(self, image_size: int, planes: int, channels: int) -> keras.Model:
        from kcolor import layers

        def convolve(x, parts, name):
            for number, (filters, stride) in enumerate(parts, 1):
                x = layers.conv(
                    x,
                    scaled(filters, self.width),
                    f"{name}{number}",
                    strides=stride,
                )
                x = layers.norm(x, f"{name}{number}_norm")
            return x

        inputs = keras.Input((None, None, planes), name="planes")
        low = convolve(inputs, LOW, "low")

        # === The Whole Photo ===
        side = -(-image_size // 8)
        # Under XLA the gradient of 16-bit features would not be of 16 bits.
        x = keras.ops.cast(low, "float32")
        x = keras.ops.image.resize(x, (side, side), "bilinear")
        x = keras.layers.Flatten(name="flatten")(convolve(x, GLOBAL, "global"))
        x = self._dense(x, 1024, "global_dense1")
        described = self._dense(x, 512, "global_dense2")
        whole = self._dense(described, 256, "global_dense3")

        # === Fusion ===
        # The convolution of features joined with what is the same everywhere
        # is the sum of the two's own.
        filters = scaled(256, self.width)
        middle = convolve(low, MIDDLE, "middle")
        x = keras.layers.Conv2D(filters, 1, name="fusion_middle")(middle)
        whole = keras.layers.Dense(
            filters, use_bias=False, name="fusion_whole"
        )(whole)
        whole = keras.layers.Reshape((1, 1, filters), name="everywhere")(whole)
        x = keras.layers.Activation("relu", name="fusion")(x + whole)

        # === Colorization ===
        x = convolve(x, ((128, 1),), "color1_")
        x = layers.double(x, "enlarge1")
        x = convolve(x, ((64, 1), (64, 1)), "color2_")
        x = layers.double(x, "enlarge2")
        x = convolve(x, ((32, 1),), "color3_")
        x = keras.layers.Conv2D(
            channels,
            3,
            padding="same",
            kernel_initializer=layers.small(),
            name="head",
        )(x)
        pixels = layers.outputs(x)
        if not self.classes:
            return keras.Model(inputs, pixels, name=self.name)
        x = self._dense(described, 256, "classes_dense")
        classes = keras.layers.Dense(
            self.classes, dtype="float32", name="classes"
        )(x)
        return keras.Model(
            inputs, {"pixels": pixels, "classes": classes}, name=self.name
        )

    def _dense(self, x, units: int, name: str):
        return keras.layers.Dense(
            scaled(units, self.width),
            activation="relu",
            kernel_initializer="he_normal",
            name=name,
        )(x)
