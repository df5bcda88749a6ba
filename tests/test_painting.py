"""Tests for `kcolor.painting`."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from kcolor import painting
from kcolor.painting import (
    light_shown,
    lightness_of,
    network_size,
    paint,
    shrunk_lightness,
)

LEVEL = 100 / 255  # of lightness, from one level of grey to the next


def photo(height, width, channels=1, dtype="uint8", seed=0):
    """Returns a smooth photo with a little grain."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 1, (4, 5, channels)).astype("float32")
    smooth = tf.image.resize(coarse, (height, width), "bicubic").numpy()
    grain = random.normal(0, 0.01, (height, width, channels))
    white = np.iinfo(dtype).max
    return np.clip(white * (smooth + grain), 0, white).astype(dtype)


def lab_of(samples):
    """Returns the Lab of a photo by other means than ours."""
    return rgb2lab(np.asarray(samples) / np.iinfo(samples.dtype).max)


@settings(deadline=None, max_examples=15)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.sampled_from(["uint8", "uint16"]),
    st.sampled_from(["guided", "bilinear"]),
    st.integers(0, 99),
)
def test_lightness_stays_whatever_the_colours_are(
    height, width, channels, dtype, upsample, seed
):
    samples = photo(height, width, channels, dtype, seed)
    random = np.random.default_rng(seed)
    ab = random.uniform(-110, 110, (3, 4, 2)).astype("float32")
    painted = paint(tf.constant(samples), tf.constant(ab), upsample)
    assert painted.dtype == dtype
    assert painted.shape == (height, width, 3)
    before = lab_of(np.broadcast_to(samples, (height, width, 3)))[..., 0]
    after = lab_of(painted.numpy())[..., 0]
    # Half a level of rounding in each channel; of 65,535, next to nothing.
    most = LEVEL if dtype == "uint8" else 0.01
    assert np.abs(after - before).max() <= most


@pytest.mark.parametrize("upsample", ["guided", "bilinear"])
def test_one_colour_everywhere_is_that_colour_at_every_pixel(upsample):
    samples = np.clip(photo(50, 70), 90, 160)  # where sRGB shows it
    ab = np.broadcast_to(np.float32([12, -20]), (6, 8, 2))
    painted = paint(tf.constant(samples), tf.constant(ab), upsample)
    np.testing.assert_allclose(
        lab_of(painted.numpy())[..., 1:],
        np.full((50, 70, 2), [12, -20]),
        atol=1,
    )


def test_what_the_network_said_of_its_pixels_holds_in_their_mean():
    samples = np.clip(photo(96, 128), 90, 160)
    ab = photo(12, 16, 2).astype("float32") / 6 - 20
    painted = lab_of(paint(tf.constant(samples), tf.constant(ab)).numpy())
    means = painted[..., 1:].reshape(12, 8, 16, 8, 2).mean((1, 3))
    assert np.abs(means - ab)[1:-1, 1:-1].mean() < 0.6


@pytest.mark.parametrize("step", [37, 40, 44])
def test_colours_end_where_the_lightness_does(step):
    # A dark red and a light blue half; the network's pixels are 8 wide.
    samples = np.full((64, 96, 1), 80, np.uint8)
    samples[:, step:] = 170
    truth = np.zeros((64, 96, 2), np.float32)
    truth[:, :step], truth[:, step:] = (40, 20), (-5, -30)
    ab = tf.image.resize(truth, (8, 12), "area")
    errors = {}
    for upsample in ("guided", "bilinear"):
        painted = paint(tf.constant(samples), ab, upsample).numpy()
        error = np.abs(lab_of(painted)[..., 1:] - truth)
        errors[upsample] = error.mean()
        if upsample == "guided":
            assert error[:, [step - 4, step + 3]].max() < 8
    assert errors["guided"] < errors["bilinear"] / 2.5


@pytest.mark.parametrize("upsample", ["guided", "bilinear"])
def test_a_photo_in_strips_is_the_photo_at_once(upsample, monkeypatch):
    samples = tf.constant(photo(61, 40, 3))
    ab = tf.constant(photo(7, 5, 2).astype("float32") - 128)
    whole = paint(samples, ab, upsample)
    monkeypatch.setattr(painting, "STRIP", 7 * 40)
    np.testing.assert_array_equal(paint(samples, ab, upsample), whole)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_photo_is_painted_mirrored(axis):
    samples = photo(50, 60)
    ab = photo(10, 12, 2).astype("float32") / 4 - 30
    painted = paint(tf.constant(samples), tf.constant(ab)).numpy()
    mirrored = paint(
        tf.constant(np.flip(samples, axis).copy()),
        tf.constant(np.flip(ab, axis).copy()),
    ).numpy()
    away = np.flip(mirrored, axis).astype(int) - painted
    assert np.abs(away).max() <= 2


def test_sixteen_bits_are_painted_as_eight_are():
    samples = photo(30, 40, 3)
    ab = tf.constant(photo(6, 8, 2).astype("float32") / 4 - 30)
    shallow = paint(tf.constant(samples), ab).numpy()
    deep = paint(tf.constant(samples.astype("uint16") * 257), ab).numpy()
    assert np.abs(deep / 257 - shallow).max() <= 0.51
    assert (deep % 257 > 0).mean() > 0.9


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_lightness_is_that_of_scikit_image(channels, dtype):
    samples = photo(20, 30, channels, dtype)
    expected = lab_of(np.broadcast_to(samples, (20, 30, 3)))[..., 0]
    np.testing.assert_allclose(
        lightness_of(tf.constant(samples)), expected, atol=1e-3
    )


@pytest.mark.parametrize(("height", "width"), [(5, 7), (64, 85), (400, 90)])
def test_a_shrunk_photo_is_as_light_in_the_mean(height, width):
    samples = tf.constant(photo(300, 400))
    shrunk = shrunk_lightness(samples, height, width)
    assert shrunk.shape == (height, width, 1)
    mean = float(tf.reduce_mean(lightness_of(samples)))
    assert float(tf.reduce_mean(shrunk)) == pytest.approx(mean, abs=0.5)


def test_a_photo_of_the_network_s_size_is_not_resampled():
    samples = tf.constant(photo(64, 64, 3))
    np.testing.assert_allclose(
        shrunk_lightness(samples, 64, 64)[..., 0],
        lightness_of(samples),
        atol=1e-3,
    )


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (64, 64, (64, 64)),
        (3000, 4000, (64, 85)),
        (10, 10, (64, 64)),
        (1, 10_000, (64, 512)),
        (9000, 90, (512, 64)),
    ],
)
def test_the_network_sees_the_short_side_at_its_size(height, width, expected):
    found = network_size(height, width, 64, is_fixed=False)
    assert tuple(int(side) for side in found) == expected


def test_a_network_of_one_size_sees_each_photo_at_that():
    assert network_size(3000, 4000, 64, is_fixed=True) == (64, 64)


def test_colours_no_screen_shows_keep_lightness_and_hue():
    random = np.random.default_rng(0)
    lightness, a, b = (
        random.uniform(low, high, 2000).astype("float32")
        for low, high in ((2, 98), (-110, 110), (-110, 110))
    )
    light = np.stack(light_shown(*map(tf.constant, (lightness, a, b))), -1)
    assert light.min() > -1e-4
    assert light.max() < 1 + 1e-4
    encoded = np.where(
        light > 0.0031308,
        1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055,
        12.92 * light,
    )
    lab = rgb2lab(np.clip(encoded, 0, 1))
    np.testing.assert_allclose(lab[:, 0], lightness, atol=0.05)
    sine = (lab[:, 1] * b - lab[:, 2] * a) / np.hypot(a, b)
    assert np.abs(sine).max() < 0.3  # ab units beside the way to grey
    # As colourful as can be: what is shown already, is not changed.
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    assert (chroma <= np.hypot(a, b) + 0.1).all()
    at_edge = (light.min(-1) < 2e-3) | (light.max(-1) > 1 - 2e-3)
    kept = np.abs(chroma - np.hypot(a, b)) < 0.1
    assert (at_edge | kept).all()
