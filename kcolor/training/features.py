"""What a frozen encoder says of the training photos, computed once and kept.

A view is a photo as one step sees it: a crop of its own, mirrored or not, with
faults of its own. The encoder is asked about some views of each photo before
the training, and each epoch takes the next view of all, half of them mirrored
with their features: those of the mirrored photo are no better to learn from.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import psutil
import tensorflow as tf

from kcolor.colorizer import Colorizer
from kcolor.data.pipeline import batches, in_order, stream
from kcolor.data.prepare import Photos
from kcolor.errors import UserError
from kcolor.files import whole
from kcolor.resize import pad

BATCH = 128  # photos that the encoder is asked about at once
MEMORY_SHARE = 0.5  # of the free memory that views may fill
# NumPy has no bfloat16: its bits.
BITS = {tf.bfloat16: np.uint16}


@dataclass(frozen=True)
class Views:
    """Views of photos, and what the encoder says of them.

    Attributes:
        arrays: L, (V n, H, W, 1), ab, (V n, H, W, 2), and the features of each
            size, the first view of all n photos first: in memory, or mapped to
            files where memory is short.
        types: What each holds.
        count: n, how many photos.
    """

    arrays: list[np.ndarray]
    types: list[tf.DType]
    count: int

    def batches(
        self,
        batch_size: int,
        shuffle: tuple[int, int],
        start: int = 0,
        parts: tuple[Sequence[int], int] = ((0,), 1),
    ) -> tf.data.Dataset:
        """Returns an epoch's batches of (L, ab, {"features": ...}).

        Args:
            batch_size: Photos a batch.
            shuffle: (seed, epoch), which decide the order and what is mirrored;
                the epoch decides the view.
            start: As `kcolor.data.pipeline.batches` has it.
            parts: The same.
        """
        first = shuffle[1] % (len(self.arrays[0]) // self.count) * self.count
        kinds = [BITS.get(kind, kind) for kind in self.types]

        mirrored = np.random.default_rng(shuffle).random(self.count) < 0.5

        def taken_of(places: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
            parts = [array[rows] for array in self.arrays]
            turned = mirrored[places]
            for part in parts:
                part[turned] = part[turned, :, ::-1]
            return parts

        def take(places: tf.Tensor):
            rows = first + in_order(places, self.count, shuffle)
            taken = tf.numpy_function(taken_of, [places, rows], kinds)
            lightness, ab, *features = (
                tf.bitcast(
                    tf.ensure_shape(part, (None, *array.shape[1:])), kind
                )
                for part, array, kind in zip(
                    taken, self.arrays, self.types, strict=True
                )
            )
            return lightness, ab, {"features": tuple(features)}

        return stream(take, self.count, batch_size, True, start, parts)


def views(
    photos: Photos,
    colorizer: Colorizer,
    number: int,
    seed: int,
    faults: float,
    fingerprint: str,
    progress: Callable[[Iterable, int], Iterable] = lambda items, _: items,
    say: Callable[[str], None] = lambda line: None,
) -> Views:
    """Asks a colorizer's encoder about views of photos.

    Where they do not fit in memory they go to a folder that is named after all
    that decides them: who needs the same finds them there, or what is done of
    them.

    Args:
        photos: The training photos.
        colorizer: Has an encoder.
        number: Views of each photo.
        seed: Of the crops and the faults.
        faults: Share of the views whose lightness is made to look old.
        fingerprint: Of the photos.
        progress: Wraps the iteration over the batches.
        say: Is told how much there is to keep, and where.

    Raises:
        UserError: They fit neither in memory nor on the disk.
    """
    encoder = colorizer.architecture.encoder_of(colorizer.network)
    multiple = colorizer.architecture.multiple
    size, count = colorizer.image_size, len(photos)

    @tf.function
    def ask(lightness: tf.Tensor) -> list[tf.Tensor]:
        return encoder(pad(lightness / 50.0 - 1.0, multiple), training=False)

    def crops(view: int, start: int) -> tf.data.Dataset:
        return batches(
            photos.pixels,
            BATCH,
            image_size=size,
            draws=(seed, view),
            start=start,
            faults=faults,
        )

    specs = [(size, size, 1), (size, size, 2)]
    told = [tf.float32, tf.float32]
    for feature in ask(tf.zeros((1, size, size, 1))):
        specs.append(tuple(feature.shape[1:]))
        told.append(feature.dtype)
    shapes = [(number * count, *spec) for spec in specs]
    kinds = [np.dtype(BITS.get(k, k.as_numpy_dtype)) for k in told]
    name = _digest(encoder, fingerprint, shapes, kinds, seed, faults)
    place = _place(shapes, kinds, name, say)
    per_view = -(-count // BATCH)
    begin, arrays = place.open(shapes, kinds)
    left = range(begin, number * per_view)
    seen = iter(())
    for done in progress(left, len(left)):
        view, batch = divmod(done, per_view)
        if done == begin or batch == 0:
            seen = iter(crops(view, batch))
        lightness, ab = next(seen)
        row = view * count + batch * BATCH
        parts = [lightness, ab, *ask(lightness)]
        for array, part, kind in zip(arrays, parts, kinds, strict=True):
            array[row : row + len(lightness)] = part.numpy().view(kind)
        place.note(done + 1, arrays)
    return Views(arrays, told, count)


class _Memory:
    """Arrays in memory."""

    def open(self, shapes, kinds) -> tuple[int, list[np.ndarray]]:
        """Returns how many batches are done, and the arrays."""
        pairs = zip(shapes, kinds, strict=True)
        return 0, [np.empty(shape, kind) for shape, kind in pairs]

    def note(self, done: int, arrays: list[np.ndarray]) -> None:
        """Remembers that so many batches are done."""


class _Folder:
    """Arrays in the files of a folder, with how many batches are done."""

    EVERY = 50  # batches

    def __init__(self, path: Path):
        self.path = path
        self._done = path / "done"

    def open(self, shapes, kinds) -> tuple[int, list[np.ndarray]]:
        self.path.mkdir(parents=True, exist_ok=True)
        text = self._done.read_text() if self._done.exists() else ""
        done = int(text) if text.isdecimal() else 0
        arrays = []
        for number, (shape, kind) in enumerate(zip(shapes, kinds, strict=True)):
            file = self.path / str(number)
            # Another training may be at it: what is there is what we would
            # write.
            mode = "r+" if file.exists() else "w+"
            arrays.append(np.memmap(file, kind, mode, shape=shape))
        return done, arrays

    def note(self, done: int, arrays: list[np.ndarray]) -> None:
        rows = arrays[0].shape[0]
        if done % self.EVERY and done * BATCH < rows:
            return
        for array in arrays:
            array.flush()
        with whole(self._done) as path:
            path.write_text(str(done))


def _place(shapes, kinds, name: str, say) -> _Memory | _Folder:
    """Returns where arrays go, and says how much they are."""
    needed = sum(
        math.prod(shape) * kind.itemsize
        for shape, kind in zip(shapes, kinds, strict=True)
    )
    free = psutil.virtual_memory().available
    size = f"the encoder's features, {needed / 1e9:.1f} GB,"
    if needed <= MEMORY_SHARE * free:
        say(f"{size} are kept in memory")
        return _Memory()
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    folder = cache / "kcolor" / f"features-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    # What is not written yet takes no room, though it counts in a file's size.
    there = 512 * sum(file.stat().st_blocks for file in folder.iterdir())
    room = shutil.disk_usage(folder).free + there
    if needed > room:
        raise UserError(
            f"{size} fit neither in the {free / 1e9:.1f} GB of free memory nor "
            f"in the {room / 1e9:.1f} GB of '{folder}': give fewer --views, or "
            "another XDG_CACHE_HOME"
        )
    say(
        f"{size} do not fit in {free / 1e9:.1f} GB of free memory: kept in "
        f"'{folder}', for other trainings, too: delete it when you will"
    )
    return _Folder(folder)


def _digest(encoder: keras.Model, *decides) -> str:
    """Returns a name for all that decides the views."""
    digest = hashlib.sha256(repr(decides).encode())
    for weight in encoder.get_weights():
        digest.update(np.ascontiguousarray(weight))
    return digest.hexdigest()[:16]
