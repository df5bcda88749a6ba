"""Tests for mixtures of Gaussians on the ab plane."""

import numpy as np
import pytest

from kcolor.objectives.mdn import MixtureDensity

pytestmark = pytest.mark.usefixtures("fresh_keras")


@pytest.mark.parametrize("components", [1, 3])
def test_the_likelihood_of_a_mixture_integrates_to_one(components, random):
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


def test_draws_of_a_mixture_have_its_mean(constant, random):
    objective = MixtureDensity(components=3)
    outputs = np.broadcast_to(
        random(1, 1, 1, objective.channels), (4000, 1, 1, objective.channels)
    )
    draws = np.array(objective.sample(constant(outputs), 1))
    mean = np.array(objective.decode(outputs))[0, 0, 0]
    np.testing.assert_allclose(draws.mean((0, 1, 2)), mean, atol=3)


def test_one_photo_s_draws_of_a_mixture_have_its_mean_over_seeds(
    constant, random
):
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


def test_draws_do_not_depend_on_the_order_of_the_components(constant, random):
    objective = MixtureDensity(components=3)
    outputs = 0.0 * random(1, 1, 1, objective.channels)
    parts = random(1, 1, 1, 3, 5)
    # The same three clouds, each in another component's place.
    starts = objective._starts() / 16
    orders = [[0, 1, 2], [1, 2, 0], [2, 1, 0]]
    rows = []
    for order in orders:
        moved = parts[..., order, :].copy()
        moved[..., 1:3] += starts[order] - starts
        rows.append(moved.reshape(outputs.shape))
    outputs = np.concatenate(rows, axis=2)
    for seed in range(20):
        draw = np.array(objective.sample(constant(outputs), seed))
        np.testing.assert_allclose(draw - draw[:, :, :1], 0, atol=0.1)


def test_draws_of_one_gaussian_are_its_own(constant):
    objective = MixtureDensity(components=1, least_sigma=2.0)
    outputs = np.zeros((4000, 1, 1, 5), "float32")
    outputs[..., 3:] = -1e9  # no wider than the least
    draws = np.array(objective.sample(constant(outputs), 1))[:, 0, 0]
    np.testing.assert_allclose(draws.mean(0), [20, 0], atol=0.15)
    np.testing.assert_allclose(np.cov(draws.T), 4 * np.eye(2), atol=0.3)
