"""Tests for `kcolor.training.pool`."""

import numpy as np
import pytest
import tensorflow as tf

from kcolor.training.pool import Pool

pytestmark = pytest.mark.usefixtures("fresh_keras")

SHAPE = (2, 3, 1)
# How a step calls the pool.
CALLS = {
    "eager": lambda pool: pool,
    "graph": tf.function,
    "xla": lambda pool: tf.function(pool, jit_compile=True),
}
EVERY_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def photos(*values):
    """Returns a photo all of one number for each of some."""
    tall = tf.reshape(tf.constant(values, tf.float32), (-1, 1, 1, 1))
    return tf.broadcast_to(tall, (len(values), *SHAPE))


def values_of(some):
    """Returns the numbers of photos that are each all of one."""
    some = np.array(some)
    firsts = some[:, 0, 0, 0]
    np.testing.assert_array_equal(
        some, np.broadcast_to(firsts[:, None, None, None], some.shape)
    )
    return firsts.astype(int).tolist()


def exchanges(call, batch, steps, first=1):
    """Yields what went in and what came out, step by step."""
    for step in range(steps):
        number = first + step * batch
        fresh = list(range(number, number + batch))
        yield fresh, values_of(call(photos(*fresh)))


@EVERY_CALL
def test_while_the_pool_fills_photos_come_back_as_they_are(call):
    pool = Pool(8, SHAPE, seed=0)
    for fresh, given in exchanges(call(pool), batch=2, steps=4):
        assert given == fresh
    assert values_of(pool.photos) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert int(pool.count) == 8


@EVERY_CALL
def test_a_batch_may_fill_the_last_places_and_pass_by_with_the_rest(call):
    pool = Pool(5, SHAPE, seed=0)
    for fresh, given in exchanges(call(pool), batch=3, steps=2):
        assert given == fresh
    assert values_of(pool.photos) == [1, 2, 3, 4, 5]
    assert int(pool.count) == 5


@EVERY_CALL
@pytest.mark.parametrize(("size", "batch"), [(8, 4), (4, 4), (5, 3), (1, 1)])
def test_a_full_pool_gives_what_it_held_and_keeps_what_it_took(
    call, size, batch
):
    pool = Pool(size, SHAPE, seed=0)
    call = call(pool)
    filling = -(-size // batch)
    list(exchanges(call, batch, filling))
    held = values_of(pool.photos)
    assert held == list(range(1, size + 1))
    for fresh, given in exchanges(call, batch, 20, first=100):
        old = [value for value in given if value not in fresh]
        taken = [f for f, g in zip(fresh, given, strict=True) if f != g]
        # Each photo comes back itself, or one that was held does, once.
        assert len(old) == len(taken) == len(set(old))
        assert set(old) <= set(held)
        for gone, value in zip(old, taken, strict=True):
            held[held.index(gone)] = value
        assert values_of(pool.photos) == held


def test_half_of_the_photos_come_back_old():
    pool = Pool(8, SHAPE, seed=0)
    call = tf.function(pool)
    list(exchanges(call, batch=4, steps=2))
    steps = 250
    found = exchanges(call, batch=4, steps=steps, first=100)
    swapped = np.array([np.not_equal(*exchange) for exchange in found])
    count = swapped.size
    # Of a coin, at a risk of 0.0001.
    assert abs(swapped.sum() - count / 2) < 4 * (count / 4) ** 0.5
    # The places of a batch fare alike, and each by a coin of its own.
    assert np.abs(swapped.mean(0) - 0.5).max() < 4 * (0.25 / steps) ** 0.5
    both = (swapped[:, 0] & swapped[:, 1]).mean()
    assert abs(both - 0.25) < 4 * (0.1875 / steps) ** 0.5


def test_what_went_in_comes_out_some_steps_later():
    pool = Pool(8, SHAPE, seed=0)
    found = list(exchanges(tf.function(pool), batch=2, steps=200))
    ages = [
        (fresh[0] - value + 1) // 2
        for fresh, values in found
        for value in values
        if value < fresh[0]
    ]
    assert min(ages) >= 1
    # One of eight goes a step, so each stays for eight steps in the mean.
    assert 6 < np.mean(ages) < 11
    given = {value for _, values in found for value in values}
    assert given > set(range(1, 9))  # even the first ones


def test_no_gradient_changes_what_the_pool_holds():
    pool = Pool(4, SHAPE, seed=0)
    assert not pool.trainable_variables
    assert pool.photos.dtype == "float32"


def test_pools_of_the_same_seed_exchange_the_same_and_of_another_do_not():
    one, same, other = (
        list(exchanges(Pool(4, SHAPE, seed), batch=4, steps=10))
        for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other


def test_a_restored_pool_goes_on_as_if_it_had_never_stopped(tmp_path):
    pool = Pool(5, SHAPE, seed=0)
    list(exchanges(pool, batch=3, steps=6))
    checkpoint(pool).write(str(tmp_path / "pool"))
    expected = list(exchanges(pool, batch=3, steps=10, first=100))

    other = Pool(5, SHAPE, seed=7)
    checkpoint(other).read(str(tmp_path / "pool")).assert_consumed()
    found = list(exchanges(other, batch=3, steps=10, first=100))
    assert found == expected
    # By far not all are fresh ones.
    assert sum(fresh != given for fresh, given in expected) > 5


def checkpoint(pool):
    variables = {
        str(number): variable.value
        for number, variable in enumerate(pool.variables)
    }
    return tf.train.Checkpoint(variables=variables)
