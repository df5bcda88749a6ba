"""Tests for the energy score."""

import numpy as np
import pytest
import tensorflow as tf

from kcolor.forward import Forward
from kcolor.models.architecture import Architecture
from kcolor.objectives.energy import EnergyScore, energy_score

pytestmark = pytest.mark.usefixtures("fresh_keras")


def test_the_energy_score_prefers_the_truth_s_own_distribution(random):
    shape = (256, 8, 8, 2)
    truth, one, other = (10 * random(*shape, seed=s) for s in range(3))
    perfect = float(energy_score(one, other, truth))
    assert perfect < float(energy_score(one + 5, other + 5, truth))
    assert perfect < float(energy_score(0.5 * one, 0.5 * other, truth))
    assert perfect < float(energy_score(2 * one, 2 * other, truth))
    assert perfect < float(energy_score(0 * one, 0 * other, truth))


def test_the_energy_score_takes_sizes_that_only_the_graph_knows(random):
    shape = tf.TensorSpec((None, None, None, 2))
    scored = tf.function(energy_score, input_signature=[shape] * 3)
    parts = [random(2, 7, 9, 2, seed=seed) for seed in range(3)]
    assert float(scored(*parts)) == pytest.approx(float(energy_score(*parts)))


@pytest.mark.parametrize("draws", [2, 4, 64])
def test_tints_that_noise_gives_cancel_out_in_the_one_answer(draws, random):
    lightness = random(2, 8, 8, 1)

    def tinted(inputs, training=False):
        return inputs[..., 1:3]  # as its noise says

    forward = Forward(tinted, Architecture(), lightness)
    answer = EnergyScore(draws=draws).predict(forward)
    np.testing.assert_allclose(answer, 0, atol=1e-4)
