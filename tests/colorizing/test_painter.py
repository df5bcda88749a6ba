"""Tests for `kcolor.colorizing.painter`."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

import kcolor
from kcolor.colorizing import painter
from kcolor.colorizing.painter import Look, Painter
from kcolor.errors import UserError

LEVEL = 100 / 255  # of lightness, from one level of grey to the next


def photo(height=45, width=60, channels=1, dtype="uint8"):
    random = np.random.default_rng(0)
    white = np.iinfo(dtype).max
    return random.integers(
        white // 4, white // 2, (height, width, channels), dtype
    )


def chroma(rgb):
    lab = rgb2lab(rgb / np.iinfo(rgb.dtype).max)
    return np.hypot(lab[..., 1], lab[..., 2]).mean()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_any_array_of_a_photo_comes_back_in_colour(l2, dtype, channels):
    given = photo(channels=channels or 1, dtype=dtype)
    painted = kcolor.colorize(given if channels else given[..., 0], l2)
    has_alpha = channels in (2, 4)
    assert painted.shape == (45, 60, 4 if has_alpha else 3)
    assert painted.dtype == dtype
    assert chroma(painted[..., :3]) > 5
    if has_alpha:
        np.testing.assert_array_equal(painted[..., 3], given[..., -1])
    colours = given[..., :-1] if has_alpha else given
    white = np.iinfo(dtype).max
    before, after = (
        rgb2lab(np.broadcast_to(part, (45, 60, 3)) / white)[..., 0]
        for part in (colours, painted[..., :3])
    )
    assert np.abs(before - after).max() <= LEVEL


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 500), (33, 31)])
def test_any_size_comes_back_at_that_size(l2, size):
    assert kcolor.colorize(photo(*size), l2).shape == (*size, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_photo_is_refused_in_words(l2, wrong):
    with pytest.raises(ValueError, match="a photo is uint8 or uint16"):
        kcolor.colorize(wrong, l2)


def test_a_file_is_coloured_as_its_pixels_are(l2, l2_file, tmp_path):
    Image.fromarray(photo()[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(
        kcolor.colorize(tmp_path / "grey.png", l2_file),
        kcolor.colorize(photo(), l2),
    )


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_a_deep_grey_picture_is_coloured_as_its_array_is(l2, mode):
    deep = photo(dtype="uint16")[..., 0]
    kind = {"I;16B": ">u2", "I": "int32", "F": "float32"}.get(mode, "uint16")
    picture = Image.frombytes(
        mode, deep.shape[::-1], deep.astype(kind).tobytes()
    )
    np.testing.assert_array_equal(
        kcolor.colorize(picture, l2), kcolor.colorize(deep, l2)
    )


def test_a_colorizer_is_compiled_once_for_a_loop_over_photos(l2):
    kcolor.colorize(photo(), l2)
    known = painter._kept.cache_info().hits
    kcolor.colorize(photo(), l2)
    assert painter._kept.cache_info().hits == known + 1


@pytest.mark.parametrize("look", [{}, {"temperature": 0.3}])
def test_a_colorizer_that_learns_on_is_asked_anew(ce, look):
    own = ce.get_weights()
    before = kcolor.colorize(photo(), ce, **look)
    ce.set_weights([0 * weight for weight in own])
    after = kcolor.colorize(photo(), ce, **look)
    ce.set_weights(own)
    assert (before != after).any()


def test_saturation_multiplies_the_colours(l2):
    grey, plain, vivid = (
        kcolor.colorize(photo(dtype="uint16"), l2, saturation=factor)
        for factor in (0, 0.5, 1)
    )
    assert chroma(grey) < 0.01
    assert chroma(vivid) == pytest.approx(2 * chroma(plain), rel=0.1)


def test_the_temperature_is_that_of_the_answer(ce):
    (own,), (mode,), (flat,) = (
        Painter(ce, Look(temperature=temperature)).colours([photo()])[0]
        for temperature in (None, 0.0, 1000.0)
    )
    np.testing.assert_array_equal(mode % 10, 0)  # each pixel a bin's centre
    assert (own % 10).any()
    assert np.ptp(flat, axis=(0, 1)).max() < 1  # all bins count alike
    assert ce.objective.temperature == 0.38


def test_draws_differ_and_come_again(ce):
    first = kcolor.colorize(photo(), ce, samples=3)
    again = kcolor.colorize(photo(), ce, samples=3)
    other = kcolor.colorize(photo(), ce, samples=3, seed=1)
    assert len(first) == 3
    np.testing.assert_array_equal(first, again)
    drawn = [*first, *other]
    for number, one in enumerate(drawn):
        for two in drawn[number + 1 :]:
            assert not np.array_equal(one, two)


def test_photos_are_coloured_alike_alone_and_in_a_batch(l2, ce):
    for model, look in ((l2, Look()), (ce, Look(samples=2))):
        painter = Painter(model, look)
        photos = [photo(40, 60), photo(80, 120)[::-1], photo(50, 50)]
        together = painter.colours(photos)
        for one, colours in zip(photos, together, strict=True):
            (alone,) = painter.colours([one])
            assert len(alone) == (look.samples or 1)
            for ours, theirs in zip(colours, alone, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_model_sees_the_photo_at_the_size_it_is_told(l2):
    (small,), (large,) = (
        Painter(l2, Look(image_size=size)).colours([photo(90, 120)])[0]
        for size in (None, 48)
    )
    assert small.shape == (32, 43, 2)
    assert large.shape == (48, 64, 2)


def test_colours_along_edges_are_not_those_of_bilinear(l2):
    guided, bilinear = (
        kcolor.colorize(photo(100, 120), l2, upsample=upsample)
        for upsample in ("guided", "bilinear")
    )
    assert not np.array_equal(guided, bilinear)


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        ({"temperature": 0.5}, "knows no --temperature"),
        ({"samples": 2}, "knows one answer, no --samples"),
        ({"saturation": -1}, "--saturation -1"),
        ({"saturation": float("nan")}, "--saturation nan"),
        ({"samples": 0}, "--samples 0"),
        ({"saturation": "1"}, "--saturation 1"),
        ({"seed": 1.5}, "--seed 1.5"),
        ({"image_size": 100_000}, "--image-size 100000"),
        ({"upsample": "guidde"}, "did you mean 'guided'"),
    ],
)
def test_what_the_model_cannot_do_is_refused_in_one_line(l2, look, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        kcolor.colorize(photo(), l2, **look)
    assert "\n" not in str(refusal.value)


def test_a_model_that_is_none_is_refused(tmp_path):
    (tmp_path / "text.txt").write_text("Dear diary")
    for path, reason in (
        (tmp_path / "text.txt", "is no run, no SavedModel"),
        (tmp_path / "nothing", "does not exist"),
        (tmp_path, "is no run, no SavedModel"),
    ):
        with pytest.raises(UserError, match=reason):
            kcolor.colorize(photo(), path)
