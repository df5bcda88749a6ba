"""Tests for `kcolor.training.gan_losses`."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kcolor.training.gan_losses import (
    accuracies,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    r1_penalty,
)

pytestmark = pytest.mark.usefixtures("fresh_keras")

KINDS = ["vanilla", "least_squares", "hinge", "wgan_gp"]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
SHAPE = (3, 2, 2, 2)  # of photos


def numbers(*shape, seed=0):
    random = np.random.default_rng(seed)
    return tf.constant(random.normal(size=shape), tf.float32)


def logits(value, count=3):
    return tf.fill((count, 2, 2, 1), float(value))


def linear(weights):
    """Returns a critic whose gradient is the weights, wherever it is."""

    def critic(photos):
        products = tf.reduce_sum(weights * photos, axis=(1, 2, 3))
        return products[:, None, None, None]

    return critic


def slopes(loss_of, *values):
    """Returns a loss' gradient at each of its arguments, summed."""
    variables = [tf.Variable(value) for value in values]
    with tf.GradientTape() as tape:
        loss = loss_of(*variables)
    found = tape.gradient(loss, variables)
    return [0.0 if g is None else float(tf.reduce_sum(g)) for g in found]


# === The Game ===


def test_who_cannot_tell_loses_log_2_by_cross_entropy():
    undecided = logits(0)
    for loss in (
        discriminator_loss("vanilla", undecided, undecided),
        generator_loss("vanilla", undecided),
    ):
        assert float(loss) == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "real", "fake"),
    [
        ("vanilla", 40, -40),
        ("least_squares", 1, 0),
        ("hinge", 1, -1),
        ("hinge", 5, -7),  # beyond its margins nothing more is won
    ],
)
def test_a_perfect_discriminator_loses_nothing(kind, real, fake):
    loss = discriminator_loss(kind, logits(real), logits(fake))
    assert float(loss) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "best"), [("least_squares", 1), ("hinge", None), ("vanilla", None)]
)
def test_a_discriminator_loses_what_it_is_wrong_by(kind, best):
    real, fake = numbers(4, 3, 3, 1), numbers(4, 3, 3, 1, seed=1)
    found = float(discriminator_loss(kind, real, fake))
    real, fake = real.numpy(), fake.numpy()
    expected = {
        "vanilla": (np.logaddexp(0, -real) + np.logaddexp(0, fake)).mean() / 2,
        "least_squares": ((real - 1) ** 2 + fake**2).mean() / 2,
        "hinge": (
            np.maximum(1 - real, 0).mean() + np.maximum(1 + fake, 0).mean()
        ),
    }
    assert found == pytest.approx(expected[kind], rel=1e-5)


def test_a_critic_s_loss_is_the_distance_of_the_means():
    real, fake = numbers(4, 3, 3, 1), numbers(4, 3, 3, 1, seed=1)
    loss = float(discriminator_loss("wgan_gp", real, fake))
    assert loss == pytest.approx(
        float(tf.reduce_mean(fake) - tf.reduce_mean(real)), abs=1e-6
    )
    # What is added to all logits changes nothing.
    moved = float(discriminator_loss("wgan_gp", real + 3, fake + 3))
    assert moved == pytest.approx(loss, abs=1e-5)


@EVERY_KIND
def test_the_discriminator_is_driven_to_rate_real_photos_higher(kind):
    def loss(real, fake):
        return discriminator_loss(kind, real, fake)

    of_real, of_fake = slopes(loss, logits(0.5), logits(0.5))
    assert of_real < 0 < of_fake


@pytest.mark.parametrize(
    ("kind", "smoothing", "best"),
    [
        ("vanilla", 0.1, math.log(0.9 / 0.1)),
        ("vanilla", 0.3, math.log(0.7 / 0.3)),
        ("least_squares", 0.0, 1.0),
        ("least_squares", 0.1, 0.9),
    ],
)
def test_label_smoothing_moves_the_best_logit_of_real_photos(
    kind, smoothing, best
):
    def loss(real, fake):
        return discriminator_loss(kind, real, fake, smoothing)

    fake = logits(0.2)
    below, at, above = (
        slopes(loss, logits(best + away), fake)[0] for away in (-0.2, 0, 0.2)
    )
    assert below < 0 < above
    assert at == pytest.approx(0, abs=1e-6)
    # And those of coloured ones not at all.
    plain = slopes(lambda r, f: discriminator_loss(kind, r, f), logits(1), fake)
    assert slopes(loss, logits(1), fake)[1] == pytest.approx(plain[1])


@EVERY_KIND
def test_the_generator_wins_where_its_photos_are_rated_higher(kind):
    values = [-3.0, -1.0, 0.0, 0.5, 1.0]
    losses = [float(generator_loss(kind, logits(value))) for value in values]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == len(losses)


def test_a_generator_told_from_real_photos_still_has_something_to_learn():
    # 1 - D would be flat there.
    (slope,) = slopes(lambda fake: generator_loss("vanilla", fake), logits(-20))
    assert slope == pytest.approx(-1, rel=1e-5)


def test_the_generator_s_least_squares_are_least_at_one():
    def loss(fake):
        return generator_loss("least_squares", fake)

    assert float(loss(logits(1))) == 0
    assert slopes(loss, logits(0.9))[0] < 0 < slopes(loss, logits(1.1))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_accuracies_are_the_shares_told_rightly(kind):
    # The bounds are 0, 1/2, 0, and the mean of all: 0.3 here.
    real = tf.reshape(tf.constant([2.0, 0.4, 0.2, -1.0]), (2, 2, 1, 1))
    fake = tf.reshape(tf.constant([1.8, 0.1, 0.4, -1.5]), (2, 2, 1, 1))
    expected = {
        "vanilla": (0.75, 0.25),
        "least_squares": (0.25, 0.75),
        "hinge": (0.75, 0.25),
        "wgan_gp": (0.5, 0.5),
    }
    assert tuple(map(float, accuracies(kind, real, fake))) == expected[kind]


def test_a_critic_is_judged_by_its_logits_relative_to_each_other():
    real, fake = numbers(4, 3, 3, 1) + 1, numbers(4, 3, 3, 1, seed=1)
    found = [
        tuple(map(float, accuracies("wgan_gp", real + by, fake + by)))
        for by in (0, 100)
    ]
    assert found[0] == pytest.approx(found[1])
    assert min(found[0]) > 0.5


# === The Penalties ===


def test_a_linear_critic_is_penalised_by_its_slope():
    weights = numbers(*SHAPE[1:])
    length = float(tf.norm(weights))
    real, fake = numbers(*SHAPE, seed=1), numbers(*SHAPE, seed=2)
    found = gradient_penalty(linear(weights), real, fake, 0)
    assert float(found) == pytest.approx((length - 1) ** 2, rel=1e-5)
    found = r1_penalty(linear(weights), real)
    assert float(found) == pytest.approx(length**2 / 2, rel=1e-5)


def test_a_critic_of_slope_one_has_no_gradient_penalty():
    weights = tf.math.l2_normalize(numbers(*SHAPE[1:]))
    found = gradient_penalty(linear(weights), numbers(*SHAPE), logits(0), 0)
    assert float(found) == pytest.approx(0, abs=1e-10)


def test_a_flat_critic_s_penalties_are_finite_with_their_gradients():
    weights = tf.Variable(tf.zeros(SHAPE[1:]))
    real, fake = numbers(*SHAPE), numbers(*SHAPE, seed=1)
    with tf.GradientTape(persistent=True) as tape:
        wasserstein = gradient_penalty(linear(weights), real, fake, 0)
        r1 = r1_penalty(linear(weights), real)
    assert float(wasserstein) == pytest.approx(1, abs=1e-5)
    assert float(r1) == 0
    for penalty in (wasserstein, r1):
        assert np.isfinite(tape.gradient(penalty, weights)).all()


def test_the_gradient_penalty_teaches_the_critic_s_weights():
    weights = tf.Variable(numbers(*SHAPE[1:]))
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(
            linear(weights), numbers(*SHAPE, seed=1), numbers(*SHAPE, seed=2), 0
        )
    length = float(tf.norm(weights))
    np.testing.assert_allclose(
        tape.gradient(penalty, weights),
        2 * (length - 1) * weights.numpy() / length,
        rtol=1e-4,
    )


def test_r1_teaches_the_critic_s_weights():
    weights = tf.Variable(numbers(*SHAPE[1:]))
    real = numbers(*SHAPE, seed=1)

    def curved(photos):  # of gradient 2 w x
        return linear(weights)(photos * photos)

    with tf.GradientTape() as tape:
        penalty = r1_penalty(curved, real)
    w, x = weights.numpy(), real.numpy()
    squares = np.square(2 * w * x).sum((1, 2, 3))
    assert float(penalty) == pytest.approx(squares.mean() / 2, rel=1e-5)
    np.testing.assert_allclose(
        tape.gradient(penalty, weights),
        (4 * w * x**2).mean(0),
        rtol=1e-4,
    )


def each_pixel(photos):
    """A critic of single pixels, with a slope of 3."""
    return 3.0 * photos


@pytest.mark.parametrize("side", [1, 2, 4])
def test_r1_does_not_depend_on_how_many_logits_a_photo_has(side):
    photos = tf.zeros((2, side, side, 1))
    assert float(r1_penalty(each_pixel, photos)) == pytest.approx(3**2 / 2)


@pytest.mark.parametrize("side", [1, 2, 4])
def test_the_critic_of_a_photo_is_the_mean_of_its_logits(side):
    photos = tf.zeros((2, side, side, 1))
    length = 3 / side  # each of side^2 pixels moves the mean by 3 / side^2
    found = float(gradient_penalty(each_pixel, photos, photos, 0))
    assert found == pytest.approx((length - 1) ** 2, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_too_small_for_16_bits_are_penalised(dtype):
    slope = 2.0**-10  # of the sum: the mean's would be 2^-24 and less

    def each_pixel(photos):
        return tf.cast(tf.cast(photos, dtype) * slope, tf.float32)

    photos = tf.zeros((1, 256, 256, 1))
    found = float(r1_penalty(each_pixel, photos))
    assert found == pytest.approx(slope**2 / 2, rel=0.01)


def test_the_gradient_is_taken_at_random_places_on_the_way_between():
    seen = []

    def critic(photos):
        seen.append(photos.numpy())
        return photos[:, :1, :1, :1]

    real, fake = numbers(200, 1, 1, 2), numbers(200, 1, 1, 2, seed=1)
    gradient_penalty(critic, real, fake, 0)
    real, fake = real.numpy(), fake.numpy()
    shares = (seen[0] - real) / (fake - real)
    # One place for all of a photo.
    np.testing.assert_allclose(shares[..., 0], shares[..., 1], atol=1e-3)
    shares = np.sort(shares[:, 0, 0, 0])
    # Evenly: Kolmogorov's bound, at a risk of 0.0001.
    assert np.abs(shares - np.linspace(0, 1, 200)).max() < 2.2 / 200**0.5


def test_r1_is_measured_at_real_photos():
    real = numbers(5, 1, 1, 1)
    found = float(r1_penalty(lambda photos: photos**2, real))
    assert found == pytest.approx(
        float(tf.reduce_mean((2 * real) ** 2) / 2), rel=1e-5
    )
