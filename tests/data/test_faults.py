"""Tests for `kcolor.data.faults`, and for them in batches."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kcolor.color import light_to_lab, rgb_to_light
from kcolor.data import faults
from kcolor.data.faults import FAULTS, aged
from kcolor.data.pipeline import batches


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def plain(count: int, color, side: int = 32) -> np.ndarray:
    """Photos of one colour."""
    pixels = np.empty((count, side, side, 3), np.uint8)
    pixels[:] = color
    return pixels


def ramps(count: int, side: int = 32) -> np.ndarray:
    """Grey photos from black to white."""
    pixels = np.empty((count, side, side, 3), np.uint8)
    pixels[:] = np.linspace(0, 255, side).astype(np.uint8)[:, np.newaxis]
    return pixels


def seeds(count: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(-(2**31), 2**31, (count, 2))
    return drawn.astype(np.int32)


def clean(pixels: np.ndarray) -> np.ndarray:
    light = rgb_to_light(np.float32(pixels) / 255)
    return light_to_lab(light)[..., :1].numpy()


def old(pixels: np.ndarray, share: float = 1.0, seed: int = 0) -> np.ndarray:
    """The lightness of photos as `aged` makes it."""
    light = rgb_to_light(np.float32(pixels) / 255)
    return aged(clean(pixels), light, share, seeds(len(pixels), seed)).numpy()


def is_changed(pixels: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    return (lightness != clean(pixels)).any(axis=(1, 2, 3))


def roughness(lightness: np.ndarray) -> float:
    """How much a pixel differs from the one beside it."""
    return np.abs(np.diff(lightness, axis=2)).mean()


@pytest.fixture
def only(monkeypatch):
    """Lets `aged` put certain faults alone on every photo, that strong."""

    def choose(**strengths: float) -> None:
        chosen = {name: (0.0, 0.0, 0.0) for name in FAULTS}
        chosen |= {name: (1.0, at, at) for name, at in strengths.items()}
        monkeypatch.setattr(faults, "FAULTS", chosen)

    return choose


# === Which photos ===


def test_share_0_changes_nothing():
    pixels = noise(20, 8, 8)
    assert old(pixels, share=0.0).tobytes() == clean(pixels).tobytes()


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_about_that_share_of_the_photos_is_changed(share):
    pixels = noise(1000, 4, 4)
    changed = is_changed(pixels, old(pixels, share)).mean()
    # Within 4 standard deviations.
    assert changed == pytest.approx(share, abs=0.064)


def test_what_is_not_changed_keeps_its_bits():
    pixels = noise(40, 8, 8)
    lightness = old(pixels, share=0.5)
    changed = is_changed(pixels, lightness)
    assert 0 < changed.sum() < 40
    kept = lightness[~changed].tobytes()
    assert kept == clean(pixels)[~changed].tobytes()


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99), share=st.sampled_from([0.3, 1.0]))
def test_a_seed_alone_decides_the_faults_of_its_photo(seed, share):
    pixels = noise(6, 8, 8, seed=seed)
    light = rgb_to_light(np.float32(pixels) / 255).numpy()
    drawn = seeds(6, seed)
    whole = aged(clean(pixels), light, share, drawn).numpy()
    for some in ([4, 1], [5], []):
        part = aged(clean(pixels)[some], light[some], share, drawn[some])
        np.testing.assert_array_equal(part, whole[some])


def test_other_seeds_have_other_faults():
    pixels = np.repeat(noise(1, 16, 16), 30, axis=0)
    lightness = old(pixels)
    assert len({photo.tobytes() for photo in lightness}) == 30


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    kind=st.sampled_from(["noise", "black", "white"]),
)
def test_lightness_stays_in_0_to_100(seed, height, width, kind):
    pixels = noise(4, height, width, seed=seed)
    if kind != "noise":
        pixels[:] = {"black": 0, "white": 255}[kind]
    lightness = old(pixels, seed=seed)
    assert lightness.shape == (4, height, width, 1)
    assert lightness.dtype == np.float32
    assert np.isfinite(lightness).all()
    assert lightness.min() >= 0
    assert lightness.max() <= 100


# === Which faults ===


def test_without_any_fault_only_levels_of_8_bits_are_left(only):
    only()
    pixels = noise(4, 16, 16)
    np.testing.assert_allclose(old(pixels), clean(pixels), atol=0.8)


@pytest.mark.parametrize("green", [0.0, 0.3, 0.7])
def test_film_that_saw_no_red_darkens_red_against_blue(only, green):
    only(film=1.0, green=green)
    red, blue = plain(1, [255, 0, 0]), plain(1, [0, 0, 255])
    assert clean(red).mean() > clean(blue).mean()
    assert old(red).mean() < 1
    assert old(blue).mean() > clean(blue).mean() + 20


def test_film_leaves_grey_as_it_is(only):
    only(film=1.0, green=0.3)
    pixels = ramps(2)
    np.testing.assert_allclose(old(pixels), clean(pixels), atol=0.8)


def test_half_such_film_is_in_between(only):
    pixels = plain(1, [255, 0, 0])
    only(film=0.5, green=0.3)
    half = old(pixels).mean()
    only(film=1.0, green=0.3)
    assert old(pixels).mean() + 5 < half < clean(pixels).mean() - 5


def test_a_vignette_is_in_the_corners_not_in_the_middle(only):
    only(vignette=-15.0)
    (lightness,) = old(plain(1, 128, side=33))[..., 0]
    assert lightness[16, 16] == pytest.approx(clean(plain(1, 128)).mean(), 0.02)
    assert lightness[16, 16] - lightness[0, 0] == pytest.approx(15, abs=2)
    assert lightness[16, 16] - lightness[-1, -1] == pytest.approx(15, abs=2)


def test_blur_lowers_sharpness_and_keeps_the_mean(only):
    pixels = noise(4, 32, 32)
    found = [roughness(clean(pixels))]
    for sigma in (0.4, 0.6, 0.9):
        only(blur=sigma)
        found.append(roughness(old(pixels)))
        assert old(pixels).mean() == pytest.approx(
            clean(pixels).mean(), abs=0.5
        )
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.5 * found[0]


def test_blur_does_not_darken_the_edges(only):
    only(blur=0.9)
    pixels = plain(1, 200)
    np.testing.assert_allclose(old(pixels), clean(pixels), atol=1)


@pytest.mark.parametrize("coarseness", [0.2, 0.7])
def test_grain_is_noise_of_that_strength_in_mid_tones(only, coarseness):
    only(grain=4.0, coarseness=coarseness)
    lightness = old(plain(8, 119))
    assert lightness.std() == pytest.approx(4.0, rel=0.1)
    assert lightness.mean() == pytest.approx(50, abs=0.6)


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_have_less_grain_than_grey(only, level):
    only(grain=4.0, coarseness=0.2)
    assert old(plain(8, level)).std() < 0.3 * old(plain(8, 119)).std()


def test_coarse_grain_is_smoother_than_fine_grain(only):
    only(grain=4.0, coarseness=0.2)
    fine = roughness(old(plain(8, 119)))
    only(grain=4.0, coarseness=0.7)
    assert roughness(old(plain(8, 119))) < 0.85 * fine


def test_each_photo_has_its_own_grain(only):
    only(grain=4.0, coarseness=0.2)
    one, other = old(plain(2, 119))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.15


def test_gamma_moves_mid_tones_and_keeps_black_and_white(only):
    for gamma, moves in ((-0.8, 1), (0.4, -1)):
        only(gamma=gamma)
        lightness, before = old(ramps(1)), clean(ramps(1))
        assert moves * (lightness - before).mean() > 3
        assert lightness.min() < 1
        assert lightness.max() > 99


def test_contrast_spreads_tones_or_draws_them_together(only):
    before = np.ptp(np.percentile(clean(ramps(1)), [25, 75]))
    for contrast in (-0.3, 0.5):
        only(contrast=contrast)
        after = np.ptp(np.percentile(old(ramps(1)), [25, 75]))
        assert after == pytest.approx(before * 2**contrast, rel=0.1)


def test_fading_lifts_blacks_and_dims_whites(only):
    only(blacks=22.0, whites=18.0)
    lightness = old(ramps(1))
    assert lightness.min() == pytest.approx(22, abs=1.5)
    assert lightness.max() == pytest.approx(82, abs=1.5)


def test_stains_are_smooth(only):
    only(stains=4.0)
    lightness = old(plain(50, 119, side=48))
    assert lightness.std() == pytest.approx(4, rel=0.2)
    assert roughness(lightness) < 0.6


def test_jpeg_of_low_quality_is_further_away(only):
    pixels = noise(4, 32, 32)
    away = []
    for lack in (5.0, 30.0, 60.0):
        only(jpeg=lack)
        away.append(np.abs(old(pixels) - clean(pixels)).mean())
    assert away == sorted(away)
    assert away[-1] > 5


# === In batches ===


def test_batches_without_faults_are_what_they_were():
    pixels = noise(8, 6, 6)
    one = batches(pixels, 4, image_size=4, shuffle=(1, 2))
    other = batches(pixels, 4, image_size=4, shuffle=(1, 2), faults=0.0)
    for here, there in zip(one, other, strict=True):
        for some, others in zip(here, there, strict=True):
            assert some.numpy().tobytes() == others.numpy().tobytes()


def test_faults_change_lightness_and_never_ab_nor_labels():
    pixels = noise(300, 6, 6)
    options = {
        "image_size": 4,
        "shuffle": (1, 2),
        "labels": np.arange(300),
    }
    changed = 0
    for before, after in zip(
        batches(pixels, 100, **options),
        batches(pixels, 100, **options, faults=0.5),
        strict=True,
    ):
        assert before[1].numpy().tobytes() == after[1].numpy().tobytes()
        assert before[2]["labels"].numpy().tolist() == (
            after[2]["labels"].numpy().tolist()
        )
        assert before[0].shape == after[0].shape
        apart = before[0].numpy() != after[0].numpy()
        changed += apart.any(axis=(1, 2, 3)).sum()
    assert 115 < changed < 185  # 150, give or take 4 standard deviations


@pytest.mark.parametrize("image_size", [None, 4])
def test_parts_of_a_batch_have_the_faults_of_the_whole(image_size):
    pixels = noise(16, 6, 6)
    options = {"image_size": image_size, "shuffle": (3, 4), "faults": 0.5}
    for (whole, _), one, other in zip(
        batches(pixels, 8, **options),
        batches(pixels, 8, **options, parts=((0,), 2)),
        batches(pixels, 8, **options, parts=((1,), 2)),
        strict=True,
    ):
        parts = tf.concat([one[0], other[0]], axis=0)
        np.testing.assert_array_equal(parts, whole)


def test_seed_and_epoch_alone_decide_the_faults():
    pixels = noise(1, 6, 6).repeat(6, axis=0)

    def draw(*shuffle, **options):
        drawn = batches(pixels, 3, shuffle=shuffle, faults=0.9, **options)
        return [lightness.numpy().tobytes() for lightness, _ in drawn]

    assert draw(1, 2) == draw(1, 2)
    assert draw(1, 2)[1:] == draw(1, 2, start=1)
    assert len({*draw(1, 2), *draw(1, 3), *draw(2, 2)}) == 6


def test_faults_without_shuffle_are_refused():
    with pytest.raises(ValueError, match="shuffle"):
        batches(noise(2, 4, 4), 2, faults=0.5)
