"""Models that photos are coloured by."""

import keras
import numpy as np
import pytest

from kcolor.colorizer import Colorizer
from kcolor.models.cnn import CNN
from kcolor.objectives.ce import CrossEntropy
from kcolor.objectives.l2 import L2


def vivid(objective, name):
    """Returns a colorizer that has learnt nothing and paints boldly."""
    keras.utils.set_random_seed(0)
    architecture = CNN(head="conv", depth=2)
    colorizer = Colorizer(architecture, objective, image_size=32, name=name)
    head = colorizer.network.get_layer("head")
    random = np.random.default_rng(0)
    kernel, bias = head.get_weights()
    head.set_weights(
        [random.normal(0, 2, kernel.shape), random.normal(0, 0.5, bias.shape)]
    )
    return colorizer


@pytest.fixture(scope="session")
def l2():
    return vivid(L2(), "l2")


@pytest.fixture(scope="session")
def ce(histogram):
    return vivid(CrossEntropy().adapt(histogram), "ce")


@pytest.fixture(scope="session")
def l2_file(l2, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "l2.keras"
    l2.save(path)
    return path
