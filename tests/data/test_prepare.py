"""Tests for `kcolor.data.prepare`."""

import dataclasses
import hashlib
import io
import os
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kcolor.data import prepare
from kcolor.data.photos import shrink
from kcolor.data.pipeline import batches
from kcolor.data.prepare import (
    TEST,
    TRAIN,
    VALIDATION,
    assign,
    load,
    squared,
    tiles,
)
from kcolor.data.sources import open_source
from kcolor.errors import UserError

SIZE = 8
CROPS = 9  # what random crops of 8 are taken from
SPLITS = (TRAIN, VALIDATION, TEST)

DIGESTS = [hashlib.sha256(b"%d" % n).digest() for n in range(20_000)]
SHARES = {TEST: 0.1, VALIDATION: 0.05}


def colourful(number: int, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    return np.random.default_rng(number).integers(
        0, 256, (height, width, 3), np.uint8
    )


def grey(number: int) -> np.ndarray:
    return colourful(number)[..., :1].repeat(3, axis=-1)


def bmp(pixels: np.ndarray) -> bytes:
    """A file that is the same bytes with every release of Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "BMP")
    return file.getvalue()


def write(folder: Path, contents: dict[str, bytes]) -> str:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(folder)


def many(make=colourful, count: int = 30, called: str = "photo") -> dict:
    return {f"{called}{n:02}.bmp": bmp(make(n)) for n in range(count)}


def huge_png() -> bytes:
    """A few bytes that claim to be 400 megapixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


BROKEN = {
    "cut.bmp": (bmp(colourful(0))[:-30], "cut short"),
    "empty.png": (b"", "empty file"),
    "huge.png": (huge_png(), "larger than"),
    "text.jpg": (b"Dear diary, today I took no picture.", "not a picture"),
}


def splits_of(data) -> dict[str, prepare.Photos]:
    return {split: getattr(data, split) for split in SPLITS}


def refusal(*args) -> str:
    """The one line that refuses to load."""
    with pytest.raises(UserError) as caught:
        load(*args)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


# === Splits ===


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(100, 300),
    more=st.integers(0, 300),
    random=st.randoms(use_true_random=False),
)
def test_photos_added_to_others_move_none_of_them(count, more, random):
    before = DIGESTS[:count]
    after = DIGESTS[: count + more]
    random.shuffle(after)
    splits = dict(zip(after, assign(after, SHARES), strict=True))
    assert assign(before, SHARES) == [splits[digest] for digest in before]


@settings(deadline=None, max_examples=50)
@given(
    digests=st.lists(st.sampled_from(DIGESTS), max_size=30, unique=True),
    random=st.randoms(use_true_random=False),
)
def test_the_order_of_the_photos_decides_no_split(digests, random):
    splits = dict(zip(digests, assign(digests, SHARES), strict=True))
    random.shuffle(digests)
    assert assign(digests, SHARES) == [splits[digest] for digest in digests]


@settings(deadline=None)
@given(digests=st.lists(st.sampled_from(DIGESTS[:5]), max_size=10))
def test_copies_of_a_photo_are_never_in_two_splits(digests):
    pairs = set(zip(digests, assign(digests, SHARES), strict=True))
    assert len(pairs) == len(set(digests))


def test_a_split_gets_its_share_of_many_photos():
    counts = Counter(assign(DIGESTS, SHARES))
    assert counts[TEST] == pytest.approx(2000, abs=200)
    # Of what test leaves.
    assert counts[VALIDATION] == pytest.approx(900, abs=150)
    assert sum(counts.values()) == 20_000


def test_one_split_is_drawn_independently_of_another():
    alone = assign(DIGESTS, {VALIDATION: 0.5})
    both = assign(DIGESTS, {TEST: 0.5, VALIDATION: 0.5})
    left = [index for index, split in enumerate(both) if split != TEST]
    also = sum(both[index] == VALIDATION for index in left)
    assert also == pytest.approx(len(left) / 2, rel=0.05)
    assert Counter(alone)[VALIDATION] == pytest.approx(10_000, rel=0.05)


@settings(deadline=None)
@given(
    digests=st.lists(
        st.binary(min_size=32, max_size=32),
        min_size=3,
        max_size=8,
        unique=True,
    )
)
def test_no_split_of_a_few_photos_is_empty(digests):
    assert set(assign(digests, SHARES)) == set(SPLITS)


@given(digests=st.lists(st.sampled_from(DIGESTS), max_size=9, unique=True))
def test_a_share_of_nothing_is_nothing(digests):
    assert assign(digests, {VALIDATION: 0.0}) == [TRAIN] * len(digests)


def test_copies_in_a_folder_are_in_the_split_of_the_photo(tmp_path):
    photos = {f"{n:02}.bmp": bmp(colourful(n)) for n in range(12)}
    copies = {"copy-of-" + name: photo for name, photo in photos.items()}
    data = load(write(tmp_path, photos | copies), SIZE, 0.3)
    names = {split: set(kept.names) for split, kept in splits_of(data).items()}
    for kept in names.values():
        assert {"copy-of-" + name for name in kept if "copy" not in name} == {
            name for name in kept if "copy" in name
        }
    assert sum(map(len, names.values())) == 24


# === Photos ===


def test_every_photo_is_in_one_split_as_it_is(tmp_path):
    folder = write(tmp_path, many())
    data = load(folder, SIZE, 0.3)
    names = [name for kept in splits_of(data).values() for name in kept.names]
    assert sorted(names) == sorted(many())
    for kept in splits_of(data).values():
        for pixels, name in zip(kept.pixels, kept.names, strict=True):
            photo = colourful(int(name[5:7]))
            np.testing.assert_array_equal(pixels[:SIZE, :SIZE], photo)
    assert data.train.pixels.shape[1:] == (CROPS, CROPS, 3)
    assert data.validation.pixels.shape[1:] == (SIZE, SIZE, 3)
    assert data.test.pixels.shape[1:] == (SIZE, SIZE, 3)
    assert (data.near_grey, data.skipped, data.notes) == (0, [], [])


def test_a_folder_of_train_and_test_keeps_all_of_test_for_test(tmp_path):
    write(tmp_path / "train", many(count=20, called="a"))
    write(tmp_path / "test", many(count=4, called="b"))
    data = load(str(tmp_path), SIZE)
    assert data.test.names == sorted(many(count=4, called="b"))
    assert sorted(data.train.names + data.validation.names) == sorted(
        many(count=20, called="a")
    )


def test_photos_keep_their_domain(tmp_path):
    for domain in ("cats", "dogs"):
        write(tmp_path / domain, many(count=15))
    data = load(str(tmp_path), SIZE, 0.3)
    for kept in splits_of(data).values():
        assert len(kept.domains) == len(kept.names) == len(kept)
        for name, domain in zip(kept.names, kept.domains, strict=True):
            assert name.startswith(domain + os.sep)


def test_progress_is_told_of_every_file_once(tmp_path):
    write(tmp_path / "train", many(count=9))
    write(tmp_path / "test", many(count=3))
    told = []

    def progress(items, total):
        for item in items:
            told.append(total)
            yield item

    load(str(tmp_path), SIZE, progress=progress)
    assert told == [12] * 12


def test_no_two_splits_have_tiles_of_one_photo(tmp_path, monkeypatch):
    def flat(number):
        colour = np.uint8([8 * number, 250 - 8 * number, 128])
        return np.broadcast_to(colour, (12, 20, 3))

    folder = write(tmp_path, many(flat))
    monkeypatch.setattr(
        prepare,
        "open_source",
        lambda data: dataclasses.replace(open_source(data), crops=True),
    )
    data = load(folder, SIZE, 0.3)

    photo_of = {tuple(flat(n)[0, 0]): f"photo{n:02}.bmp" for n in range(30)}
    for kept in splits_of(data).values():
        colours = kept.pixels.reshape(len(kept), -1, 3)
        assert (colours == colours[:, :1]).all()
        names = [photo_of[tuple(pixels[0, 0])] for pixels in kept.pixels]
        assert names == kept.names

    counts = {s: Counter(kept.names) for s, kept in splits_of(data).items()}
    assert sum(map(len, counts.values())) == 30  # so no two share a photo
    tiles_each = len(list(tiles(flat(0))))
    assert tiles_each > 1
    assert set(counts[TRAIN].values()) == {tiles_each}
    assert set(counts[VALIDATION].values()) == {tiles_each}
    assert set(counts[TEST].values()) == {1}


# === Photos that are no use ===


def test_grey_photos_are_for_test_alone(tmp_path):
    write(tmp_path / "train", many() | many(grey, 6, "old"))
    write(tmp_path / "test", many(count=2) | many(grey, 3, "old"))
    data = load(str(tmp_path), SIZE, 0.3)
    assert data.near_grey == 6
    assert sorted(data.train.names + data.validation.names) == sorted(many())
    assert sum(name.startswith("old") for name in data.test.names) == 3
    assert data.skipped == []


def test_broken_files_are_skipped_and_each_named_with_its_fault(tmp_path):
    broken = {name: content for name, (content, _) in BROKEN.items()}
    data = load(write(tmp_path, many() | broken), SIZE, 0.3)
    assert sorted(name for name, _ in data.skipped) == sorted(BROKEN)
    for name, fault in data.skipped:
        assert BROKEN[name][1] in fault
    names = [name for kept in splits_of(data).values() for name in kept.names]
    assert sorted(names) == sorted(many())


def test_broken_files_are_skipped_in_test_too(tmp_path):
    broken = {name: content for name, (content, _) in BROKEN.items()}
    write(tmp_path / "train", many(count=6))
    write(tmp_path / "test", many(count=2) | broken)
    data = load(str(tmp_path), SIZE)
    assert sorted(name for name, _ in data.skipped) == sorted(BROKEN)
    assert len(data.test) == 2


def test_each_file_is_a_photo_or_grey_or_broken(tmp_path):
    broken = {name: content for name, (content, _) in BROKEN.items()}
    everything = many() | many(grey, 10, "old") | broken
    data = load(write(tmp_path, everything), SIZE, 0.3)
    kept = sum(map(len, splits_of(data).values()))
    assert kept + data.near_grey + len(data.skipped) == len(everything)
    assert data.near_grey > 0


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="root may read everything",
)
def test_a_file_that_may_not_be_read_is_skipped(tmp_path):
    folder = write(tmp_path, many())
    (tmp_path / "photo07.bmp").chmod(0)
    data = load(folder, SIZE, 0.3)
    assert data.skipped == [("photo07.bmp", "Permission denied")]


def vanish(monkeypatch, folder: str, name: str) -> None:
    """Takes a file away once the folder is listed."""
    source = open_source(folder)
    Path(folder, name).unlink()
    monkeypatch.setattr(prepare, "open_source", lambda data: source)


def test_a_file_that_cannot_be_read_is_skipped(tmp_path, monkeypatch):
    folder = write(tmp_path, many())
    vanish(monkeypatch, folder, "photo07.bmp")
    data = load(folder, SIZE, 0.3)
    assert data.skipped == [("photo07.bmp", "No such file or directory")]
    assert sum(map(len, splits_of(data).values())) == 29


def of_lowest_digest(contents: list[bytes]) -> bytes:
    return min(contents, key=lambda content: hashlib.sha256(content).digest())


def of_highest_digests(contents: list[bytes], count: int) -> list[bytes]:
    return sorted(contents, key=lambda c: hashlib.sha256(c).digest())[-count:]


@pytest.mark.parametrize("has_test", [True, False])
@pytest.mark.parametrize("useless", ["text", "grey", "gone"])
def test_a_useless_file_does_not_take_the_only_place_of_a_split(
    tmp_path, monkeypatch, useless, has_test
):
    # The lowest digest is the first to leave the training photos.
    photos = of_highest_digests([bmp(colourful(n)) for n in range(50)], 6)
    names = [f"photo{n}.bmp" for n in range(6)]
    lowest = of_lowest_digest(
        [bmp(grey(n)) for n in range(50)]
        if useless == "grey"
        else [b"text %d" % n for n in range(50)]
    )
    train = tmp_path / "train" if has_test else tmp_path
    write(train, dict(zip(names, photos, strict=True)) | {"odd.bmp": lowest})
    if has_test:
        write(tmp_path / "test", many(count=2))
    if useless == "gone":
        odd = str((train / "odd.bmp").relative_to(tmp_path))
        vanish(monkeypatch, str(tmp_path), odd)

    data = load(str(tmp_path), SIZE)
    kept = [n for photos in splits_of(data).values() for n in photos.names]
    assert set(names) <= set(kept)
    assert all(len(photos) > 0 for photos in splits_of(data).values())


def test_a_folder_of_broken_files_alone_is_refused_by_the_first(tmp_path):
    broken = {name: content for name, (content, _) in BROKEN.items()}
    folder = write(tmp_path, broken)
    text = refusal(folder, SIZE)
    assert folder in text
    assert "4 files, 4 broken" in text
    assert "'cut.bmp' (cut short)" in text


def test_a_folder_of_grey_photos_alone_is_refused(tmp_path):
    folder = write(tmp_path, many(grey, 5))
    text = refusal(folder, SIZE)
    assert folder in text
    assert "5 files, 5 near-grey" in text


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_photos_than_splits_are_refused(tmp_path, count):
    folder = write(tmp_path, many(count=count))
    text = refusal(folder, SIZE)
    assert folder in text
    assert str(count) in text


# === Fingerprint ===


def test_the_fingerprint_of_the_same_files_is_the_same(tmp_path):
    first = load(write(tmp_path / "a", many()), SIZE, 0.3)
    second = load(write(tmp_path / "b", many()), 2 * SIZE, 0.4)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_fingerprint_changes_with_any_byte(tmp_path, split):
    for inside in ("train", "test"):
        write(tmp_path / inside, many(count=5))
    before = load(str(tmp_path), SIZE).fingerprint
    file = tmp_path / split / "photo03.bmp"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert load(str(tmp_path), SIZE).fingerprint != before


def test_the_fingerprint_changes_with_a_photo_more(tmp_path):
    before = load(write(tmp_path, many()), SIZE, 0.3).fingerprint
    write(tmp_path, {"photo30.bmp": bmp(colourful(30))})
    assert load(str(tmp_path), SIZE, 0.3).fingerprint != before


def test_the_fingerprint_changes_with_the_class_of_a_photo(tmp_path):
    for kind in ("cats", "dogs"):
        write(tmp_path / "train" / kind, many(count=5, called=kind))
        write(tmp_path / "test" / kind, many(count=2, called=kind))
    before = load(str(tmp_path), SIZE).fingerprint
    cats, dogs = (tmp_path / "train" / kind for kind in ("cats", "dogs"))
    (cats / "cats04.bmp").rename(dogs / "a.bmp")  # the order stays
    assert load(str(tmp_path), SIZE).fingerprint != before


# === More photos than memory ===


def test_photos_that_do_not_fit_in_memory_are_the_same_from_a_file(
    tmp_path, monkeypatch
):
    folder = write(tmp_path, many() | many(grey, 3, "old"))
    held = load(folder, SIZE, 0.3)
    monkeypatch.setattr(prepare, "MEMORY_SHARE", 0)
    filed = load(folder, SIZE, 0.3)

    assert not isinstance(held.train.pixels, np.memmap)
    assert isinstance(filed.train.pixels, np.memmap)
    for split in SPLITS:
        in_memory, in_file = getattr(held, split), getattr(filed, split)
        np.testing.assert_array_equal(in_memory.pixels, in_file.pixels)
        assert in_memory.names == in_file.names
        assert in_memory.domains == in_file.domains

    def drawn(data):
        return batches(data.train.pixels, 4, image_size=SIZE, shuffle=(1, 2))

    count = 0
    for here, there in zip(drawn(held), drawn(filed), strict=True):
        for one, other in zip(here, there, strict=True):
            np.testing.assert_array_equal(one, other)
        count += 1
    assert count == len(held.train) // 4


def test_a_file_instead_of_memory_is_noted(tmp_path, monkeypatch):
    folder = write(tmp_path, many())
    monkeypatch.setattr(prepare, "MEMORY_SHARE", 0)
    (note,) = load(folder, SIZE, 0.3).notes
    assert "do not fit" in note
    assert "TMPDIR" in note
    assert len(note.splitlines()) == 1


# === Squares ===


@st.composite
def pictures(draw, least=1, most=40):
    height, width = (draw(st.integers(least, most)) for _ in range(2))
    return colourful(draw(st.integers(0, 9)), height, width)


@settings(deadline=None)
@given(pixels=pictures(), sharp=st.integers(1, 24), margin=st.integers(0, 3))
def test_a_square_has_the_size_asked_for(pixels, sharp, margin):
    square = squared(pixels, sharp, sharp + margin)
    assert square.shape == (sharp + margin, sharp + margin, 3)
    assert square.dtype == np.uint8


@settings(deadline=None)
@given(sharp=st.integers(2, 24), margin=st.integers(0, 3), data=st.data())
def test_a_photo_between_sharp_and_size_is_not_resampled(sharp, margin, data):
    size = sharp + margin
    short = data.draw(st.integers(sharp, size))
    longer = data.draw(st.integers(0, 9))
    photo = colourful(1, short, short + longer)
    if data.draw(st.booleans()):
        photo = photo.swapaxes(0, 1)
    top, left = ((side - short) // 2 for side in photo.shape[:2])
    centre = photo[top : top + short, left : left + short]

    square = squared(photo, sharp, size)
    before = (size - short) // 2
    inside = square[before : before + short, before : before + short]
    np.testing.assert_array_equal(inside, centre)
    # What is around it are its own pixels too, the nearest of them.
    around = [abs(n - before) for n in range(size)]
    around = [n if n < short else 2 * (short - 1) - n for n in around]
    np.testing.assert_array_equal(square, centre[around][:, around])


@settings(deadline=None)
@given(sharp=st.integers(2, 20), margin=st.integers(0, 3), data=st.data())
def test_a_larger_photo_is_shrunk_to_size(sharp, margin, data):
    size = sharp + margin
    side = data.draw(st.integers(size + 1, 3 * size))
    photo = colourful(2, side, side)
    np.testing.assert_array_equal(
        squared(photo, sharp, size), shrink(photo, size)
    )


@settings(deadline=None)
@given(sharp=st.integers(2, 20), margin=st.integers(0, 3), data=st.data())
def test_a_smaller_photo_is_enlarged_to_sharp_and_no_further(
    sharp, margin, data
):
    side = data.draw(st.integers(1, sharp - 1))
    photo = colourful(3, side, side)
    square = squared(photo, sharp, sharp + margin)
    before = margin // 2
    inside = square[before : before + sharp, before : before + sharp]
    np.testing.assert_array_equal(inside, shrink(photo, sharp))


# === Tiles ===


def places(pixels: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Top, left, height and width of each tile."""
    height, width = pixels.shape[:2]
    numbers = np.arange(height * width).reshape(height, width)
    return [
        (*divmod(int(tile[0, 0]), width), *tile.shape)
        for tile in tiles(numbers)
    ]


@settings(deadline=None)
@given(pixels=pictures(least=2))
def test_tiles_are_squares_of_two_scales_within_the_photo(pixels):
    height, width = pixels.shape[:2]
    short = min(height, width)
    found = places(pixels)
    assert {tile[2:] for tile in found} == {
        (short, short),
        (short // 2, short // 2),
    }
    assert len(set(found)) == len(found)
    cut = list(tiles(pixels))
    for tile, (top, left, side, _) in zip(cut, found, strict=True):
        assert top + side <= height
        assert left + side <= width
        np.testing.assert_array_equal(
            tile, pixels[top : top + side, left : left + side]
        )


@settings(deadline=None)
@given(pixels=pictures(least=2))
def test_tiles_of_each_scale_cover_the_photo(pixels):
    for side in {min(pixels.shape[:2]), min(pixels.shape[:2]) // 2}:
        covered = np.zeros(pixels.shape[:2], bool)
        for top, left, height, width in places(pixels):
            if height == side:
                covered[top : top + height, left : left + width] = True
        assert covered.all()


@settings(deadline=None)
@given(pixels=pictures(least=2))
def test_neighbouring_tiles_overlap_by_half_at_least(pixels):
    found = places(pixels)
    for side in {height for _, _, height, _ in found}:
        tops, lefts = zip(
            *[tile[:2] for tile in found if tile[2] == side], strict=True
        )
        for starts in (tops, lefts):
            steps = np.diff(sorted(set(starts)))
            assert (steps <= (side + 1) // 2).all()


# === Halves ===


def test_halves_share_no_photo_not_even_as_a_copy(tmp_path):
    contents = many(count=40)
    contents |= {f"copy{n}.bmp": contents[f"photo{n:02}.bmp"] for n in range(9)}
    train = load(write(tmp_path, contents), SIZE).train
    first, second = train.halves()
    assert sorted([*first, *second]) == list(range(len(train)))
    assert abs(len(first) - len(second)) <= 9
    shared = {train.digests[n] for n in first} & {
        train.digests[n] for n in second
    }
    assert not shared
    assert len(set(train.digests)) < len(train)


def test_all_crops_of_a_photo_are_in_the_same_half():
    train = load("demo", SIZE).train
    first, second = ({train.names[n] for n in half} for half in train.halves())
    assert first
    assert second
    assert first.isdisjoint(second)
