"""Tests for the objectives that know there is more than one answer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kcolor.color import gamut_bins
from kcolor.errors import UserError
from kcolor.forward import Forward
from kcolor.models.architecture import Architecture
from kcolor.objectives import terms
from kcolor.objectives.ce import CrossEntropy
from kcolor.objectives.energy import energy_score
from kcolor.objectives.flow import Flow
from kcolor.objectives.hue_chroma import HueChroma
from kcolor.objectives.mdn import MixtureDensity

pytestmark = pytest.mark.usefixtures("fresh_keras")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def constant(outputs):
    """Returns a forward whose network always gives the same outputs."""
    lightness = np.zeros((*outputs.shape[:3], 1))
    return Forward(lambda *_, **__: outputs, Architecture(), lightness)


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


def test_one_photo_s_draws_of_a_mixture_have_its_mean_over_seeds():
    objective = MixtureDensity(components=3)
    outputs = random(1, 1, 1, objective.channels)
    draws = [objective.sample(constant(outputs), s) for s in range(600)]
    mean = np.array(objective.decode(outputs))[0, 0, 0]
    np.testing.assert_allclose(np.mean(draws, (0, 1, 2, 3)), mean, atol=4)


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


def test_the_energy_score_takes_sizes_that_only_the_graph_knows():
    shape = tf.TensorSpec((None, None, None, 2))
    scored = tf.function(energy_score, input_signature=[shape] * 3)
    parts = [random(2, 7, 9, 2, seed=seed) for seed in range(3)]
    assert float(scored(*parts)) == pytest.approx(float(energy_score(*parts)))


# === Flow ===


class Straight:
    """A network that knows the truth, and the velocity that leads there."""

    def __init__(self, truth):
        self.truth = truth
        self.lightness = []

    def __call__(self, inputs, training=False):
        lightness, between, time = tf.split(inputs, [1, 2, 1], axis=-1)
        self.lightness.append(lightness)
        return (self.truth - between) / tf.maximum(1 - time, 1e-3)


def test_a_flow_ends_where_true_velocities_lead():
    truth = np.broadcast_to(np.float32([1.5, -0.5]), (2, 9, 12, 2))
    lightness = random(2, 9, 12, 1)
    flow = Flow(grid=4, flow_steps=32)
    network = Straight(truth)
    forward = Forward(network, Architecture(), lightness)
    ends = (flow.predict(forward), flow.sample(forward, 1))
    for end in ends:
        np.testing.assert_allclose(end, 16 * truth, atol=1.5)
    # Each step asks about the true lightness, never a noised one.
    assert len(network.lightness) == 2 * 2 * 32
    for seen in network.lightness:
        np.testing.assert_array_equal(seen, lightness)


def test_a_flow_that_knows_the_velocities_has_next_to_no_loss():
    truth = np.broadcast_to(np.float32([1.5, -0.5]), (64, 8, 8, 2))
    flow = Flow(grid=4)
    forward = Forward(Straight(truth), Architecture(), random(64, 8, 8, 1))
    seeds = keras.random.SeedGenerator(0)
    known = flow.train_losses(forward, 16 * truth, seeds)["loss"]
    wrong = flow.train_losses(forward, 16 * truth + 16, seeds)["loss"]
    assert float(known) < 0.02 < float(wrong)


def test_the_coarse_grid_of_a_flow_lies_on_the_photo_s_own_squares():
    flow, lightness = Flow(grid=4, flow_steps=1), np.zeros((1, 10, 8, 1))
    asked = []

    def network(inputs, training=False):
        asked.append(np.array(inputs)[..., 1:3])
        return np.zeros((1, 10, 8, 2), "float32")

    flow.sample(Forward(network, Architecture(), lightness), 0)
    for start in (0, 4, 8):
        square = asked[0][0, start : start + 4, :4]
        assert (square == square[0, 0]).all()


# === Classes ===


def test_the_density_of_classes_integrates_to_one(histogram):
    objective = CrossEntropy().adapt(histogram)
    axis = np.arange(-120, 120, 0.5, dtype="float32") + 0.25
    plane = np.stack(np.meshgrid(axis, axis), -1).reshape(1, -1, 1, 2)
    squares = {tuple(centre) for centre in gamut_bins(313)}
    is_in_one = [
        tuple(centre) in squares
        for centre in 10 * np.round(plane / 10).reshape(-1, 2)
    ]
    outputs = np.broadcast_to(random(313), (*plane.shape[:3], 313))
    density = np.exp(np.array(objective.log_density(outputs, plane)))
    assert density.ravel()[is_in_one].sum() * 0.25 == pytest.approx(1, abs=0.05)


def test_rebalancing_is_taken_back_in_density_and_draws(histogram):
    """Networks that know nothing but the weighted prior know the prior."""
    objective = CrossEntropy(rebalance=1.0).adapt(histogram)
    outputs = np.zeros((5000, 1, 1, 313), "float32")
    draws = np.array(objective.sample(constant(outputs), 0)).reshape(-1, 2)
    is_grey = (np.abs(draws) <= 10).all(-1).mean()
    bins = gamut_bins(313)
    expected = np.array(objective.prior)[(np.abs(bins) <= 10).all(-1)].sum()
    assert is_grey == pytest.approx(expected, abs=0.03)
    losses = objective.losses(outputs[:1], np.zeros((1, 1, 1, 2), "float32"))
    of_grey = objective.prior[int((bins**2).sum(-1).argmin())]
    assert float(losses["nll"]) == pytest.approx(
        -np.log(of_grey / 100), rel=1e-4
    )


def test_draws_of_classes_that_differ_little_differ_little():
    ramp = np.linspace(0, 1, 64).reshape(1, 1, 64, 1)
    centre = np.concatenate([20 + 10 * ramp, 10 * ramp], -1)
    distances = ((gamut_bins(313) - centre[..., None, :]) ** 2).sum(-1)
    objective = CrossEntropy(rebalance=0.0)
    forward = constant(np.float32(-distances / 300))
    for seed in range(10):
        drawn = np.array(objective.sample(forward, seed))[0, 0]
        steps = np.abs(np.diff(drawn, axis=0)).max(-1)
        assert np.quantile(steps, 0.9) <= 10


def test_terms_that_could_teach_nothing_are_refused():
    with pytest.raises(UserError, match="--temperature"):
        CrossEntropy(temperature=0.0, chroma_gap=1.0)
    CrossEntropy(temperature=0.0)


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


def test_hue_and_chroma_of_a_draw_are_independent_for_one_seed():
    objective = HueChroma()
    forward = constant(np.zeros((1, 1, 1, objective.channels), "float32"))
    draws = np.array([objective.sample(forward, s) for s in range(200)])
    a, b = draws.reshape(-1, 2).T
    correlation = np.corrcoef(np.arctan2(b, a) % (2 * np.pi), np.hypot(a, b))
    assert abs(correlation[0, 1]) < 0.25


def test_histograms_however_sure_decode_and_teach_to_finite_numbers():
    objective = HueChroma(chroma_transport=1.0)
    outputs = tf.constant(1e4 * random(1, 8, 8, objective.channels))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        losses = objective.train_losses(
            constant(outputs), random(1, 8, 8, 2), None
        )
    assert np.isfinite(objective.decode(outputs)).all()
    assert np.isfinite(tape.gradient(losses["loss"], outputs)).all()


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


@pytest.mark.parametrize("shape", [(64, 32, 32), (8, 64, 64)])
def test_transport_looks_at_all_columns_of_large_batches(shape):
    column = np.broadcast_to(np.arange(shape[-1]), shape)
    ab = np.stack([column, 0 * column], -1).astype("float32")
    seen = np.unique(np.array(terms._spread(ab))[:, 0])
    assert len(seen) == shape[-1]


@pytest.mark.parametrize("name", ["chroma_transport", "chroma_gap"])
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
