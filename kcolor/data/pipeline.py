"""From decoded photos to batches of (L, ab)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from kcolor.color import light_to_lab, rgb_to_light
from kcolor.data.faults import aged

DRAWN = ("crops", "faults")  # of each photo, each by its own seed
HISTOGRAM_PHOTOS = 20_000  # enough for a prior to two digits in each bin


def batches(
    pixels: np.ndarray,
    batch_size: int,
    *,
    rows: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    image_size: int | None = None,
    shuffle: tuple[int, int] | None = None,
    draws: tuple[int, int] | None = None,
    start: int = 0,
    parts: tuple[Sequence[int], int] = ((0,), 1),
    faults: float = 0.0,
) -> tf.data.Dataset:
    """Returns batches of (L, ab).

    Args:
        pixels: uint8 (n, H, W, 3).
        batch_size: Photos a batch. The last is smaller, unless shuffled, where
            what does not fill a batch is left to another epoch.
        rows: int (any,), which of the photos; None for all.
        labels: int (n,), the number of each photo's class, as "labels" in a
            third part of the batches.
        image_size: Height and width of a random crop, with a random flip; None
            for the photos as they are.
        shuffle: (seed, epoch), which decide the order and the crops alone; None
            for the photos' own order.
        draws: (seed, number), which decide the crops and the faults in the
            place of `shuffle`.
        start: How many batches to leave out, in no time.
        parts: Which parts of each batch to yield, one after the other, and how
            many equal parts it has. Together they are the batch, whoever yields
            them.
        faults: Share of the photos whose lightness is made to look old, 0 to 1.
            Needs `shuffle` or `draws`. Their ab stays that of the clean photo.

    Returns:
        A dataset of float32 (N, H, W, 1), 0 to 100, and (N, H, W, 2); with
        labels, of a dictionary as well.

    Raises:
        ValueError: There are `faults`, and nothing to draw them by.

    Example:

    >>> grey = np.full((5, 8, 8, 3), 128, np.uint8)
    >>> for lightness, ab in batches(grey, batch_size=5):
    ...     print(lightness.shape, ab.shape)
    (5, 8, 8, 1) (5, 8, 8, 2)
    """
    drawn_by = draws or shuffle
    if faults and drawn_by is None:
        raise ValueError(
            "faults are drawn by seed and epoch: give `shuffle` or `draws`"
        )
    count = len(pixels if rows is None else rows)
    in_memory = not isinstance(pixels, np.memmap)
    held = tf.constant(pixels) if in_memory else None

    def take(indices: tf.Tensor) -> tf.Tensor:
        if in_memory:
            return tf.gather(held, indices)
        taken = tf.numpy_function(
            lambda taken: pixels[taken], [indices], tf.uint8
        )
        return tf.ensure_shape(taken, (None, *pixels.shape[1:]))

    def to_lab(positions: tf.Tensor) -> tuple[tf.Tensor, ...]:
        indices = in_order(positions, count, shuffle)
        if rows is not None:
            indices = tf.gather(rows, indices)
        chosen = take(indices)
        first = positions[0] - positions[0] % batch_size
        places = positions - first
        if image_size is not None:
            chosen = _random_crops(
                chosen, image_size, first, places, batch_size, drawn_by
            )
        light = tf.gather(_lights(), tf.cast(chosen, tf.int32))
        lab = light_to_lab(light)
        batch = lab[..., :1], lab[..., 1:]
        if faults:
            seeds = _fault_seeds(first, places, batch_size, drawn_by)
            batch = aged(batch[0], light, faults, seeds), batch[1]
        if labels is None:
            return batch
        return (*batch, {"labels": tf.gather(labels, indices)})

    return stream(to_lab, count, batch_size, shuffle is not None, start, parts)


def stream(
    make: Callable,
    count: int,
    batch_size: int,
    whole: bool,
    start: int = 0,
    parts: tuple[Sequence[int], int] = ((0,), 1),
) -> tf.data.Dataset:
    """Returns the batches of an epoch, made several at once, in their order.

    Args:
        make: Makes a batch of its photos' positions in the epoch, int64 (N,).
        count: Photos an epoch.
        batch_size: Photos a batch.
        whole: Whether to leave out what does not fill a batch.
        start: As in `batches`.
        parts: The same.
    """
    positions = tf.data.Dataset.range(start * batch_size, count).batch(
        batch_size, drop_remainder=whole
    )
    numbers, total = parts
    if total > 1:
        positions = positions.flat_map(
            lambda batch: tf.data.Dataset.from_tensor_slices(
                tf.gather(tf.reshape(batch, (total, -1)), list(numbers))
            )
        )
    return positions.map(
        make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ).prefetch(tf.data.AUTOTUNE)


def in_order(
    places: tf.Tensor, count: int, shuffle: tuple[int, int] | None
) -> tf.Tensor:
    """Returns which photos stand at positions of an epoch, int64 (N,).

    Args:
        places: The positions, int64 (N,).
        count: Photos an epoch.
        shuffle: As in `batches`.
    """
    if shuffle is None:
        return places
    return tf.random.experimental.index_shuffle(
        places, _seeds(shuffle)[:2], max_index=count - 1
    )


def ab_histogram(pixels: np.ndarray) -> np.ndarray:
    """Counts the colours of photos.

    Args:
        pixels: uint8 (n, H, W, 3). At most 20,000 photos are counted, evenly
            spread over the n.

    Returns:
        (256, 256) counts by rounded a and b, from -128 to 127.
    """
    step = -(-len(pixels) // HISTOGRAM_PHOTOS)
    counts = np.zeros(256 * 256, np.int64)
    for _, ab in batches(pixels[::step], batch_size=256):
        cell = np.rint(ab.numpy()).astype(np.int64) + 128
        cells = (256 * cell[..., 0] + cell[..., 1]).ravel()
        counts += np.bincount(cells, minlength=256 * 256)
    return counts.reshape(256, 256)


@functools.cache
def _lights() -> np.ndarray:
    """Returns the light of each 8-bit value: (256,), float32.

    A table gives the same bits as `rgb_to_lab`, in less time.
    """
    with tf.init_scope():
        return rgb_to_light(np.arange(256, dtype=np.float32) / 255.0).numpy()


def _seeds(shuffle: tuple[int, int]) -> np.ndarray:
    """Returns two seeds for the order, and one for each of `DRAWN`."""
    number = 2 + len(DRAWN)
    found = np.random.SeedSequence(shuffle).generate_state(number)
    return found.astype(np.int64)


def _seed(what: str, first: tf.Tensor, shuffle: tuple[int, int]) -> tf.Tensor:
    """Returns the seed, (2,), of what is drawn for the batch of a place."""
    own = _seeds(shuffle)[2 + DRAWN.index(what)]
    return tf.stack([tf.constant(own), first])


def _random_crops(
    chosen: tf.Tensor,
    size: int,
    first: tf.Tensor,
    places: tf.Tensor,
    batch_size: int,
    shuffle: tuple[int, int],
) -> tf.Tensor:
    """Crops and flips photos, as their batch and places in it decide."""
    margin = chosen.shape[1] - size
    seed = _seed("crops", first, shuffle)
    draws = tf.random.stateless_uniform(
        (3, batch_size, 1), seed, maxval=2 * (margin + 1), dtype=tf.int32
    )
    draws = tf.gather(draws, places, axis=1)
    line = tf.range(size)
    rows = draws[0] // 2 + line
    columns = draws[1] // 2 + tf.where(draws[2] % 2 == 0, line, line[::-1])
    chosen = tf.gather(chosen, rows, axis=1, batch_dims=1)
    return tf.gather(chosen, columns, axis=2, batch_dims=1)


def _fault_seeds(
    first: tf.Tensor,
    places: tf.Tensor,
    batch_size: int,
    shuffle: tuple[int, int],
) -> tf.Tensor:
    """Returns a seed for each photo's faults, (N, 2), by its place."""
    seed = _seed("faults", first, shuffle)
    seeds = tf.random.stateless_uniform(
        (batch_size, 2), seed, minval=None, maxval=None, dtype=tf.int32
    )
    return tf.gather(seeds, places)
