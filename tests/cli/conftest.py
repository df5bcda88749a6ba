"""Photos that commands are tried on."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of twelve photos of noise."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(12):
        random = np.random.default_rng(number)
        pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder
