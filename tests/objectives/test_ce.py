"""Tests for `kcolor.objectives.ce`."""

import json

import keras
import numpy as np
import pytest
import scipy.spatial
import scipy.special
import tensorflow as tf

from kcolor.color import gamut_bins
from kcolor.errors import UserError
from kcolor.objectives.ce import CrossEntropy, _expected, soft_encoding

pytestmark = pytest.mark.usefixtures("fresh_keras")

BINS = pytest.mark.parametrize("bins", [313, 261])
REBALANCE = pytest.mark.parametrize("rebalance", [0.0, 0.3, 0.5, 1.0])
# One colour, or two far apart, is all that these histograms hold.
GREY = np.zeros((256, 256))
GREY[128, 128] = 10
FAR_APART = np.zeros((256, 256))
FAR_APART[0, 0] = FAR_APART[255, 255] = 3


def distances_to_bins(ab, bins):
    """Returns the distance of each ab (n, 2) to each bin: (n, bins)."""
    return np.sqrt(((ab[:, None] - gamut_bins(bins)) ** 2.0).sum(-1))


def colours_without_ties(count, bins, seed=0):
    """Returns whole ab (count, 2) with one answer to which bins are nearest."""
    random = np.random.default_rng(seed)
    ab = random.integers(-128, 128, (20 * count, 2)).astype("float64")
    ranked = np.sort(distances_to_bins(ab, bins), -1)
    clear = (np.diff(ranked[:, :6], axis=-1)[:, [0, 4]] > 0).all(-1)
    assert clear.sum() >= count
    return ab[clear][:count]


def dense_target(ab, bins):
    """Returns the soft encoding as the paper tells it: (n, bins)."""
    distances = distances_to_bins(ab, bins)
    target = scipy.special.softmax(-(distances**2) / (2 * 5.0**2), -1)
    fifth = np.sort(distances, -1)[:, 4:5]
    target[distances > fifth] = 0
    return target / target.sum(-1, keepdims=True)


def logits_for(shape, bins, spread=3.0, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(0, spread, (*shape, bins)).astype("float32")


def pixels_of(histogram, count=4000):
    """Returns (1, count, 1, 2) pixels, drawn from it, and their histogram."""
    random = np.random.default_rng(0)
    shares = histogram.ravel() / histogram.sum()
    cells = random.choice(shares.size, count, p=shares)
    drawn = np.bincount(cells, minlength=shares.size).reshape(256, 256)
    ab = np.stack(np.divmod(cells, 256), -1) - 128.0
    return ab.reshape(1, count, 1, 2).astype("float32"), drawn


# === Soft encoding ===


@BINS
def test_soft_encoding_sums_to_one_nearest_bin_first(bins):
    indices, shares = soft_encoding(bins)
    assert indices.shape == shares.shape == (256 * 256, 5)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-6)
    assert (shares >= 0).all()
    assert (np.diff(shares, axis=-1) <= 0).all()
    assert indices.min() >= 0
    assert indices.max() < bins
    ranked = np.sort(indices, -1)
    assert (np.diff(ranked, axis=-1) > 0).all()  # five different bins


@BINS
def test_soft_encoding_agrees_with_brute_force(bins):
    random = np.random.default_rng(1)
    ab = random.integers(-128, 128, (3000, 2))
    rows = 256 * (ab[:, 0] + 128) + ab[:, 1] + 128
    indices, shares = (table[rows] for table in soft_encoding(bins))
    distances = distances_to_bins(ab, bins)
    # Equally far bins may stand for one another, so distances are compared.
    nearest = np.sort(distances, -1)[:, :5]
    np.testing.assert_allclose(
        np.take_along_axis(distances, indices, -1), nearest, atol=1e-5
    )
    expected = scipy.special.softmax(-(nearest**2) / 50, -1)
    np.testing.assert_allclose(shares, expected, atol=1e-6)


@BINS
def test_each_bin_is_the_nearest_of_its_own_centre(bins):
    centres = gamut_bins(bins).astype(int)
    rows = 256 * (centres[:, 0] + 128) + centres[:, 1] + 128
    indices, shares = (table[rows] for table in soft_encoding(bins))
    np.testing.assert_array_equal(indices[:, 0], np.arange(bins))
    assert (shares[:, 0] > 0.5).all()


# === The prior and the weights ===


@BINS
@pytest.mark.parametrize("colours", ["photos", "grey", "far_apart"])
def test_the_prior_is_positive_and_sums_to_one(bins, colours, histogram):
    seen = {"photos": histogram, "grey": GREY, "far_apart": FAR_APART}[colours]
    prior = np.array(CrossEntropy(bins=bins).adapt(seen).prior)
    assert prior.shape == (bins,)
    assert prior.min() > 0
    assert prior.sum() == pytest.approx(1, abs=1e-9)
    nearest = soft_encoding(bins)[0][:, 0]
    counts = np.bincount(nearest, seen.ravel(), minlength=bins)
    assert counts[prior.argmax()] == counts.max()


def test_the_prior_knows_shares_not_counts(histogram):
    once = CrossEntropy().adapt(histogram)
    many = CrossEntropy().adapt(1000 * histogram)
    np.testing.assert_allclose(once.prior, many.prior, rtol=1e-9)


def test_the_prior_is_smoothed_over_neighbouring_bins():
    prior = np.array(CrossEntropy().adapt(GREY).prior)
    distances = np.linalg.norm(gamut_bins(313), axis=-1)
    near = prior[distances == 10]
    assert len(near) == 4
    np.testing.assert_allclose(near, near[0])
    # A Gaussian of 5 at a distance of 10.
    assert near[0] / prior[distances == 0][0] == pytest.approx(
        np.exp(-2), rel=1e-3
    )


@BINS
@REBALANCE
@pytest.mark.parametrize("colours", ["photos", "grey"])
def test_weights_are_one_in_the_mean_of_the_smoothed_prior(
    bins, rebalance, colours, histogram
):
    seen = histogram if colours == "photos" else GREY
    objective = CrossEntropy(bins=bins, rebalance=rebalance).adapt(seen)
    weights = objective.class_weights()
    assert np.isfinite(weights).all()
    assert weights.min() > 0
    assert objective.prior @ weights == pytest.approx(1, rel=1e-5)


@BINS
def test_weights_are_zhangs_with_one_minus_lambda_for_rebalance(
    bins, histogram
):
    for rebalance in (0.25, 0.5, 0.9):
        objective = CrossEntropy(bins=bins, rebalance=rebalance)
        objective = objective.adapt(histogram)
        prior, uniform = np.array(objective.prior), 1 / bins
        lam = 1 - rebalance
        weights = 1 / ((1 - lam) * prior + lam * uniform)
        np.testing.assert_allclose(
            objective.class_weights(),
            weights / (prior * weights).sum(),
            rtol=1e-5,
        )


def test_without_rebalancing_every_bin_weighs_one(histogram):
    for objective in (
        CrossEntropy(rebalance=0.0),
        CrossEntropy(rebalance=0.0).adapt(histogram),
    ):
        np.testing.assert_array_equal(objective.class_weights(), 1)
        losses = objective.losses(
            logits_for((2, 3, 4), 313), np.zeros((2, 3, 4, 2), "float32")
        )
        assert float(losses["loss"]) == float(losses["cross_entropy"])


def test_full_rebalancing_gives_every_bin_the_same_total_weight(histogram):
    objective = CrossEntropy(rebalance=1.0).adapt(histogram)
    totals = objective.prior * objective.class_weights()
    np.testing.assert_allclose(totals, 1 / 313, rtol=1e-5)


def test_more_rebalancing_favours_rare_colours_more(histogram):
    spreads = []
    for rebalance in (0.0, 0.3, 0.6, 1.0):
        objective = CrossEntropy(rebalance=rebalance).adapt(histogram)
        weights = objective.class_weights()
        order = np.argsort(objective.prior)
        assert (np.diff(weights[order]) <= 1e-5 * weights[order][1:]).all()
        spreads.append(weights.max() / weights.min())
    assert (np.diff(spreads) > 0).all()


def test_rebalancing_without_a_prior_is_an_error_before_any_number():
    objective = CrossEntropy(rebalance=0.5)
    with pytest.raises(ValueError, match="adapt"):
        objective.class_weights()
    with pytest.raises(ValueError, match="adapt"):
        objective.losses(
            logits_for((1, 2, 2), 313), np.zeros((1, 2, 2, 2), "float32")
        )


def test_decoding_needs_no_prior():
    outputs = logits_for((1, 4, 4), 313)
    np.testing.assert_array_equal(
        CrossEntropy(rebalance=0.5).decode(outputs),
        CrossEntropy(rebalance=0.0).decode(outputs),
    )


@BINS
def test_what_adapt_learnt_survives_the_models_file(bins, histogram):
    fresh = CrossEntropy(bins=bins, rebalance=0.7, temperature=0.5)
    adapted = fresh.adapt(histogram)
    state = json.loads(json.dumps(adapted.state()))
    assert fresh.restore(state) == adapted
    assert fresh.state() == {}
    assert fresh.restore({}) == fresh
    assert fresh.prior is None  # adapt gives a new one


# === The loss ===


@BINS
@REBALANCE
def test_the_loss_is_the_cross_entropy_with_a_dense_target(
    bins, rebalance, histogram
):
    objective = CrossEntropy(bins=bins, rebalance=rebalance).adapt(histogram)
    ab = colours_without_ties(60, bins)
    outputs = logits_for((60,), bins)

    prior = np.array(objective.prior)
    weights = 1 / (rebalance * prior + (1 - rebalance) / bins)
    weights /= (prior * weights).sum()
    logits = outputs.astype("float64") + np.log(weights * prior)
    entropies = -np.sum(
        dense_target(ab, bins) * scipy.special.log_softmax(logits, -1), -1
    )
    nearest = distances_to_bins(ab, bins).argmin(-1)

    losses = objective.losses(
        outputs.reshape(3, 4, 5, bins),
        ab.reshape(3, 4, 5, 2).astype("float32"),
    )
    assert set(losses) == set(objective.logged)
    assert float(losses["cross_entropy"]) == pytest.approx(
        entropies.mean(), rel=1e-5
    )
    assert float(losses["loss"]) == pytest.approx(
        (weights[nearest] * entropies).mean(), rel=1e-5
    )


@BINS
def test_knowing_nothing_costs_the_logarithm_of_the_bins(bins):
    objective = CrossEntropy(bins=bins, rebalance=0.0)
    ab = np.random.default_rng(0).uniform(-90, 90, (2, 5, 5, 2))
    losses = objective.losses(
        np.zeros((2, 5, 5, bins), "float32"), ab.astype("float32")
    )
    assert float(losses["loss"]) == pytest.approx(np.log(bins), rel=1e-6)


def test_chroma_between_whole_numbers_counts_as_the_nearest_whole():
    objective = CrossEntropy(rebalance=0.0)
    outputs = logits_for((1, 6, 6), 313)
    random = np.random.default_rng(0)
    whole = random.integers(-100, 100, (1, 6, 6, 2)).astype("float32")
    moved = whole + random.uniform(-0.49, 0.49, whole.shape).astype("float32")
    exact, near = (
        float(objective.losses(outputs, ab)["loss"]) for ab in (whole, moved)
    )
    assert exact == near


@BINS
def test_chroma_far_outside_the_gamut_costs_a_finite_loss(bins, histogram):
    objective = CrossEntropy(bins=bins).adapt(histogram)
    ab = np.array(
        [(a, b) for a in (-200, 0, 200) for b in (-200, 0, 200)], "float32"
    ).reshape(1, 3, 3, 2)
    outputs = logits_for((1, 3, 3), bins)
    far = objective.losses(outputs, ab)
    edge = objective.losses(outputs, np.clip(ab, -128, 127))
    for name in objective.logged:
        assert np.isfinite(float(far[name]))
        assert float(far[name]) == float(edge[name])


def test_huge_logits_cost_a_finite_loss_with_finite_gradients(histogram):
    objective = CrossEntropy().adapt(histogram)
    outputs = tf.constant(logits_for((1, 4, 4), 313, spread=1e4))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = objective.losses(outputs, tf.zeros((1, 4, 4, 2)))["loss"]
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, outputs)).all()


def test_half_precision_logits_are_summed_in_float32(histogram):
    objective = CrossEntropy().adapt(histogram)
    ab = colours_without_ties(64, 313).reshape(1, 8, 8, 2).astype("float32")
    half = keras.ops.cast(logits_for((1, 8, 8), 313), "bfloat16")
    rounded = keras.ops.cast(half, "float32")
    for name in objective.logged:
        low, full = (objective.losses(z, ab)[name] for z in (half, rounded))
        assert keras.backend.standardize_dtype(low.dtype) == "float32"
        assert float(low) == float(full)
    np.testing.assert_array_equal(
        objective.decode(half), objective.decode(rounded)
    )


@BINS
@pytest.mark.parametrize("rebalance", [0.0, 0.3, 0.5])
def test_outputs_of_zero_are_nearly_the_best_constant_answer(
    bins, rebalance, histogram
):
    ab, drawn = pixels_of(histogram)
    objective = CrossEntropy(bins=bins, rebalance=rebalance).adapt(drawn)

    def loss_and_gradient(offset):
        offset = tf.constant(offset, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(offset)
            outputs = tf.broadcast_to(offset, (*ab.shape[:-1], bins))
            loss = objective.losses(outputs, ab)["loss"]
        return float(loss), np.abs(tape.gradient(loss, offset)).sum()

    # What takes the prior out again, so that all bins are as likely.
    uniform = -np.log(np.array(objective.prior) * objective.class_weights())
    # Softmax of the weighted mean target: no constant can do better.
    rows = 256 * (ab[..., 0] + 128) + ab[..., 1] + 128
    indices, shares = (
        table[rows.astype(int).ravel()] for table in soft_encoding(bins)
    )
    weights = objective.class_weights()[indices[:, :1]] * shares
    target = np.bincount(indices.ravel(), weights.ravel(), minlength=bins)
    best = uniform + np.log(np.maximum(target / target.sum(), 1e-9))

    zero_loss, zero_gradient = loss_and_gradient(np.zeros(bins))
    uniform_loss, uniform_gradient = loss_and_gradient(uniform)
    best_loss, best_gradient = loss_and_gradient(best)
    assert best_gradient < 1e-3
    # Not quite: the prior is smoothed otherwise than the targets are.
    assert -1e-5 <= zero_loss - best_loss < 0.05 * (uniform_loss - best_loss)
    assert zero_gradient < 0.15 * uniform_gradient


# === Decoding ===


def numpy_mean(outputs, bins, temperature):
    shares = scipy.special.softmax(outputs.astype("float64") / temperature, -1)
    return shares @ gamut_bins(bins)


@BINS
@pytest.mark.parametrize("temperature", [0.1, 0.38, 1.0])
def test_decoding_is_the_mean_of_the_sharpened_softmax(bins, temperature):
    outputs = logits_for((2, 3, 4), bins)
    objective = CrossEntropy(bins=bins, temperature=temperature)
    np.testing.assert_allclose(
        objective.decode(outputs),
        numpy_mean(outputs, bins, temperature),
        atol=1e-3,
    )


def test_saturation_is_a_factor_on_the_answer_and_none_on_draws(
    histogram, constant
):
    outputs = np.random.default_rng(0).normal(0, 3, (1, 4, 4, 313))
    plain, bold = (
        CrossEntropy(saturation=factor).adapt(histogram) for factor in (1, 1.5)
    )
    np.testing.assert_allclose(
        bold.decode(outputs), 1.5 * plain.decode(outputs), rtol=1e-5
    )
    one, other = (o.sample(constant(outputs), 3) for o in (plain, bold))
    np.testing.assert_array_equal(one, other)


def test_temperature_one_is_the_expectation(histogram):
    objective = CrossEntropy(rebalance=0.0, temperature=1.0).adapt(histogram)
    ab = objective.decode(np.zeros((1, 1, 1, 313), "float32"))
    expected = np.array(objective.prior) @ gamut_bins(313)
    np.testing.assert_allclose(np.array(ab).ravel(), expected, atol=1e-3)


@BINS
def test_temperature_zero_is_the_mode(bins):
    outputs = logits_for((2, 3, 4), bins)
    ab = CrossEntropy(bins=bins, temperature=0).decode(outputs)
    np.testing.assert_array_equal(ab, gamut_bins(bins)[outputs.argmax(-1)])


@pytest.mark.parametrize("temperature", [1e-45, 1e-38, 1e-30])
def test_a_temperature_next_to_zero_gives_the_mode(temperature):
    outputs = np.random.default_rng(0).normal(0, 100, (2, 4, 4, 313))
    mode = np.array(CrossEntropy(temperature=0).decode(outputs))
    almost = np.array(CrossEntropy(temperature=temperature).decode(outputs))
    np.testing.assert_array_equal(almost, mode)


def test_low_temperatures_approach_the_mode():
    outputs = logits_for((4, 8, 8), 313)
    mode = np.array(CrossEntropy(temperature=0).decode(outputs))
    gaps = [
        np.abs(CrossEntropy(temperature=t).decode(outputs) - mode).mean()
        for t in (1.0, 0.38, 0.1, 0.01, 1e-4)
    ]
    assert (np.diff(gaps) < 0).all()
    assert gaps[-1] < 0.1


@BINS
@pytest.mark.parametrize("temperature", [0.0, 0.01, 0.38, 1.0, 50.0])
def test_decoded_colours_lie_among_the_bins(bins, temperature, histogram):
    objective = CrossEntropy(bins=bins, temperature=temperature)
    hull = scipy.spatial.ConvexHull(gamut_bins(bins)).equations
    for adapted in (objective, objective.adapt(histogram)):
        for spread in (0.0, 1.0, 100.0, 1e4):
            outputs = logits_for((1, 8, 8), bins, spread)
            ab = np.array(adapted.decode(outputs)).reshape(-1, 2)
            assert (ab @ hull[:, :2].T + hull[:, 2] <= 1e-2).all()


@BINS
@pytest.mark.parametrize("temperature", [0.0, 0.38])
def test_sure_and_right_logits_decode_to_the_truth_within_a_bin(
    bins, temperature
):
    ab = gamut_bins(bins)
    outputs = np.log(dense_target(ab.astype("float64"), bins) + 1e-9)
    decoded = CrossEntropy(bins=bins, temperature=temperature).decode(
        outputs.astype("float32")
    )
    assert np.abs(decoded - ab).max() < 5


# === Several answers ===


def test_the_density_of_classes_integrates_to_one(histogram, random):
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


def test_rebalancing_is_taken_back_in_density_and_draws(histogram, constant):
    """Networks that know nothing but the weighted prior know the prior."""
    objective = CrossEntropy(rebalance=1.0).adapt(histogram)
    outputs = np.zeros((5000, 1, 1, 313), "float32")
    draws = np.array(objective.sample(constant(outputs), 0)).reshape(-1, 2)
    is_grey = (np.abs(draws) <= 15).all(-1).mean()  # within those bins
    bins = gamut_bins(313)
    expected = np.array(objective.prior)[(np.abs(bins) <= 10).all(-1)].sum()
    assert is_grey == pytest.approx(expected, abs=0.03)
    losses = objective.losses(outputs[:1], np.zeros((1, 1, 1, 2), "float32"))
    of_grey = objective.prior[int((bins**2).sum(-1).argmin())]
    assert float(losses["nll"]) == pytest.approx(
        -np.log(of_grey / 100), rel=1e-4
    )


def test_draws_of_classes_that_differ_little_differ_little(constant):
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


def test_hard_labels_are_the_entropy_of_the_nearest_bin(random):
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


def test_draws_of_classes_have_their_shares(constant):
    objective = CrossEntropy()
    logits = np.full((4000, 1, 1, 313), -30.0, "float32")
    logits[..., 10], logits[..., 200] = np.log(0.3), np.log(0.7)
    draws = np.array(objective.sample(constant(logits), 0))[:, 0, 0]
    is_first, is_second = (
        (np.abs(draws - gamut_bins(313)[place]) <= 5).all(-1)
        for place in (10, 200)
    )
    assert (is_first | is_second).all()
    assert is_first.mean() == pytest.approx(0.3, abs=0.03)
    # Evenly over the bin's square, as the density says.
    within = draws[is_first] - gamut_bins(313)[10]
    np.testing.assert_allclose(within.mean(0), 0, atol=0.4)
    np.testing.assert_allclose(within.std(0), 10 / 12**0.5, atol=0.2)


def test_draws_move_on_smoothly_where_the_shares_do(constant):
    objective = CrossEntropy(rebalance=0.0)
    tilt = np.linspace(0, 1, 200, dtype="float32")[:, None]
    logits = tilt * gamut_bins(313)[:, 0] / 20
    draws = np.array(objective.sample(constant(logits[None, None]), 0))
    assert np.abs(np.diff(draws[0, 0, :, 0])).max() < 2


def test_a_perfect_answer_has_next_to_no_focal_loss():
    ab = np.float32([13.0, 4.0]).reshape(1, 1, 1, 2)
    table, shares = soft_encoding(313)
    cell = 256 * (13 + 128) + 4 + 128
    outputs = np.full((1, 1, 1, 313), -30.0, "float32")
    outputs[..., table[cell]] = np.log(shares[cell])
    plain, focal = (
        float(CrossEntropy(rebalance=0.0, focal=f).losses(outputs, ab)["loss"])
        for f in (0.0, 2.0)
    )
    assert plain > 0.5
    assert focal < 1e-6


def test_the_gradient_of_few_logits_is_that_of_a_plain_sum():
    random = np.random.default_rng(0)
    logits = tf.constant(random.normal(size=(2, 3, 4, 7)), tf.float32)
    ranked = random.uniform(size=(2, 3, 4, 7)).argsort(-1)
    indices = keras.ops.array(ranked[..., :5], "int32")
    shares = keras.ops.array(random.uniform(size=(2, 3, 4, 5)), "float32")
    found = []
    for fast in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            if fast:
                sums = _expected(logits, indices, shares)
            else:
                chosen = keras.ops.take_along_axis(logits, indices, axis=-1)
                sums = keras.ops.sum(shares * chosen, -1)
            loss = keras.ops.sum(sums**2)
        found.append([sums, tape.gradient(loss, logits)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
