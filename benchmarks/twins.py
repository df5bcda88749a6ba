"""Each faster layer and optimizer beside the Keras one that it stands for.

    python benchmarks/twins.py

Forward and all gradients, in bfloat16, at the shapes of the networks that
`peers.py` trains; the two take turns. Nothing else should run meanwhile.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from costs import alternated, seconds_of

from kcolor import layers
from kcolor.objectives.ce import _expected
from kcolor.training import optimizers

SAME = {"kernel_size": 3, "padding": "same"}
REPEATS = 10  # of which the fastest counts


def convolutions():
    """Yields what, our layer, Keras' own and the shape of its input."""
    for what, shape, options in (
        ("2x2 maps", (64, 2, 2, 256), SAME | {"filters": 256}),
        ("4x4 maps", (64, 4, 4, 256), SAME | {"filters": 256}),
        ("8x8 maps", (64, 8, 8, 128), SAME | {"filters": 128}),
        (
            "dilated, 8x8",
            (64, 8, 8, 128),
            SAME | {"filters": 128, "dilation_rate": 2},
        ),
        (
            "7x7 to 3 filters",
            (16, 70, 70, 32),
            {"filters": 3, "kernel_size": 7},
        ),
    ):
        ours, theirs = layers.Conv2D(**options), keras.layers.Conv2D(**options)
        yield f"convolution, {what}", ours, theirs, shape


def others():
    """Yields what, our layer, Keras' own and the shape of its input."""
    for shape in ((16, 64, 64, 32), (16, 16, 16, 128)):
        yield (
            f"instance normalisation, {shape[1]}x{shape[2]}x{shape[3]}",
            layers.InstanceNormalization(),
            keras.layers.GroupNormalization(-1, epsilon=1e-5),
            shape,
        )
    shape = (64, 32, 32, 64)
    yield (
        "batch normalisation, 32x32x64",
        layers.BatchNormalization(),
        keras.layers.BatchNormalization(),
        shape,
    )
    keras_own = keras.layers.Cropping2D(((1, 0), (1, 0)))
    yield "cropping, 65x65x32", layers.Crop(), keras_own, (16, 65, 65, 32)


def step_of(layer: keras.Layer, shape: tuple):
    """Returns a function that takes the time of a step, in milliseconds."""
    layer.build(shape)
    random = np.random.default_rng(0)
    photos = tf.cast(random.normal(size=shape), tf.bfloat16)
    variables = [variable.value for variable in layer.trainable_variables]

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(photos)
            answers = tf.cast(layer(photos, training=True), tf.float32)
            loss = tf.reduce_sum(tf.square(answers))
        return tape.gradient(loss, [photos, *variables])

    return fastest(step)


def fastest(function):
    """Returns a function that takes the least time of some calls, in ms."""
    return lambda: 1000 * min(seconds_of(function) for _ in range(REPEATS))


def entropies():
    """Returns the gradient of five logits of 313, as ours and as Keras'."""
    random = np.random.default_rng(0)
    logits = tf.constant(random.normal(size=(64, 16, 16, 313)), tf.float32)
    ranked = random.uniform(size=(64, 16, 16, 313)).argsort(-1)
    indices = tf.constant(ranked[..., :5], tf.int32)
    shares = tf.constant(random.uniform(size=(64, 16, 16, 5)), tf.float32)

    def plain(logits, indices, shares):
        chosen = keras.ops.take_along_axis(logits, indices, axis=-1)
        return keras.ops.sum(shares * chosen, -1)

    def step_of(function):
        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                tape.watch(logits)
                loss = tf.reduce_sum(function(logits, indices, shares))
            return tape.gradient(loss, logits)

        return fastest(step)

    return step_of(_expected), step_of(plain)


def adams():
    """Returns Adam's step of 16.8 M parameters, ours and Keras'."""
    found = []
    for kind in (optimizers.Adam, keras.optimizers.Adam):
        weight = keras.Variable(np.zeros((4096, 4096), np.float32))
        gradient = tf.ones((4096, 4096))
        optimizer = kind(1e-3)
        optimizer.build([weight])
        step = tf.function(
            lambda optimizer=optimizer, gradient=gradient: optimizer.apply(
                [gradient]
            ),
            autograph=False,
        )
        found.append(fastest(step))
    return found


def main() -> None:
    """Prints the table."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    keras.config.set_dtype_policy("mixed_bfloat16")
    pairs = {
        what: (step_of(ours, shape), step_of(theirs, shape))
        for what, ours, theirs, shape in [*convolutions(), *others()]
    }
    pairs["cross entropy, five logits of 313"] = entropies()
    pairs["Adam, 16.8 M parameters"] = adams()
    print("| | ours, ms | Keras', ms | times as fast |\n|---|---|---|---|")
    for what, (ours, theirs) in pairs.items():
        found = alternated({"ours": ours, "theirs": theirs}, rounds=5)
        mine, other = (float(np.median(values)) for values in found.values())
        ratios = np.divide(found["theirs"], found["ours"])
        spread = f"({ratios.min():.2f} to {ratios.max():.2f})"
        times = f"**{np.median(ratios):.2f}** {spread}"
        print(f"| {what} | {mine:.1f} | {other:.1f} | {times} |", flush=True)


if __name__ == "__main__":
    main()
