"""From a source's files to decoded photos of one size, in three splits."""

from __future__ import annotations

import contextlib
import hashlib
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import tensorflow as tf

from kcolor.data import photos
from kcolor.data.sources import Files, open_source
from kcolor.errors import UserError

TEST_SHARE = 0.1  # of a source that has no test photos of its own
MEMORY_SHARE = 0.5  # of the free memory that decoded photos may fill
# Bytes of a digest that decide its half: others than those of the splits.
HALVES = slice(16, 24)

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NEAR_GREY = "near-grey"


@dataclass(frozen=True)
class Photos:
    """Decoded photos of one size.

    Attributes:
        pixels: uint8 (n, H, W, 3): an array in memory, or one mapped to a file
            where memory is short.
        names: What each photo is called.
        domains: The class of each photo, or "".
        digests: sha256 of each photo's file.
    """

    pixels: np.ndarray
    names: list[str]
    domains: list[str]
    digests: list[bytes]

    def __len__(self) -> int:
        return len(self.pixels)

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers of the photos in two halves that share none.

        By a hash of their content: all crops of a photo, and its copies, are in
        the same half.
        """
        order = sorted(set(self.digests), key=lambda digest: digest[HALVES])
        first = set(order[: len(order) // 2])
        is_first = np.array([digest in first for digest in self.digests])
        return np.flatnonzero(is_first), np.flatnonzero(~is_first)


@dataclass(frozen=True)
class Data:
    """The photos of an experiment.

    Attributes:
        train: Photos for training, with a margin for random crops.
        validation: Photos cut from the training photos by a hash of their
            content, to choose by.
        test: Photos to report on, never to choose by.
        near_grey: How many training photos were dropped for having no colour.
        skipped: Name and fault of each file that could not be used.
        notes: What else a user should know, a line each.
        fingerprint: sha256 over the content of all files, and their classes.
    """

    train: Photos
    validation: Photos
    test: Photos
    near_grey: int
    skipped: list[tuple[str, str]]
    notes: list[str]
    fingerprint: str

    @property
    def classes(self) -> list[str]:
        """Names of the classes of the photos that are trained on, sorted."""
        return sorted({*self.train.domains, *self.validation.domains})


def load(
    data: str,
    image_size: int,
    validation_share: float = 0.05,
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Data:
    """Decodes the photos of a source, each once, and splits them.

    Splits are by photo and by its content: a photo stays in its split whatever
    is added beside it, and no crop of it is in two. Only in sources so small
    that a split would stay empty is a photo moved there.

    Args:
        data: What `kcolor.data.sources.open_source` takes.
        image_size: Height and width of the photos, in pixels.
        validation_share: Share of the training photos kept for validation.
        progress: Wraps the iteration over the files, to show how far it is.

    Raises:
        UserError: The source cannot be opened, or holds too few usable photos.
    """
    source = open_source(data)
    shares = {VALIDATION: validation_share}
    if source.test is None:
        shares = {TEST: TEST_SHARE, **shares}
    digests = _digests(source.train)
    tests = _digests(source.test) if source.test else []
    useless: set[bytes] = set()
    while True:
        usable = [digest for digest in digests if digest not in useless]
        split_of = dict(zip(usable, assign(usable, shares), strict=True))
        splits = [split_of.get(d, TRAIN) for d in digests]
        parts = [(source.train, splits, digests)]
        if source.test:
            parts.append((source.test, [TEST] * len(tests), tests))
        gathered = _Gathered(source.crops, image_size)
        found = gathered.add_all(parts, progress)
        fresh = {
            digest
            for digest, is_used in zip(digests + tests, found, strict=True)
            if not is_used
        }
        if all(split.names for split in gathered.splits.values()):
            domains = "\0".join(d for files, *_ in parts for d in files.domains)
            return gathered.data(
                [*digests, *tests, domains.encode(errors="surrogateescape")]
            )
        # What took a split's only place may be broken: deal without it.
        if fresh <= useless:
            raise UserError(gathered.too_few(data, len(found)))
        useless |= fresh


def sample(
    data: str,
    image_size: int,
    counts: dict[str, int],
    wanted: Callable[[str], bool] = lambda name: True,
) -> dict[str, Photos]:
    """Decodes a few photos of a source, spread over it evenly.

    Args:
        data: What `kcolor.data.sources.open_source` takes.
        image_size: Height and width of the photos, in pixels.
        counts: How many of each split, "train" or "test"; fewer where there
            are fewer. Photos of validation count as training photos.
        wanted: Whether the photo of a name may be among them.

    Returns:
        The photos of each split, without the broken ones.

    Raises:
        UserError: The source cannot be opened, or a split has no usable photo.
    """
    source = open_source(data)
    if source.test is not None:
        files = {TRAIN: source.train, TEST: source.test}
        rows = {split: np.arange(len(part)) for split, part in files.items()}
    else:
        files = {TRAIN: source.train, TEST: source.train}
        splits = assign(_digests(source.train), {TEST: TEST_SHARE})
        rows = {
            split: np.flatnonzero(np.array(splits) == split) for split in files
        }
    found = {}
    for split, count in counts.items():
        names = files[split].names
        known = [row for row in rows[split] if wanted(names[row])]
        found[split] = _some(files[split], known, count, image_size)
        if not len(found[split]):
            raise UserError(
                f"data '{data}' has no usable {split} photo: add photos"
            )
    return found


def _some(
    files: Files, rows: Sequence[int], count: int, image_size: int
) -> Photos:
    """Returns up to `count` of some files, decoded, without the broken ones."""
    count = min(count, len(rows))
    chosen = {int(rows[n * len(rows) // count]) for n in range(count)}
    split = _Split(image_size)
    for row, element in enumerate(files.dataset.as_numpy_iterator()):
        if row in chosen:
            with contextlib.suppress(photos.BrokenPhoto, OSError):
                encoded = files.read(element)
                square = squared(photos.decode(encoded), image_size, image_size)
                digest = hashlib.sha256(encoded).digest()
                split.add(
                    square[None], files.names[row], files.domains[row], digest
                )
    return split.photos()


def assign(digests: list[bytes], shares: dict[str, float]) -> list[str]:
    """Deals photos to splits by the digest of their content.

    Args:
        digests: sha256 of each photo's file. Copies go to the same split.
        shares: The share of each split beside "train".

    Returns:
        The split of each photo. No split stays empty where there are as many
        distinct photos as splits: in a small source the lowest digest is taken.

    Example:

    >>> digests = [hashlib.sha256(bytes([n])).digest() for n in range(100)]
    >>> splits = assign(digests, {"test": 0.2})
    >>> splits.count("test"), splits[:50] == assign(digests[:50], {"test": 0.2})
    (14, True)
    """
    split_of = dict.fromkeys(digests, TRAIN)
    for number, (split, share) in enumerate(shares.items()):
        # Other bytes for each split, so that they are drawn independently.
        part = slice(8 * number, 8 * number + 8)
        left = sorted(
            (digest[part], digest)
            for digest, taken in split_of.items()
            if taken == TRAIN
        )
        bound = share * 2**64
        count = sum(int.from_bytes(rank) < bound for rank, _ in left)
        still_to_fill = len(shares) - number
        count = min(max(count, share > 0), max(len(left) - still_to_fill, 0))
        for _, digest in left[:count]:
            split_of[digest] = split
    return [split_of[digest] for digest in digests]


def squared(pixels: np.ndarray, sharp: int, size: int) -> np.ndarray:
    """Returns the centre square of a photo at one size.

    Args:
        pixels: uint8 (H, W, 3).
        sharp: A photo whose short side is less is enlarged to it, no further.
        size: Height and width of the square, in pixels, at least `sharp`. A
            photo between the two is padded by reflection, so that small photos
            stay as sharp as they are.
    """
    short = min(pixels.shape[:2])
    top, left = ((side - short) // 2 for side in pixels.shape[:2])
    square = pixels[top : top + short, left : left + short]
    short = min(max(short, sharp), size)
    square = photos.shrink(square, short)
    before = (size - short) // 2
    after = size - short - before
    return np.pad(
        square, [(before, after), (before, after), (0, 0)], mode="reflect"
    )


def tiles(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts a photo into squares as wide as its short side, and half as wide.

    Neighbours overlap by half or a little more, up to the edges.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    for side in (short, short // 2):
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield pixels[top : top + side, left : left + side]


def _starts(length: int, side: int) -> np.ndarray:
    """Spreads tiles evenly from the first pixel to the last."""
    steps = math.ceil((length - side) / math.ceil(side / 2))
    return np.linspace(0, length - side, steps + 1).round().astype(int)


class _Gathered:
    """The photos of all splits while they come in."""

    def __init__(self, is_cut: bool, image_size: int):
        self.is_cut = is_cut
        self.image_size = image_size
        largest = image_size + image_size // 8  # random crops move by an eighth
        self.splits = {
            TRAIN: _Split(largest),
            VALIDATION: _Split(image_size),
            TEST: _Split(image_size),
        }
        self.near_grey = 0
        self.skipped: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def add_all(self, parts: list, progress: Callable) -> list[bool]:
        """Decodes and adds files; returns whether each could be used."""
        train = self.splits[TRAIN]
        self.notes = train.reserve(parts[0][1].count(TRAIN))
        # A photo that is cut is needed at its full size.
        shrink_to = None if self.is_cut else train.size
        decoded = (
            (*item, digest)
            for files, splits, digests in parts
            for item, digest in zip(
                _decoded(files, splits, self._squares, shrink_to),
                digests,
                strict=True,
            )
        )
        total = sum(len(files) for files, *_ in parts)
        used = []
        for name, domain, split, squares, fault, digest in progress(
            decoded, total
        ):
            used.append(len(squares) > 0)
            if fault:
                self.skipped.append((name, fault))
            elif not used[-1]:
                self.near_grey += 1
            else:
                self.splits[split].add(squares, name, domain, digest)
        return used

    def data(self, content: list[bytes]) -> Data:
        return Data(
            **{name: split.photos() for name, split in self.splits.items()},
            near_grey=self.near_grey,
            skipped=self.skipped,
            notes=self.notes,
            fingerprint=hashlib.sha256(b"".join(content)).hexdigest(),
        )

    def too_few(self, data: str, total: int) -> str:
        """Returns what is wrong with a source that leaves a split empty."""
        faults = []
        if self.skipped:
            name, fault = self.skipped[0]
            faults.append(
                f"{len(self.skipped)} broken, the first is '{name}' ({fault})"
            )
        if self.near_grey:
            faults.append(f"{self.near_grey} near-grey")
        return (
            f"data '{data}' has too few usable photos to train, validate and "
            f"test: {total} files{', '.join(['', *faults])}: add photos"
        )

    def _squares(self, split: str, pixels: np.ndarray) -> Iterator[np.ndarray]:
        if split == TEST:
            yield squared(pixels, self.image_size, self.image_size)
        elif not photos.is_near_grey(pixels):
            size = self.splits[split].size
            for tile in tiles(pixels) if self.is_cut else [pixels]:
                yield squared(tile, self.image_size, size)


class _Split:
    """The photos of one split while they come in."""

    def __init__(self, size: int):
        self.size = size
        self.squares: list[np.ndarray] = []
        self.names: list[str] = []
        self.domains: list[str] = []
        self.digests: list[bytes] = []
        self.file = None

    def reserve(self, count: int) -> list[str]:
        """Turns to a file where `count` photos would not fit in memory."""
        needed = count * self.size**2 * 3
        free = psutil.virtual_memory().available
        if needed <= MEMORY_SHARE * free:
            return []
        # It has no name, so it goes when the process does, however that ends.
        self.file = tempfile.TemporaryFile(prefix="kcolor-")  # noqa: SIM115
        return [
            f"the {needed / 1e9:.1f} GB of training photos do not fit in "
            f"{free / 1e9:.1f} GB of free memory: kept in a file in "
            f"{tempfile.gettempdir()} (TMPDIR chooses another folder)"
        ]

    def add(
        self, squares: np.ndarray, name: str, domain: str, digest: bytes
    ) -> None:
        if self.file is None:
            self.squares.append(squares)
        else:
            self.file.write(squares.tobytes())
        self.names += [name] * len(squares)
        self.domains += [domain] * len(squares)
        self.digests += [digest] * len(squares)

    def photos(self) -> Photos:
        if self.file is None:
            none = np.zeros((0, self.size, self.size, 3), np.uint8)
            pixels = np.concatenate([none, *self.squares])
        else:
            self.file.flush()
            shape = (len(self.names), self.size, self.size, 3)
            pixels = np.memmap(self.file, np.uint8, "r", shape=shape)
        return Photos(pixels, self.names, self.domains, self.digests)


def _mapped(dataset: tf.data.Dataset, function: Callable, types) -> Iterator:
    """Yields what a Python function makes of each element, side by side.

    Reading files and decoding pictures both leave Python's lock, so threads
    do speed them up.
    """
    return (
        dataset.map(
            lambda *element: tf.numpy_function(function, element, types),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(tf.data.AUTOTUNE)
        .as_numpy_iterator()
    )


def _digests(files: Files) -> list[bytes]:
    def digest(element: bytes) -> bytes:
        try:
            return hashlib.sha256(files.read(element)).digest()
        except OSError:
            return bytes(32)  # named as skipped when it is decoded

    return list(_mapped(files.dataset, digest, tf.string))


def _decoded(
    files: Files, splits: list[str], prepare: Callable, shrink_to: int | None
) -> Iterator:
    """Yields (name, domain, split, squares, fault) for each file."""

    def decode(element: bytes, split: bytes) -> tuple[np.ndarray, str]:
        try:
            pixels = photos.decode(files.read(element), shrink_to)
        except (photos.BrokenPhoto, OSError) as error:
            fault = getattr(error, "strerror", None) or str(error)
            return np.zeros((0, 1, 1, 3), np.uint8), fault
        squares = list(prepare(split.decode(), pixels))
        return np.array(squares or np.zeros((0, 1, 1, 3)), np.uint8), ""

    dataset = tf.data.Dataset.zip(
        files.dataset, tf.data.Dataset.from_tensor_slices(splits)
    )
    results = _mapped(dataset, decode, (tf.uint8, tf.string))
    columns = zip(files.names, files.domains, splits, results, strict=True)
    for name, domain, split, (squares, fault) in columns:
        yield name, domain, split, squares, fault.decode()
