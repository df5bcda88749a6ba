"""Tests for terms that any objective can carry."""

import numpy as np
import pytest

from kcolor.objectives import terms
from kcolor.objectives.ce import CrossEntropy
from kcolor.objectives.hue_chroma import HueChroma
from kcolor.objectives.mdn import MixtureDensity

pytestmark = pytest.mark.usefixtures("fresh_keras")


def test_transport_does_not_ask_where_a_colour_is(random):
    ab = 20 * random(2, 16, 16, 2)
    moved = ab.reshape(-1, 2)[::-1].reshape(ab.shape)
    assert float(terms.chroma_transport(moved, ab)) == pytest.approx(0)
    shifted = ab + np.float32([3, 0])
    expected = 3 * np.abs(np.cos(np.pi * np.arange(8) / 8)).mean()
    assert float(terms.chroma_transport(shifted, ab)) == pytest.approx(
        expected, rel=1e-3
    )


@pytest.mark.parametrize("shape", [(64, 32, 32), (8, 64, 64)])
def test_transport_looks_at_all_columns_of_large_batches(shape):
    column = np.broadcast_to(np.arange(shape[-1]), shape)
    ab = np.stack([column, 0 * column], -1).astype("float32")
    seen = np.unique(np.array(terms._spread(ab))[:, 0])
    assert len(seen) == shape[-1]


@pytest.mark.parametrize("name", ["chroma_transport", "chroma_gap"])
def test_any_objective_can_carry_a_term(name, constant, random):
    ab = 20 * random(2, 8, 8, 2)
    for kind in (CrossEntropy, MixtureDensity, HueChroma):
        plain, carrying = kind(), kind(**{name: 2.0})
        if kind is CrossEntropy:
            plain = CrossEntropy(rebalance=0.0)
            carrying = CrossEntropy(rebalance=0.0, **{name: 2.0})
        outputs = random(2, 8, 8, plain.channels)
        losses = carrying.train_losses(constant(outputs), ab, None)
        assert set(losses) == set(carrying.logged)
        alone = plain.train_losses(constant(outputs), ab, None)
        assert float(losses["loss"]) == pytest.approx(
            float(alone["loss"]) + 2 * float(losses[name]), rel=1e-5
        )
