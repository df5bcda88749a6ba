"""What an encoder costs: trained, frozen, kept; its normalisation as it may be.

    python benchmarks/encoder.py --rounds 3 --seconds 5

Photos a second of training steps of the U-Net with EfficientNet-Lite0, batches
of 64 of 64x64, in bfloat16 where the processor has it. Then of the encoder
alone, 128x128, with its normalisation folded into its convolutions, with the
statistics it came with, and with those of the batch, and with Keras' own
depthwise convolution. All in turn, round by round; the medians are printed.
"""

import argparse
import time
from collections.abc import Callable
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from kcolor import layers
from kcolor.borrowed import efficientnet_lite as lite
from kcolor.models.unet import UNet

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--precision", default="mixed_bfloat16")
    options = parser.parse_args()
    keras.config.set_dtype_policy(options.precision)
    steps = {**of_unet(), **of_encoder()}
    rates = {name: [] for name in steps}
    for number in range(options.rounds + 1):
        for name, step in steps.items():
            found = rate(step, options.seconds if number else 0.0)
            if number:  # the first compiles
                rates[name].append(found)
    for name, found in rates.items():
        low, middle, high = np.quantile(found, [0, 0.5, 1])
        print(f"{name:40} {middle:7.1f}  ({low:.1f} to {high:.1f})")


def of_unet() -> dict[str, Callable]:
    """Returns steps of the whole network, of the rest, and of kept features."""
    unet = UNet(encoder="efficientnet_lite0", filters=64)
    photos = tf.random.uniform((BATCH, 64, 64, 1), -1, 1)
    found = {}
    for name, frozen, kept in (
        ("unet, all trained", False, False),
        ("unet, encoder frozen", True, False),
        ("unet, encoder frozen and kept", True, True),
    ):
        network = unet.build(64, 1, 2)
        encoder = unet.encoder_of(network)
        encoder.trainable = not frozen
        inputs = photos
        if kept:
            network = unet.decoder_of(network)
            inputs = [photos, *encoder(photos)]
        found[name] = trained(network, inputs, training=True)
    return found


def of_encoder() -> dict[str, Callable]:
    """Returns steps of the encoder alone, as it may be normalised."""
    variant = lite.VARIANTS["efficientnet_lite0"]
    photos = tf.random.uniform((BATCH, 128, 128, 1), -1, 1)

    def built():
        inputs = keras.Input((128, 128, 1))
        return keras.Model(inputs, lite.trunk(inputs, variant)[1:])

    def plain(x, filters, kernel, stride, name, dtype, bounded=True):
        options = {"strides": stride, "padding": "same", "use_bias": False}
        if filters is None:
            x = layers.DepthwiseConv2D(kernel, **options | {"use_bias": True})(
                x
            )
        else:
            x = layers.Conv2D(filters, kernel, **options)(x)
        x = layers.norm(x, f"{name}_norm")
        return keras.layers.ReLU(6.0)(x) if bounded else x

    folded = built()
    with mock.patch.object(lite, "_conv", plain):
        normalised = built()
    with mock.patch.object(
        lite, "DepthwiseConv2D", keras.layers.DepthwiseConv2D
    ):
        keras_own = built()
    return {
        "encoder, normalisation folded": trained(folded, photos),
        "encoder, Keras' depthwise convolution": trained(keras_own, photos),
        "encoder, statistics it came with": trained(normalised, photos),
        "encoder, statistics of the batch": trained(
            normalised, photos, training=True
        ),
        "encoder, asked": asked(folded, photos),
        "encoder, asked, not folded": asked(normalised, photos),
    }


def trained(network, inputs, training: bool = False) -> Callable:
    """Returns a function that computes all gradients of a batch."""
    variables = network.trainable_variables

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(network(inputs, training=training))
            loss = sum(
                tf.reduce_mean(tf.square(tf.cast(part, tf.float32)))
                for part in outputs
            )
        gradients = tape.gradient(loss, variables)
        return sum(tf.reduce_sum(part) for part in gradients)

    return step


def asked(network, inputs) -> Callable:
    """Returns a function that computes a batch's answers."""

    @tf.function(autograph=False)
    def step():
        return network(inputs, training=False)[-1]

    return step


def rate(step: Callable, seconds: float) -> float:
    """Returns how many photos a second a function computes."""
    began, photos = time.monotonic(), 0
    while not photos or time.monotonic() - began < seconds:
        tf.nest.flatten(step())[0].numpy()
        photos += BATCH
    return photos / (time.monotonic() - began)


if __name__ == "__main__":
    main()
