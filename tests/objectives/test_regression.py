"""Tests for the objectives whose network gives ab itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.objectives.l1 import L1
from kcolor.objectives.l2 import L2
from kcolor.objectives.regression import SCALE
from kcolor.objectives.smooth_l1 import SmoothL1

pytestmark = pytest.mark.usefixtures("fresh_keras")

DELTAS = (0.25, 1.0, 7.0)
REGRESSIONS = [L2(), L1(), *(SmoothL1(delta) for delta in DELTAS)]
EVERY = pytest.mark.parametrize("objective", REGRESSIONS, ids=repr)


def twin(objective, difference):
    """Returns the penalty as a textbook has it, one number at a time."""
    size = abs(difference)
    if isinstance(objective, L2):
        return size * size
    if isinstance(objective, L1):
        return size
    if size < objective.delta:
        return 0.5 * size * size / objective.delta
    return size - 0.5 * objective.delta


def photo(seed=0, shape=(2, 5, 7, 2)):
    random = np.random.default_rng(seed)
    return random.uniform(-100, 100, shape).astype("float32")


def loss_of(objective, prediction, truth):
    losses = objective.losses(np.float32(prediction / SCALE), truth)
    assert set(losses) == set(objective.logged)
    return float(losses["loss"])


def penalties(objective, differences):
    return np.array(objective.penalty(tf.constant(differences, "float32")))


@EVERY
def test_the_loss_is_the_mean_of_the_numpy_twin(objective):
    prediction, truth = photo(seed=1), photo(seed=2)
    errors = (prediction.astype("float64") - truth).ravel()
    expected = np.mean([twin(objective, error) for error in errors])
    assert loss_of(objective, prediction, truth) == pytest.approx(
        expected, rel=1e-5
    )


@EVERY
def test_perfect_outputs_give_no_loss_and_any_error_gives_some(objective):
    truth = photo()
    # SCALE is a power of two: nothing is rounded.
    assert loss_of(objective, truth, truth) == 0
    for change in (-1, 1):
        wrong = truth.copy()
        wrong[0, 0, 0, 0] += change
        assert loss_of(objective, wrong, truth) > 0


@EVERY
def test_the_loss_knows_no_sign_no_channel_and_no_place(objective):
    prediction, truth = photo(seed=1), photo(seed=2)
    loss = loss_of(objective, prediction, truth)
    for change in (
        np.negative,
        lambda ab: ab[..., ::-1],
        lambda ab: ab[::-1, ::-1, ::-1],
    ):
        assert loss_of(
            objective, change(prediction), change(truth)
        ) == pytest.approx(loss, rel=1e-5)


@EVERY
def test_decode_gives_float32_ab_in_the_shape_of_a_photo(objective):
    outputs = photo() / SCALE
    for dtype in ("float32", "bfloat16", "float16"):
        ab = objective.decode(keras.ops.cast(outputs, dtype))
        assert keras.backend.standardize_dtype(ab.dtype) == "float32"
        assert ab.shape == outputs.shape[:-1] + (2,)
        np.testing.assert_allclose(ab, photo(), rtol=2**-8)
    assert objective.channels == 2


@EVERY
def test_half_precision_outputs_lose_no_more_than_their_rounding(objective):
    # In bfloat16 itself, the mean of so many would be far off.
    truth = photo(shape=(4, 32, 32, 2))
    outputs = keras.ops.cast(photo(1, truth.shape) / SCALE, "bfloat16")
    rounded = np.array(keras.ops.cast(outputs, "float32"))
    assert float(objective.losses(outputs, truth)["loss"]) == pytest.approx(
        float(objective.losses(rounded, truth)["loss"]), rel=1e-6
    )


@pytest.mark.parametrize(
    ("objective", "best"),
    [(L2(), np.mean), (L1(), np.median)],
    ids=["l2", "l1"],
)
def test_the_best_constant_is_the_mean_for_l2_and_the_median_for_l1(
    objective, best
):
    # Skewed, so that mean and median differ.
    truth = np.random.default_rng(0).exponential(20, 501).astype("float32")
    truth = truth.reshape(1, 1, -1, 1).repeat(2, -1)
    constants = best(truth) + np.arange(-8, 9)
    losses = [
        loss_of(objective, np.full_like(truth, constant), truth)
        for constant in constants
    ]
    assert constants[np.argmin(losses)] == best(truth)


@pytest.mark.parametrize("delta", DELTAS)
def test_smooth_l1_is_quadratic_within_delta_and_absolute_beyond(delta):
    within = np.linspace(-delta, delta, 41)
    np.testing.assert_allclose(
        penalties(SmoothL1(delta), within), within**2 / (2 * delta), rtol=1e-5
    )
    beyond = delta + np.linspace(0, 50, 41)
    for side in (-beyond, beyond):
        np.testing.assert_allclose(
            penalties(SmoothL1(delta), side), beyond - delta / 2, rtol=1e-5
        )


def test_smooth_l1_tends_to_l1_as_delta_tends_to_zero():
    errors = np.linspace(-20, 20, 401)
    for delta in (1.0, 0.1, 0.01, 1e-4):
        gaps = np.abs(errors) - penalties(SmoothL1(delta), errors)
        assert gaps.min() >= -1e-5
        assert gaps.max() == pytest.approx(delta / 2, rel=0.05, abs=1e-5)


@pytest.mark.parametrize("delta", DELTAS)
def test_smooth_l1_and_its_slope_are_continuous_everywhere(delta):
    errors = tf.constant(np.linspace(-2 * delta, 2 * delta, 801), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(errors)
        values = SmoothL1(delta).penalty(errors)
    slopes = tape.gradient(values, errors)
    np.testing.assert_allclose(
        slopes, np.clip(errors / delta, -1, 1), atol=1e-5
    )
    step = 4 * delta / 800  # the slope is at most 1
    assert np.abs(np.diff(values)).max() <= step * 1.001


@EVERY
def test_gradients_are_finite_at_no_error_and_at_huge_ones(objective):
    errors = tf.constant([0.0, 1e-20, -1e-20, 1e6, -1e6])
    with tf.GradientTape() as tape:
        tape.watch(errors)
        values = objective.penalty(errors)
    slopes = tape.gradient(values, errors).numpy()
    assert np.isfinite(slopes).all()
    assert slopes[0] == 0
    assert (np.sign(slopes[3:]) == [1, -1]).all()


@EVERY
def test_there_is_nothing_to_adapt(objective, histogram):
    assert objective.adapt(histogram) == objective
    assert objective.state() == {}
    assert objective.restore({}) == objective
