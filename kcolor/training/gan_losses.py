"""The losses of the game between a generator and a discriminator."""

from __future__ import annotations

import keras
import tensorflow as tf

from kcolor.replicas import drawn


def discriminator_loss(kind: str, real, fake, smoothing: float = 0.0):
    """Returns the discriminator's loss, a scalar.

    Args:
        kind: `vanilla`, `least_squares`, `hinge` or `wgan_gp`.
        real: Its logits for real photos, (N, ...).
        fake: Its logits for coloured ones.
        smoothing: How far below 1 the target of real photos is, of `vanilla`
            and `least_squares`.

    Example:

    >>> logits = keras.ops.zeros((2, 1, 1, 1))
    >>> round(float(discriminator_loss("vanilla", logits, logits)), 3)
    0.693

    Reference:
        Goodfellow et al. 2014, eq. 1; Mao et al. 2017, eq. 2; Lim and Ye 2017,
        eq. 10; Arjovsky et al. 2017, eq. 2. Smoothing: Salimans et al. 2016,
        sec. 3.4.
    """
    ops = keras.ops
    if kind == "vanilla":
        of_real = _entropy(real, 1.0 - smoothing)
        return (ops.mean(of_real) + ops.mean(_entropy(fake, 0.0))) / 2
    if kind == "least_squares":
        of_real = ops.square(real - (1.0 - smoothing))
        return (ops.mean(of_real) + ops.mean(ops.square(fake))) / 2
    if kind == "hinge":
        return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))
    return ops.mean(fake) - ops.mean(real)


def generator_loss(kind: str, fake):
    """Returns the generator's loss, a scalar, for logits of its photos.

    Of `vanilla`, the one that does not saturate.

    Example:

    >>> float(generator_loss("hinge", keras.ops.ones((2, 1, 1, 1))))
    -1.0

    Reference:
        Goodfellow et al. 2014, sec. 3; the others as `discriminator_loss`.
    """
    if kind == "vanilla":
        return keras.ops.mean(_entropy(fake, 1.0))
    if kind == "least_squares":
        return keras.ops.mean(keras.ops.square(fake - 1.0))
    return -keras.ops.mean(fake)


def accuracies(kind: str, real, fake):
    """Returns the shares of real and of coloured photos' logits told rightly.

    Wasserstein's critic has no logit that means "either": between the two means
    stands for it.
    """
    bound = {"vanilla": 0.0, "least_squares": 0.5, "hinge": 0.0}.get(kind)
    if bound is None:
        bound = (keras.ops.mean(real) + keras.ops.mean(fake)) / 2
    return tuple(
        keras.ops.mean(keras.ops.cast(is_right, "float32"))
        for is_right in (real > bound, fake < bound)
    )


def gradient_penalty(discriminator, real, fake, seeds):
    """Returns the mean of (|gradient| - 1)^2 between real photos and others.

    Args:
        discriminator: From photos to logits.
        real: (N, H, W, C).
        fake: (N, H, W, C).
        seeds: Where the places between them come from.

    Example:

    >>> steep = lambda photos: 3.0 * photos  # of one pixel: a gradient of 3
    >>> photos = keras.ops.zeros((2, 1, 1, 1))
    >>> float(gradient_penalty(steep, photos, photos + 1.0, 0))
    4.0

    Reference:
        Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3.
    """
    each = (keras.ops.shape(real)[0], 1, 1, 1)
    place = drawn(keras.random.uniform, each, seed=seeds)
    between = real + place * (fake - real)
    squares, count = _squared_gradient(discriminator, between)
    # The critic is the mean of its logits. The root of 0 has no gradient.
    lengths = keras.ops.sqrt(keras.ops.maximum(squares, 1e-12)) / count
    return keras.ops.mean(keras.ops.square(lengths - 1.0))


def r1_penalty(discriminator, real):
    """Returns half the mean squared gradient of a logit at real photos.

    That of the sum of a photo's logits, divided by their number: with one logit
    it is the paper's, with many it does not vanish as their mean's would.

    Example:

    >>> steep = lambda photos: 3.0 * photos
    >>> float(r1_penalty(steep, keras.ops.zeros((2, 1, 1, 1))))
    4.5

    Reference:
        Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do
        actually Converge?", eq. 9.
    """
    squares, count = _squared_gradient(discriminator, real)
    return keras.ops.mean(squares) / (2 * count)


def _squared_gradient(discriminator, photos):
    """Returns the squared gradient of each photo's sum of logits, (N,).

    And how many logits there are: in float16 the gradient of their mean would
    vanish.
    """
    with tf.GradientTape() as tape:
        tape.watch(photos)
        logits = discriminator(photos)
    gradient = tape.gradient(logits, photos)
    count = tf.cast(tf.size(logits) / tf.shape(logits)[0], tf.float32)
    gradient = tf.cast(gradient, tf.float32)
    return tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3)), count


def _entropy(logits, target: float):
    return keras.ops.binary_crossentropy(
        keras.ops.full_like(logits, target), logits, from_logits=True
    )
