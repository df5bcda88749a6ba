"""Fixtures for the tests of objectives."""

import numpy as np
import pytest

from kcolor.forward import Forward
from kcolor.models.architecture import Architecture


@pytest.fixture
def random():
    """Returns normally distributed numbers of a shape."""

    def draw(*shape, seed=0):
        numbers = np.random.default_rng(seed).normal(size=shape)
        return numbers.astype("float32")

    return draw


@pytest.fixture
def constant():
    """Returns a forward whose network always gives the same outputs."""

    def forward(outputs):
        lightness = np.zeros((*outputs.shape[:3], 1))
        return Forward(lambda *_, **__: outputs, Architecture(), lightness)

    return forward
