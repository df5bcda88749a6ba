"""Tests for the objectives that know there is more than one answer."""

import keras
import numpy as np
import pytest

from kcolor.color import gamut_bins
from kcolor.forward import Forward
from kcolor.objectives import terms
from kcolor.objectives.ce import CrossEntropy
from kcolor.objectives.energy import energy_score
from kcolor.objectives.hue_chroma import HueChroma
from kcolor.objectives.mdn import MixtureDensity

pytestmark = pytest.mark.usefixtures("fresh_keras")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def constant(outputs):
    """Returns a forward whose network always gives the same outputs."""
    return Forward(lambda *_, **__: outputs, np.zeros((*outputs.shape[:3], 1)))


# === Mixtures ===


@pytest.mark.parametrize("components", [1, 3])
def test_the_likelihood_of_a_mixture_integrates_to_one(components):
    objective = MixtureDensity(components=components, least_sigma=2.0)
    outputs = 0.3 * random(1, 1, 1, objective.channels)
    axis = np.arange(-250, 250, 1.0, dtype="float32")
    plane = np.stack(np.meshgrid(axis, axis), -1)[None]
    outputs = np.broadcast_to(outputs, (1, 500, 500, objective.channels))
    density = np.exp(np.array(objective.log_density(outputs, plane), "float64"))
    assert density.sum() == pytest.approx(1, abs=1e-3)


def test_a_mixture_cannot_be_surer_than_its_least_sigma():
    objective = MixtureDensity(components=1, least_sigma=2.0)
    outputs = np.zeros((1, 1, 1, 5), "float32")
    outputs[..., 3:] = -1e9
    outputs[..., 1] = -20 / 16  # the centre onto grey
    nll = float(objective.losses(outputs, np.zeros((1, 1, 1, 2)))["nll"])
    assert nll == pytest.approx(np.log(2 * np.pi * 4), abs=1e-3)


def test_draws_of_a_mixture_have_its_mean():
    objective = MixtureDensity(components=3)
    outputs = np.broadcast_to(
        random(1, 1, 1, objective.channels), (4000, 1, 1, objective.channels)
    )
    draws = np.array(objective.sample(constant(outputs), 1))
    mean = np.array(objective.decode(outputs))[0, 0, 0]
    np.testing.assert_allclose(draws.mean((0, 1, 2)), mean, atol=3)


def test_the_mode_of_a_mixture_is_the_centre_of_its_highest_component():
    objective = MixtureDensity(components=2, answer="mode")
    outputs = np.zeros((1, 1, 1, 10), "float32")
    outputs[..., 5] = 3.0  # the second is likelier
    _, centres, _ = objective.mixture(outputs)
    np.testing.assert_allclose(
        objective.decode(outputs)[0, 0, 0], centres[0, 0, 0, 1]
    )


# === The energy score ===


def test_the_energy_score_prefers_the_truth_s_own_distribution():
    shape = (256, 8, 8, 2)
    truth, one, other = (10 * random(*shape, seed=s) for s in range(3))
    perfect = float(energy_score(one, other, truth))
    assert perfect < float(energy_score(one + 5, other + 5, truth))
    assert perfect < float(energy_score(0.5 * one, 0.5 * other, truth))
    assert perfect < float(energy_score(2 * one, 2 * other, truth))
    assert perfect < float(energy_score(0 * one, 0 * other, truth))


# === Classes ===


def test_hard_labels_are_the_entropy_of_the_nearest_bin():
    objective = CrossEntropy(labels="hard", rebalance=0.0)
    logits = random(2, 3, 3, 313)
    ab = np.broadcast_to(gamut_bins(313)[77], (2, 3, 3, 2)).astype("float32")
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert float(objective.losses(logits, ab)["loss"]) == pytest.approx(
        -np.log(shares[..., 77]).mean(), rel=1e-4
    )


def test_focal_loss_counts_likely_pixels_less():
    ab = np.zeros((1, 1, 1, 2), "float32")
    bin_of_grey = int((gamut_bins(313) ** 2).sum(-1).argmin())
    for sure, share in ((0.0, 0.9), (12.0, 0.01)):
        logits = np.zeros((1, 1, 1, 313), "float32")
        logits[..., bin_of_grey] = sure
        plain, focal = (
            float(
                CrossEntropy(labels="hard", rebalance=0.0, focal=gamma).losses(
                    logits, ab
                )["loss"]
            )
            for gamma in (0.0, 2.0)
        )
        assert (focal / plain > share) == (sure == 0)


def test_draws_of_classes_have_their_shares():
    objective = CrossEntropy()
    logits = np.full((4000, 1, 1, 313), -30.0, "float32")
    logits[..., 10], logits[..., 200] = np.log(0.3), np.log(0.7)
    draws = np.array(objective.sample(constant(logits), 0))[:, 0, 0]
    is_first = (draws == gamut_bins(313)[10]).all(-1)
    is_second = (draws == gamut_bins(313)[200]).all(-1)
    assert (is_first | is_second).all()
    assert is_first.mean() == pytest.approx(0.3, abs=0.03)


# === Hue and chroma ===


@pytest.mark.parametrize("ab", [(30.0, 0.0), (0.0, -50.0), (-20.0, 20.0)])
def test_histograms_that_hit_the_truth_decode_to_it(ab):
    objective = HueChroma()
    outputs = keras.Variable(np.zeros((1, 1, 1, objective.channels)))
    truth = np.float32(ab).reshape(1, 1, 1, 2)
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(0.3)
    for _ in range(300):
        with tf.GradientTape() as tape:
            loss = objective.losses(outputs, truth)["loss"]
        optimizer.apply([tape.gradient(loss, outputs.value)], [outputs])
    assert float(loss) < 0.1
    decoded = np.array(objective.decode(outputs))[0, 0, 0]
    np.testing.assert_allclose(decoded, ab, atol=4)


# === Added terms ===


def test_transport_does_not_ask_where_a_colour_is():
    ab = 20 * random(2, 16, 16, 2)
    moved = ab.reshape(-1, 2)[::-1].reshape(ab.shape)
    assert float(terms.chroma_transport(moved, ab)) == pytest.approx(0)
    shifted = ab + np.float32([3, 0])
    expected = 3 * np.abs(np.cos(np.pi * np.arange(8) / 8)).mean()
    assert float(terms.chroma_transport(shifted, ab)) == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize("name", ["chroma_transport", "colorfulness"])
def test_any_objective_can_carry_a_term(name):
    ab = 20 * random(2, 8, 8, 2)
    for kind in (CrossEntropy, MixtureDensity, HueChroma):
        plain, carrying = kind(), kind(**{name: 2.0})
        if kind is CrossEntropy:
            plain = CrossEntropy(rebalance=0.0)
            carrying = CrossEntropy(rebalance=0.0, **{name: 2.0})
        outputs = random(2, 8, 8, plain.channels)
        losses = carrying.train_losses(constant(outputs), ab, None)
        assert set(losses) == set(carrying.logged)
        alone = plain.train_losses(constant(outputs), ab, None)
        assert float(losses["loss"]) == pytest.approx(
            float(alone["loss"]) + 2 * float(losses[name]), rel=1e-5
        )
