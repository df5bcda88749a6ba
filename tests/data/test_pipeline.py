"""Tests for `kcolor.data.pipeline`."""

import collections

import numpy as np
import pytest
import skimage.color
from hypothesis import given, settings
from hypothesis import strategies as st

from kcolor.color import rgb_to_lab
from kcolor.data import pipeline
from kcolor.data.pipeline import ab_histogram, batches

# Of one L each, a good part of a unit apart.
GREYS = np.uint8(range(4, 252, 6))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def numbered(count: int, size: int = 2) -> np.ndarray:
    """Photos that can be told apart by `numbers`."""
    pixels = np.empty((count, size, size, 3), np.uint8)
    pixels[:] = GREYS[:count, np.newaxis, np.newaxis, np.newaxis]
    return pixels


def numbers(batch) -> list[int]:
    """Which photo each one of a batch is."""
    lightness, _ = batch
    known = as_lab(numbered(len(GREYS)))[:, 0, 0, 0]
    apart = np.abs(lightness.numpy()[:, :1, 0, 0] - known)
    assert apart.min(axis=1).max() < 0.01
    return apart.argmin(axis=1).tolist()


def as_lab(pixels: np.ndarray) -> np.ndarray:
    return rgb_to_lab(pixels.astype(np.float32) / 255).numpy()


def joined(batch) -> np.ndarray:
    return np.concatenate(batch, axis=-1)


def in_file(pixels: np.ndarray, path) -> np.memmap:
    pixels.tofile(path)
    return np.memmap(path, np.uint8, "r", shape=pixels.shape)


def assert_same_bits(some, others):
    for one, other in zip(some, others, strict=True):
        for here, there in zip(one, other, strict=True):
            assert here.numpy().tobytes() == there.numpy().tobytes()


# === Colours ===


def test_batches_are_the_lab_of_the_pixels():
    pixels = noise(7, 5, 5)
    got = np.concatenate([joined(batch) for batch in batches(pixels, 3)])
    np.testing.assert_allclose(got, as_lab(pixels), atol=1e-3)
    np.testing.assert_allclose(got, skimage.color.rgb2lab(pixels), atol=0.01)


def test_lightness_is_from_0_to_100():
    corners = np.uint8(np.meshgrid(*[[0, 255]] * 3)).reshape(3, -1).T
    pixels = np.concatenate([corners, noise(56)]).reshape(1, 8, 8, 3)
    ((lightness, ab),) = batches(pixels, 1)
    assert lightness.numpy().min() >= 0
    assert lightness.numpy().max() <= 100.001
    assert np.ptp(lightness) == pytest.approx(100, abs=0.01)
    assert np.abs(ab).max() < 110


@pytest.mark.parametrize("filed", [False, True])
def test_models_can_tell_the_shape_before_the_first_batch(tmp_path, filed):
    pixels = noise(4, 5, 5)
    if filed:
        pixels = in_file(pixels, tmp_path / "pixels")
    lightness, ab = batches(
        pixels, 2, image_size=3, shuffle=(0, 0)
    ).element_spec
    assert lightness.shape[1:] == (3, 3, 1)
    assert ab.shape[1:] == (3, 3, 2)
    assert (lightness.dtype, ab.dtype) == ("float32", "float32")


# === Order ===


@pytest.mark.parametrize(
    ("count", "sizes"), [(6, [3, 3]), (7, [3, 3, 1]), (2, [2])]
)
def test_without_shuffling_all_photos_come_in_their_own_order(count, sizes):
    found = [numbers(batch) for batch in batches(numbered(count), 3)]
    assert [len(batch) for batch in found] == sizes
    assert sum(found, []) == list(range(count))


@settings(deadline=None, max_examples=20)
@given(
    count=st.integers(1, len(GREYS)),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 10**6),
)
def test_an_epoch_shows_each_photo_once_but_for_what_fills_no_batch(
    count, batch_size, seed, epoch
):
    shuffle = (seed, epoch)
    drawn = batches(numbered(count), batch_size, shuffle=shuffle)
    found = [numbers(batch) for batch in drawn]
    assert [len(batch) for batch in found] == [batch_size] * (
        count // batch_size
    )
    shown = sum(found, [])
    assert len(set(shown)) == len(shown)
    assert set(shown) <= set(range(count))


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 10**6))
def test_seed_and_epoch_alone_decide_order_and_crops(seed, epoch):
    pixels = noise(10, 5, 5)

    def draw():
        shuffle = (seed, epoch)
        return batches(pixels, 3, image_size=3, shuffle=shuffle)

    again = draw()
    assert_same_bits(draw(), again)
    assert_same_bits(again, again)


@settings(deadline=None, max_examples=8)
@given(
    one=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    other=st.tuples(st.integers(0, 99), st.integers(0, 99)),
)
def test_another_seed_or_epoch_has_another_order(one, other):
    def order(shuffle):
        (batch,) = batches(numbered(40), 40, shuffle=shuffle)
        return numbers(batch)

    assert (order(one) == order(other)) == (one == other)
    assert order(one) != list(range(40))


# === Start ===


@settings(deadline=None, max_examples=14)
@given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 4),
    start=st.integers(0, 13),
    shuffle=st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
    crops=st.booleans(),
)
def test_to_start_at_a_batch_is_to_skip_those_before_it(
    count, batch_size, start, shuffle, crops
):
    options = {
        "shuffle": shuffle,
        "image_size": 3 if crops and shuffle is not None else None,
    }
    pixels = noise(count, 5, 5, seed=count)
    whole = list(batches(pixels, batch_size, **options))
    rest = batches(pixels, batch_size, start=start, **options)
    assert_same_bits(rest, whole[start:])


def test_a_start_leaves_photos_unread(tmp_path):
    read = []

    class Watched(np.memmap):
        def __getitem__(self, rows):
            read.extend(np.atleast_1d(rows).tolist())
            return super().__getitem__(rows)

    pixels = in_file(numbered(12), tmp_path / "pixels").view(Watched)
    assert len(list(batches(pixels, 2, start=4))) == 2
    assert sorted(read) == [8, 9, 10, 11]


# === Crops ===


def windows(photo: np.ndarray, size: int) -> dict[tuple, np.ndarray]:
    """All that a crop may be: by top, left, and whether it is mirrored."""
    margin = len(photo) - size
    return {
        (top, left, mirrored): photo[top : top + size, left : left + size][
            :, :: -1 if mirrored else 1
        ]
        for top in range(margin + 1)
        for left in range(margin + 1)
        for mirrored in (False, True)
    }


def places(crops: np.ndarray, photo: np.ndarray) -> list[tuple]:
    """The window that each crop of a photo is."""
    size = crops.shape[1]
    known = windows(as_lab(photo), size)
    apart = np.abs(crops[:, np.newaxis] - np.stack(list(known.values())))
    fits = apart.max(axis=(2, 3, 4)) < 0.01
    assert (fits.sum(axis=1) == 1).all()
    return [list(known)[fit] for fit in fits.argmax(axis=1)]


@settings(deadline=None, max_examples=8)
@given(
    size=st.integers(3, 6),
    margin=st.integers(0, 3),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 99),
)
def test_a_crop_is_a_window_of_its_photo_maybe_mirrored(
    size, margin, seed, epoch
):
    photo = noise(size + margin, size + margin, seed=seed)
    pixels = np.stack([photo] * 5)
    for batch in batches(pixels, 5, image_size=size, shuffle=(seed, epoch)):
        assert len(places(joined(batch), photo)) == 5


def test_every_offset_and_both_mirrorings_occur_equally_often():
    photo = noise(5, 5)
    pixels = np.stack([photo] * 900)
    drawn = batches(pixels, 100, image_size=3, shuffle=(1, 2))
    found = collections.Counter()
    for batch in drawn:
        found.update(places(joined(batch), photo))
    assert len(found) == 3 * 3 * 2
    # 50 times each, give or take 5 standard deviations.
    assert min(found.values()) > 15
    assert max(found.values()) < 85


def test_crops_differ_from_photo_to_photo_and_from_batch_to_batch():
    photo = noise(12, 12)
    pixels = np.stack([photo] * 8)
    one, other = (
        places(joined(batch), photo)
        for batch in batches(pixels, 4, image_size=6, shuffle=(0, 0))
    )
    assert len(set(one)) > 1
    assert one != other


def test_crops_differ_from_epoch_to_epoch():
    photo = noise(12, 12)
    pixels = np.stack([photo] * 8)

    def crops(epoch):
        drawn = batches(pixels, 8, image_size=6, shuffle=(0, epoch))
        return [places(joined(batch), photo) for batch in drawn]

    assert crops(0) != crops(1)


# === From a file ===


@settings(deadline=None, max_examples=10)
@given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 4),
    start=st.integers(0, 3),
    shuffle=st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_photos_from_a_file_are_the_same_as_from_memory(
    tmp_path_factory, count, batch_size, start, shuffle
):
    options = {
        "shuffle": shuffle,
        "start": start,
        "image_size": None if shuffle is None else 3,
    }
    pixels = noise(count, 5, 5)
    filed = in_file(pixels, tmp_path_factory.mktemp("pixels") / "pixels")
    assert_same_bits(
        batches(filed, batch_size, **options),
        batches(pixels, batch_size, **options),
    )


# === Histogram ===


def twin_histogram(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Counts by scikit-image, and how many pixels lie between two cells."""
    ab = skimage.color.rgb2lab(pixels)[..., 1:].reshape(-1, 2)
    counts = np.zeros((256, 256), int)
    np.add.at(counts, tuple((np.rint(ab).astype(int) + 128).T), 1)
    between = np.abs(ab - np.floor(ab) - 0.5).min(axis=1) < 0.001
    return counts, between.sum()


@settings(deadline=None, max_examples=10)
@given(
    count=st.integers(1, 5),
    side=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_a_histogram_counts_what_scikit_image_would(count, side, seed):
    pixels = noise(count, side, side, seed=seed)
    counts = ab_histogram(pixels)
    twin, between = twin_histogram(pixels)
    assert counts.shape == (256, 256)
    assert counts.sum() == count * side * side
    assert np.abs(counts - twin).sum() <= 2 * between


def test_a_histogram_counts_more_photos_than_a_batch_holds():
    pixels = noise(300, 2, 2)
    counts = ab_histogram(pixels)
    twin, between = twin_histogram(pixels)
    assert counts.sum() == 300 * 2 * 2
    assert np.abs(counts - twin).sum() <= 2 * between


def test_grey_is_in_the_middle_of_a_histogram():
    counts = ab_histogram(numbered(5))
    assert np.argwhere(counts).tolist() == [[128, 128]]


def test_the_corners_of_srgb_have_a_place_in_a_histogram():
    corners = np.uint8(np.meshgrid(*[[0, 255]] * 3)).reshape(3, -1).T
    assert ab_histogram(corners.reshape(1, 2, 4, 3)).sum() == 8


@pytest.mark.parametrize(
    ("most", "counted"),
    [(10, range(10)), (9, range(0, 10, 2)), (4, [0, 3, 6, 9]), (1, [0])],
)
def test_a_histogram_of_many_photos_counts_some_evenly_spread(
    monkeypatch, most, counted
):
    monkeypatch.setattr(pipeline, "HISTOGRAM_PHOTOS", most)
    pixels = noise(10, 6, 6)
    some = pixels[list(counted)]
    twin, between = twin_histogram(some)
    counts = ab_histogram(pixels)
    assert counts.sum() == len(some) * 36
    assert np.abs(counts - twin).sum() <= 2 * between


def test_a_histogram_of_photos_in_a_file_is_that_of_those_in_memory(tmp_path):
    pixels = noise(6, 4, 4)
    filed = in_file(pixels, tmp_path / "pixels")
    np.testing.assert_array_equal(ab_histogram(filed), ab_histogram(pixels))


def test_lightness_and_ab_are_those_of_rgb_to_lab():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (4, 16, 16, 3), np.uint8)
    ((lightness, ab),) = batches(pixels, 4)
    expected = rgb_to_lab(np.float32(pixels) / 255)
    found = np.concatenate([lightness, ab], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-4)
