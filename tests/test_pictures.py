"""Tests for pictures of photos side by side."""

import warnings

import numpy as np
import pytest
from PIL import Image

from kcolor.pictures import choose, save_grid, strips


def test_a_strip_is_the_photo_in_grey_and_then_each_version():
    lightness = np.full((2, 4, 5, 1), 60, "float32")
    red = np.broadcast_to(np.float32([50, 0]), (2, 4, 5, 2))
    grey, first, second = np.split(strips(lightness, red, -red), 3, axis=2)
    assert grey.shape == (2, 4, 5, 3)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (first[..., 0] > grey[..., 0]).all()
    assert (second[..., 0] < grey[..., 0]).all()


@pytest.mark.parametrize("photos", [0, 1, 5, 12, 13, 23, 35, 100])
def test_chosen_photos_are_spread_over_all_and_no_more_than_asked(photos):
    chosen = choose(np.arange(photos), 12)
    assert len(chosen) == min(photos, 12)
    if photos > 12:
        steps = np.diff([*chosen, photos])
        assert max(steps) - min(steps) <= 1


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (1, 2), (5, 2)])
@pytest.mark.parametrize("side", [4, 64])
def test_any_number_of_strips_is_a_picture(tmp_path, count, columns, side):
    path = tmp_path / "grid.png"
    rows = np.full((count, side, 3 * side, 3), 200, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_grid(path, rows, ("grey", "ours", "truth"), columns)
    width, height = Image.open(path).size
    lines = -(-count // columns)
    assert width / height == pytest.approx(3 * columns / lines, rel=0.3)
