"""Fixtures that more than one test file uses."""

import gc
import os

import numpy as np
import pytest


def pytest_xdist_auto_num_workers():
    # Some tests wait, for a server or a browser: one more worker does not.
    return 1 + (os.cpu_count() or 1)


def pytest_configure(config):
    # From TensorFlow's variables, whenever Keras reads one.
    config.addinivalue_line(
        "filterwarnings",
        "ignore:__array__ implementation doesn't accept:DeprecationWarning",
    )


@pytest.fixture(scope="module", autouse=True)
def _little_garbage():
    # What other files left, TensorFlow's modules and graphs above all, stays to
    # the end: looking through it for garbage takes longer than many a test.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser without a window."""
    from browsing import start

    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def fresh_keras():
    """Seeds everything random and undoes what a test does to the precision."""
    import keras

    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def own_registries(monkeypatch):
    """Lets a test register names that are gone after it."""
    from kcolor import models, objectives

    for registry in (models._architectures, objectives._objectives):
        registry.names()  # imports the files that register the real ones
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.fixture(scope="session")
def histogram():
    """Counts by a and b as photos have them: most near grey, rather warm."""
    a, b = np.meshgrid(
        np.arange(-128, 128), np.arange(-128, 128), indexing="ij"
    )
    return np.round(1e6 * np.exp(-np.hypot((a - 4) / 12, (b - 8) / 16)))


@pytest.fixture
def same_draws(monkeypatch):
    """Lets XLA, which would draw other random numbers, draw the same ones.

    And takes back what forbids XLA: a training of another test may have asked
    for the same bits each time.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.config import disable_op_determinism

    def waves(shape, seed=None, **_):
        numbers = np.arange(np.prod(shape)).reshape(shape)
        return tf.constant(0.5 + 0.5 * np.sin(numbers), tf.float32)

    disable_op_determinism()
    monkeypatch.setattr(keras.random, "normal", waves)
    monkeypatch.setattr(keras.random, "uniform", waves)
