"""Colourings that need no training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcolor.color import rgb_to_lab
from kcolor.errors import UserError
from kcolor.evaluation.measure import values
from kcolor.evaluation.references import another, grey, mean_given_lightness


def photos(count: int = 6, size: int = 16) -> np.ndarray:
    """Photos whose colour depends on their lightness, and on chance."""
    random = np.random.default_rng(0)
    lightness = random.integers(0, 200, (count, size, size, 1))
    colour = random.integers(0, 40, (count, size, size, 3)) + [15, 5, 0]
    return np.uint8(lightness + colour)


def test_the_mean_has_the_least_error_of_all_that_see_one_pixel():
    pixels = photos()
    mean = mean_given_lightness(pixels)
    least = values(mean, pixels)["rmse_ab"]
    assert least < values(grey, pixels)["rmse_ab"]
    for shift in (-1.0, 1.0):
        moved = values(lambda x, by=shift: mean(x) + by, pixels)["rmse_ab"]
        assert moved > least


def test_the_mean_of_one_colour_is_that_colour():
    pixels = np.full((2, 4, 4, 3), (30, 140, 90), np.uint8)
    lab = np.asarray(rgb_to_lab(pixels / np.float32(255)))
    predicted = mean_given_lightness(pixels)(lab[..., :1])
    np.testing.assert_allclose(predicted, lab[..., 1:], atol=1e-3)


def test_a_lightness_never_seen_has_the_colour_of_the_nearest():
    pixels = np.full((1, 4, 4, 3), (30, 140, 90), np.uint8)
    predict = mean_given_lightness(pixels)
    ends = predict(np.float32([[[[0.0], [100.0]]]]))
    assert np.ptp(ends, axis=2).max() == 0
    assert np.isfinite(ends).all()


@given(count=st.integers(2, 200))
def test_no_photo_is_shuffled_onto_itself(count):
    other = another(count)
    assert sorted(other) == list(range(count))
    assert not (other == np.arange(count)).any()


def test_a_photo_alone_cannot_be_shuffled():
    with pytest.raises(UserError, match="two photos"):
        another(1)


@pytest.mark.parametrize("count", [2, 50])
def test_photos_are_shuffled_alike_each_time(count):
    np.testing.assert_array_equal(another(count), another(count))
