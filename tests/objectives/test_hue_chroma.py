"""Tests for histograms of hue and of chroma."""

import numpy as np
import pytest
import tensorflow as tf

from kcolor.objectives.hue_chroma import HueChroma

pytestmark = pytest.mark.usefixtures("fresh_keras")


@pytest.mark.parametrize("ab", [(30.0, 0.0), (0.0, -50.0), (-20.0, 20.0)])
def test_histograms_that_hit_the_truth_decode_to_it(ab):
    objective = HueChroma()
    truth = np.float32(ab).reshape(1, 1, 1, 2)
    outputs = np.zeros((1, 1, 1, objective.channels), "float32")
    # The best outputs are the logarithms of the truth's own histograms: down
    # the gradient from nothing, in one step of full length.
    variable = tf.constant(outputs)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = HueChroma(hue_weight=134 / np.hypot(*ab)).losses(
            variable, truth
        )["loss"]
    histograms = 1 / 32 - np.array(tape.gradient(loss, variable))
    outputs = np.log(np.maximum(histograms, 1e-9))
    assert float(objective.losses(outputs, truth)["loss"]) < 1e-3
    decoded = np.array(objective.decode(outputs))[0, 0, 0]
    np.testing.assert_allclose(decoded, ab, atol=4)


def test_hue_and_chroma_of_a_draw_are_independent_for_one_seed(constant):
    objective = HueChroma()
    forward = constant(np.zeros((1, 1, 1, objective.channels), "float32"))
    draws = np.array([objective.sample(forward, s) for s in range(200)])
    a, b = draws.reshape(-1, 2).T
    correlation = np.corrcoef(np.arctan2(b, a) % (2 * np.pi), np.hypot(a, b))
    assert abs(correlation[0, 1]) < 0.25


def test_histograms_however_sure_decode_and_teach_to_finite_numbers(
    constant, random
):
    objective = HueChroma(chroma_transport=1.0)
    outputs = tf.constant(1e4 * random(1, 8, 8, objective.channels))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        losses = objective.train_losses(
            constant(outputs), random(1, 8, 8, 2), None
        )
    assert np.isfinite(objective.decode(outputs)).all()
    assert np.isfinite(tape.gradient(losses["loss"], outputs)).all()


def test_histograms_begin_with_the_colours_of_the_training_photos():
    counts = np.zeros((256, 256), int)
    counts[128 + 10, 128] = 30  # a little red
    counts[128, 128] = 20  # grey has no hue
    objective = HueChroma().adapt(counts)
    outputs = np.zeros((1, 1, 1, objective.channels), "float32")
    a, b = np.array(objective.decode(outputs))[0, 0, 0]
    assert 5 < a < 15
    assert abs(b) < 1
    again = HueChroma().restore(objective.state())
    np.testing.assert_array_equal(again.decode(outputs)[0, 0, 0], [a, b])
