"""A colorizer as a TFLite model."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kcolor.colorizer import Colorizer
from kcolor.exports import NOTES, SIGNATURE
from kcolor.quiet import quietly
from kcolor.serving.signatures import Signatures


def write(
    colorizer: Colorizer,
    file: Path,
    precision: str,
    calibration: np.ndarray,
    notes: dict,
) -> None:
    """Writes a TFLite model of float32 lightness to float32 ab.

    Photos of any number, and of any size where the network takes any.

    Args:
        colorizer: What is exported.
        file: The `.tflite` file.
        precision: float32; float16, of the weights alone; int8, of weights and
            features, where the lightness and ab themselves are still float32.
        calibration: (N, H, W, 1), lightness that shows how large features get.
        notes: What the export says of itself, as JSON has it. They are appended
            as a zip archive, as TFLite's own metadata keep files.
    """
    with tempfile.TemporaryDirectory() as folder, quietly():
        _archive(colorizer, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = _one_by_one(calibration)
        file.write_bytes(converter.convert())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(NOTES, json.dumps(notes, indent=2) + "\n")


def _archive(colorizer: Colorizer, folder: str) -> None:
    """Writes the SavedModel that is converted."""
    archive = keras.export.ExportArchive()
    archive.track(colorizer)
    archive.add_endpoint(
        SIGNATURE,
        lambda L: {"ab": colorizer(L)},
        input_signature=[Signatures(colorizer, 0).lightness_spec],
    )
    archive.write_out(folder, verbose=False)


def _one_by_one(photos: np.ndarray) -> Callable[[], Iterator[list]]:
    return lambda: ([photo[None]] for photo in photos)
