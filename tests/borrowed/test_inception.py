"""Inception-v3, fetched by Keras."""

import keras
import numpy as np
import pytest

from kcolor.borrowed import inception
from kcolor.errors import UserError


def test_without_network_it_says_what_to_use_instead(monkeypatch):
    def refused(**_):
        raise OSError("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "InceptionV3", refused)
    with pytest.raises(UserError, match="fid_efficientnet_lite0") as error:
        inception.encoder()
    assert "\n" not in str(error.value)


@pytest.mark.network
def test_features_are_as_many_as_the_paper_has():
    photos = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3))
    features = inception.encoder()(photos)
    assert features.shape == (2, 2048)
    assert np.ptp(features, axis=0).max() > 0
