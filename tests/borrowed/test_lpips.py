"""LPIPS, with its own weights where they are installed."""

import importlib.util

import numpy as np
import pytest
import skimage.data

from kcolor.borrowed import lpips

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(lpips.PACKAGE) is None,
    reason='needs pip install "kcolor[metrics]"',
)
# From the astronaut to her grey self, and to a cat: PyTorch 2.13 gave these,
# by the same weights and the paper's equation.
GOLDEN = {"alex": (0.103863, 0.745606), "vgg": (0.110791, 0.738923)}


@pytest.fixture(scope="module", params=sorted(GOLDEN))
def named(request):
    return request.param, lpips.distance(request.param)


def photos():
    astronaut = np.float32(skimage.data.astronaut()[:256, 128:384])
    grey = np.repeat(astronaut.mean(axis=-1, keepdims=True), 3, axis=-1)
    return astronaut, grey, np.float32(skimage.data.chelsea()[:256, :256])


def test_distances_are_those_of_pytorch(named):
    name, distance = named
    astronaut, grey, cat = photos()
    found = distance([np.stack([astronaut, astronaut]), np.stack([grey, cat])])
    np.testing.assert_allclose(found, GOLDEN[name], atol=2e-5)


def test_a_distance_is_the_same_both_ways_and_none_to_itself(named):
    _, distance = named
    one, other, _ = (photo[np.newaxis] for photo in photos())
    assert distance([one, one])[0] == 0
    there = float(distance([one, other])[0])
    back = float(distance([other, one])[0])
    assert there == pytest.approx(back, rel=1e-4)


def test_the_less_chroma_is_left_the_farther_a_photo_is(named):
    _, distance = named
    one, grey, _ = photos()
    faded = [s * one + (1 - s) * grey for s in (1.0, 0.75, 0.5, 0.25, 0.0)]
    found = distance([np.stack([one] * 5), np.stack(faded)])
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (33, 47)])
def test_small_photos_have_a_distance(named, size):
    _, distance = named
    height, width = size
    one, other, _ = (photo[np.newaxis, :height, :width] for photo in photos())
    assert distance([one, other])[0] > 0
