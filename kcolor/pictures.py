"""Pictures of a training: grids of photos, and curves."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from kcolor.color import lab_to_rgb

matplotlib.use("Agg")  # there may be no screen

import matplotlib.pyplot as plt


def triptychs(
    lightness: np.ndarray, ab_true: np.ndarray, ab_ours: np.ndarray
) -> np.ndarray:
    """Returns each photo in grey, in our colours, and in truth, side by side.

    Args:
        lightness: (N, H, W, 1), 0 to 100.
        ab_true: (N, H, W, 2), in ab units.
        ab_ours: (N, H, W, 2), in ab units.

    Returns:
        uint8 (N, H, 3 W, 3).
    """
    versions = [
        np.asarray(lab_to_rgb(np.concatenate([lightness, ab], -1)))
        for ab in (np.zeros_like(ab_true), ab_ours, ab_true)
    ]
    return np.rint(255 * np.concatenate(versions, axis=2)).astype(np.uint8)


def save_grid(path: Path, rows: np.ndarray, columns: int = 2) -> None:
    """Writes triptychs as one picture, under "grey | ours | truth".

    Args:
        path: PNG file.
        rows: uint8 (N, H, 3 W, 3).
        columns: Triptychs side by side.
    """
    lines = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(6 * columns, 2.05 * lines + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, row in zip(axes.flat, rows, strict=False):
        axis.imshow(row)
    for axis in axes[0]:
        axis.set_title("grey  |  ours  |  truth")
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
