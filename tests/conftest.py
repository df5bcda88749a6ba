"""Fixtures that more than one test file uses."""

import numpy as np
import pytest


def pytest_configure(config):
    # From TensorFlow's variables, whenever Keras reads one.
    config.addinivalue_line(
        "filterwarnings",
        "ignore:__array__ implementation doesn't accept:DeprecationWarning",
    )


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
