"""Pictures of a training: grids of photos, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from kcolor.color import lab_to_rgb

matplotlib.use("Agg")  # there may be no screen

import matplotlib.pyplot as plt


def strips(lightness: np.ndarray, *versions: np.ndarray) -> np.ndarray:
    """Returns each photo in grey and in several colourings, side by side.

    Args:
        lightness: (N, H, W, 1), 0 to 100.
        *versions: (N, H, W, 2) each, in ab units.

    Returns:
        uint8 (N, H, (1 + versions) W, 3).
    """
    photos = [
        np.asarray(lab_to_rgb(np.concatenate([lightness, ab], -1)))
        for ab in (np.zeros_like(versions[0]), *versions)
    ]
    return np.rint(255 * np.concatenate(photos, axis=2)).astype(np.uint8)


def choose(photos: np.ndarray, count: int) -> np.ndarray:
    """Returns so many of the photos, or all, spread over them evenly.

    Example:

    >>> choose(np.arange(10), 4)
    array([0, 2, 5, 7])
    """
    count = min(count, len(photos))
    return photos[np.arange(count) * len(photos) // max(count, 1)]


def save_grid(
    path: Path, rows: np.ndarray, titles: Sequence[str], columns: int = 1
) -> None:
    """Writes strips as one picture.

    Args:
        path: PNG file.
        rows: uint8 (N, H, any W, 3).
        titles: Of the photos in a strip, from left to right.
        columns: Strips side by side.
    """
    width = 2 * rows.shape[2] / rows.shape[1]
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(width * columns, 2.05 * lines + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, row in zip(axes.flat, rows, strict=False):
        axis.imshow(row)
    photo = rows.shape[2] / len(titles)
    for axis, _ in zip(axes[0], rows, strict=False):
        for number, title in enumerate(titles):
            place = ((number + 0.5) * photo, -0.03 * rows.shape[1])
            axis.text(*place, title, ha="center", va="bottom")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def save_curves(path: Path, history: list[dict]) -> None:
    """Writes the curve of every metric over the epochs.

    Args:
        path: PNG file.
        history: One row an epoch, as in `history.csv`. A metric and its `val_`
            twin share a plot.
    """
    names = [
        name
        for name in history[0]
        if name not in ("epoch", "step") and not name.startswith("val_")
    ]
    names += [
        name.removeprefix("val_")
        for name in history[0]
        if name.startswith("val_") and name.removeprefix("val_") not in names
    ]
    epochs = [int(row["epoch"]) for row in history]
    lines = -(-len(names) // 3)
    figure, axes = plt.subplots(
        lines, 3, figsize=(12, 2.8 * lines), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names, strict=False):
        for key, label in ((name, "train"), (f"val_{name}", "validation")):
            if key in history[0]:
                values = [float(row[key]) for row in history]
                axis.plot(epochs, values, marker=".", label=label)
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)
