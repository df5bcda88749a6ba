"""The classifier that tells real photos from recoloured ones."""

import numpy as np
import pytest
from PIL import Image

from kcolor.evaluation import machine_turing
from kcolor.evaluation.machine_turing import told_apart

SIZE = 16


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(machine_turing, "STEPS", 150)


def photos(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    blobs = random.integers(0, 256, (count, 3, 3, 3), np.uint8)
    return np.stack(
        [np.array(Image.fromarray(b).resize((SIZE, SIZE))) for b in blobs]
    )


def accuracy(true, coloured) -> float:
    return told_apart(true, coloured, lambda items, *_: items).mean()


def test_what_is_equal_to_the_truth_cannot_be_told_from_it():
    true = photos(20)
    told = told_apart(true, true.copy(), lambda items, *_: items)
    assert told == pytest.approx(np.full(20, 0.5))


def test_grey_photos_are_told_from_coloured_ones():
    true = photos(60)
    grey = np.broadcast_to(true.mean(axis=-1, keepdims=True), true.shape)
    assert accuracy(true, grey.astype(np.uint8)) > 0.95


def test_other_photos_of_the_kind_can_hardly_be_told_apart():
    both = photos(160)
    # Neither what was seen may help: those it was taught it knows by heart.
    assert accuracy(both[:80], both[80:]) == pytest.approx(0.5, abs=0.15)


def test_it_says_the_same_each_time():
    true = photos(12)
    other = true[..., ::-1]
    assert accuracy(true, other) == accuracy(true, other)
