"""Discriminators: networks that tell coloured photos from real ones."""

from __future__ import annotations

from kcolor.late import keras
from kcolor.models.architecture import doubled

# The poster's CNN: kernels, and filters of its six convolutions.
CNN_KERNEL = 4
CNN_FILTERS = (8, 16, 32, 64, 128, 16)
# The least height and width of a photo. A patch's grows with its layers.
LEAST = {"patch": 4, "pixel": 1, "cnn": len(CNN_FILTERS) * (CNN_KERNEL - 1) + 1}


def build(
    kind: str,
    image_size: int,
    planes: int,
    filters: int,
    layers: int,
    spectral: bool,
    name: str,
) -> keras.Model:
    """Returns a discriminator.

    Normalisation is by photo, not by batch: a batch that is all real or all
    coloured would tell by its statistics what it is. `pixel` has none, or it
    would see more than each pixel.

    Args:
        kind: `patch`, 4x4 convolutions that judge overlapping squares; `pixel`,
            1x1 convolutions; `cnn`, the poster's convolutions and one number
            for the whole photo.
        image_size: Height and width of the photos, in pixels. Only `cnn` is
            bound to it.
        planes: Of the photos.
        filters: Of the first layer of `patch` and `pixel`.
        layers: Convolutions of stride 2 in `patch`: see `receptive_field`.
        spectral: Whether weights are divided by their largest singular value,
            in place of normalisation. Keras' layer divides the weights
            themselves at each call in training, and no gradient goes through
            the division.
        name: Of the model.

    Returns:
        A functional model, (N, H, W, planes), scaled to about -1..1, to float32
        logits (N, any, any, 1), high for real ones.

    Example:

    >>> build("patch", 64, 3, 8, 1, False, "patches").output_shape
    (None, None, None, 1)
    >>> build("cnn", 64, 3, 8, 1, False, "whole").output_shape
    (None, 1, 1, 1)

    Reference:
        Isola et al. 2017, "Image-to-Image Translation with Conditional
        Adversarial Networks", sec. 6.1.2. Miyato et al. 2018, "Spectral
        Normalization for Generative Adversarial Networks", sec. 2.1. The
        poster: "similar to our CNN".
    """
    from kcolor.layers import outputs

    size = image_size if kind == "cnn" else None
    inputs = keras.Input((size, size, planes), name="photo")
    parts = {"patch": _patch, "pixel": _pixel, "cnn": _cnn}
    x = parts[kind](inputs, filters, layers, spectral)
    return keras.Model(inputs, outputs(x), name=name)


def receptive_field(layers: int) -> int:
    """Returns the side of the squares that a `patch` judges, in pixels.

    Example:

    >>> [receptive_field(layers) for layers in (1, 2, 3)]
    [16, 34, 70]
    """
    side = 1
    for stride in [1, 1] + [2] * layers:  # from the last convolution back
        side = 4 + stride * (side - 1)
    return side


def _patch(x, filters: int, layers: int, spectral: bool):
    for level in range(layers + 1):
        x = _convolved(
            x,
            doubled(filters, level),
            f"conv{level}",
            spectral,
            strides=2 if level < layers else 1,
            normalises=level > 0,
        )
    return _conv(x, 1, "head", spectral, kernel=4, padded=1)


def _pixel(x, filters: int, layers: int, spectral: bool):
    for level in range(2):
        x = _convolved(
            x,
            doubled(filters, level),
            f"conv{level}",
            spectral,
            kernel=1,
            normalises=False,
        )
    return _conv(x, 1, "head", spectral, kernel=1)


def _cnn(x, filters: int, layers: int, spectral: bool):
    last = len(CNN_FILTERS) - 1
    for level, count in enumerate(CNN_FILTERS):
        # Of the last one, photos may have left a single pixel, which
        # normalised is 0.
        x = _convolved(
            x,
            count,
            f"conv{level}",
            spectral,
            padded=0,
            normalises=level < last,
        )
    # The dense layer from every feature to the one number.
    return _conv(x, 1, "head", spectral, kernel=x.shape[1])


def _convolved(
    x,
    filters: int,
    name: str,
    spectral: bool,
    kernel: int = 4,
    strides: int = 1,
    padded: int | None = None,
    normalises: bool = True,
):
    """Returns a convolution, normalised, with leaky ReLU."""
    from kcolor.layers import InstanceNormalization

    if padded is None:
        padded = (kernel - 1) // 2
    x = _conv(x, filters, name, spectral, kernel, strides, padded)
    if normalises and not spectral:
        x = InstanceNormalization(name=f"{name}_norm")(x)
    return keras.layers.LeakyReLU(0.2, name=f"{name}_leaky")(x)


def _conv(
    x,
    filters: int,
    name: str,
    spectral: bool,
    kernel: int,
    strides: int = 1,
    padded: int = 0,
):
    from kcolor.layers import narrow

    if padded:
        x = keras.layers.ZeroPadding2D(padded, name=f"{name}_pad")(x)
    layer = keras.layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        kernel_initializer=narrow(),
        name=name,
    )
    if spectral:
        # In 16 bits it would round the weights themselves.
        layer = keras.layers.SpectralNormalization(
            layer, dtype="float32", name=f"{name}_by"
        )
    return layer(x)
