"""A classifier that learns to tell real photos from recoloured ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from kcolor.errors import UserError
from kcolor.evaluation.judges import Progress

FOLDS = 2
PAIRS = 32  # in a batch: a photo and its recolouring stay together
STEPS = 400


def told_apart(
    true: np.ndarray,
    coloured: np.ndarray,
    progress: Progress,
) -> np.ndarray:
    """Returns how well photos are told from their recolourings, (n,).

    Each photo is judged by a network that has seen neither it nor its
    recolouring: 1 where both were named rightly, 0.5 where one was, 0 where
    none was. A recolouring equal to the photo gives 0.5.

    Args:
        true: uint8 (n, H, W, 3).
        coloured: uint8 (n, H, W, 3).
        progress: Wraps iterations, to show how far they are.

    Raises:
        UserError: There is only one photo.
    """
    if len(true) < FOLDS:
        raise UserError("machine_turing needs two photos at least: add photos")
    random = np.random.default_rng(0)
    fold_of = random.permutation(len(true)) % FOLDS
    found = np.empty(len(true), np.float32)
    for fold in range(FOLDS):
        (seen,) = np.nonzero(fold_of != fold)
        (unseen,) = np.nonzero(fold_of == fold)
        network = classifier(seed=fold)
        label = f"machine_turing {fold + 1}/{FOLDS}"
        _teach(
            network,
            progress(
                _pairs(true, coloured, seen, random), STEPS, label, " steps"
            ),
        )
        for rows in np.array_split(unseen, -(-len(unseen) // PAIRS)):
            real = network.predict_on_batch(true[rows])[:, 0]
            fake = network.predict_on_batch(coloured[rows])[:, 0]
            # Or a network that always says the same would be right at 0.
            found[rows] = ((real >= 0).astype(float) + (fake < 0)) / 2
    return found


def classifier(seed: int) -> keras.Model:
    """Returns a network, uint8 (N, H, W, 3) to logits (N, 1), high for real."""
    photos = keras.Input((None, None, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32")(photos)
    for number, filters in enumerate((32, 64, 128)):
        x = keras.layers.Conv2D(
            filters,
            3,
            strides=2,
            padding="same",
            kernel_initializer=keras.initializers.HeNormal(10 * seed + number),
            dtype="float32",
        )(x)
        x = keras.layers.LeakyReLU(0.2, dtype="float32")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    logits = keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32")(
        x
    )
    return keras.Model(photos, logits)


def _pairs(
    true: np.ndarray,
    coloured: np.ndarray,
    rows: np.ndarray,
    random: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields batches of real photos and their recolourings, half mirrored."""
    for _ in range(STEPS):
        chosen = np.sort(random.choice(rows, min(PAIRS, len(rows)), False))
        pair = true[chosen], coloured[chosen]
        mirrored = random.random() < 0.5
        yield tuple(part[:, :, ::-1] if mirrored else part for part in pair)


def _teach(network: keras.Model, pairs: Iterable) -> None:
    rate = keras.optimizers.schedules.CosineDecay(2e-3, STEPS)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01)
    optimizer.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(real, fake):
        photos = tf.concat([real, fake], 0)
        labels = tf.concat([tf.ones(len(real)), tf.zeros(len(fake))], 0)
        with tf.GradientTape() as tape:
            logits = network(photos, training=True)[:, 0]
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    for real, fake in pairs:
        step(tf.constant(real), tf.constant(fake))
