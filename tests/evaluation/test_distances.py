"""Distances between sets of features."""

import numpy as np
import pytest
import scipy.linalg

from kcolor.evaluation.distances import frechet, kernel


def features(count=40, depth=6, seed=0):
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(depth, depth))
    return random.normal(size=(count, depth)) @ mixed + random.normal(
        size=depth
    )


def plain_frechet(true, other):
    """Tells the definition, with a matrix's root."""
    first, second = np.cov(true.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(first @ second).real
    moved = np.square(true.mean(axis=0) - other.mean(axis=0)).sum()
    return moved + np.trace(first + second - 2 * root)


def plain_kernel(true, other):
    """Tells the definition, pair by pair."""

    def k(x, y):
        return (x @ y / len(x) + 1) ** 3

    pairs = [
        k(true[i], true[j])
        + k(other[i], other[j])
        - k(true[i], other[j])
        - k(true[j], other[i])
        for i in range(len(true))
        for j in range(len(true))
        if i != j
    ]
    return np.mean(pairs)


@pytest.mark.parametrize(
    ("distance", "plain"), [(frechet, plain_frechet), (kernel, plain_kernel)]
)
def test_a_distance_is_that_of_its_definition(distance, plain):
    true, other = features(), features(seed=1)
    assert distance(true, other) == pytest.approx(plain(true, other))


def test_fewer_photos_than_features_have_the_distance_of_the_definition():
    true, other = features(8, 20), features(8, 20, seed=1)
    expected = plain_frechet(true, other)
    assert frechet(true, other) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("distance", [frechet, kernel])
@pytest.mark.parametrize("count", [5, 40])
def test_a_set_is_at_no_distance_from_itself(distance, count):
    one = features(count, 12)
    order = np.random.default_rng(0).permutation(count)
    scale = np.square(one).sum()
    assert frechet(one, one[order]) == pytest.approx(0, abs=1e-9 * scale)
    assert distance(one, one) == pytest.approx(0, abs=1e-9 * scale)


@pytest.mark.parametrize("distance", [frechet, kernel])
def test_a_distance_is_the_same_both_ways(distance):
    one, other = features(), features(seed=1)
    assert distance(one, other) == pytest.approx(distance(other, one))


def test_a_photo_that_counts_twice_is_as_two_photos():
    one, other = features(9), features(9, seed=1)
    counts = np.array([0, 1, 2, 1, 1, 3, 0, 1, 1])
    twice = np.repeat(np.arange(9), counts)
    expected = frechet(one[twice], other[twice])
    assert frechet(one, other, counts) == pytest.approx(expected)


def test_no_photo_is_compared_with_its_own_copy():
    one, other = features(9), features(9, seed=1)
    doubled = 2 * np.ones(9, int)
    assert kernel(one, other, doubled) == pytest.approx(kernel(one, other))
    some = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0])
    assert kernel(one, other, some) == pytest.approx(kernel(one[:5], other[:5]))


def test_a_kernel_distance_is_none_in_the_mean_over_sets_of_one_kind():
    random = np.random.default_rng(0)
    found = [kernel(*random.normal(size=(2, 20, 4))) for _ in range(400)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error


def test_many_photos_are_compared_in_parts_with_the_same_result(monkeypatch):
    one, other = features(50), features(50, seed=1)
    whole = kernel(one, other)
    monkeypatch.setattr("kcolor.evaluation.distances._ROWS", 7)
    assert kernel(one, other) == pytest.approx(whole)


@pytest.mark.parametrize("distance", [frechet, kernel])
def test_what_is_not_a_number_is_at_no_known_distance(distance):
    one, other = features(), features(seed=1)
    other[3, 2] = np.nan
    assert np.isnan(distance(one, other))
    assert np.isnan(distance(one[:1], one[:1]))
