"""A colorizer as a TFLite model."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kcolor.colorizer import Colorizer
from kcolor.exports import NOTES, SIGNATURE, open_export
from kcolor.quiet import quietly
from kcolor.serving.signatures import lightness_spec

# Of int8 models: operations that stay float, being hardly a network's ...
KEPT_OPERATIONS = (
    *("ADD", "ARG_MAX", "BATCH_MATMUL", "CUMSUM", "DIV", "EXP", "LOG"),
    *("LOG_SOFTMAX", "MAXIMUM", "MINIMUM", "MUL", "REDUCE_MAX"),
    *("RESIZE_BILINEAR", "RSQRT", "SOFTMAX", "SQRT", "SQUARED_DIFFERENCE"),
    *("SUB", "SUM", "TANH"),
)
# ... and shares of the features, from the first on, that may have to.
KEPT_SHARES = (0, 1 / 6, 1 / 3, 2 / 3)
ALLOWED, CHECKED = 0.7, 16  # rmse_ab, and photos that it is found by


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
    with (
        tempfile.TemporaryDirectory() as folder,
        quietly(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # TensorFlow's, of its own parts
        _archive(colorizer, folder)
        if precision == "int8":
            made = _quantised(folder, colorizer, calibration)
        else:
            converter = _converter(folder)
            if precision == "float16":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            made = converter.convert()
        file.write_bytes(made)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(NOTES, json.dumps(notes, indent=2) + "\n")


def _quantised(
    folder: str, colorizer: Colorizer, calibration: np.ndarray
) -> bytes:
    """Returns a model whose convolutions are of 8 bits.

    What makes colours of the network's numbers stays float: a softmax over
    hundreds of bins has no room in 8 bits. The first features are of the
    photo's size and few, and their extremes are rare: where 8 bits are too
    coarse for the whole network, they are float, too, at next to no weight.

    Reference:
        TensorFlow Lite's guide "Inspecting Quantization Errors with
        Quantization Debugger", on selective quantization.
    """
    photos = calibration[:CHECKED]
    truth = np.concatenate([colorizer(photo[None]) for photo in photos])

    def converter() -> tf.lite.TFLiteConverter:
        made = _converter(folder)
        made.optimizations = [tf.lite.Optimize.DEFAULT]
        made.representative_dataset = _one_by_one(calibration)
        return made

    def debugger(kept: list[str]) -> tf.lite.experimental.QuantizationDebugger:
        return tf.lite.experimental.QuantizationDebugger(
            converter=converter(),
            debug_dataset=_one_by_one(calibration[:1]),
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_ops=list(KEPT_OPERATIONS), denylisted_nodes=kept
            ),
        )

    if colorizer.objective.loops:
        # What a loop holds can only be of 8 bits as a whole.
        return converter().convert()
    everything = _features(debugger([]))
    network = re.compile(rf"/{re.escape(colorizer.network.name)}(_\d+)?/")
    features = [name for name in everything if network.search(name)]
    answer = [name for name in everything if not network.search(name)]
    for share in KEPT_SHARES:
        kept = answer + features[: round(share * len(features))]
        made = debugger(kept).get_nondebug_quantized_model()
        if _error(made, folder, photos, truth) <= ALLOWED:
            break
    return made


def _features(debugger: tf.lite.experimental.QuantizationDebugger) -> list[str]:
    """Returns the names of all that is of 8 bits, from first to last."""
    debugger.run()
    # Each is checked by an operation "NumericVerify/NAME" and then a digit and
    # ":ORDER".
    found = [
        re.fullmatch(r"NumericVerify/(.*)\d:(\d+)", name, re.DOTALL).groups()
        for name in debugger.layer_statistics
    ]
    return [name for name, order in sorted(found, key=lambda f: int(f[1]))]


def _error(
    made: bytes, folder: str, photos: np.ndarray, truth: np.ndarray
) -> float:
    """Returns how far a model is from the truth, as `rmse_ab`."""
    file = Path(folder, "made.tflite")
    file.write_bytes(made)
    away = open_export(file).predict(photos) - truth
    return float(np.sqrt(np.mean(away.astype(np.float64) ** 2)))


def _converter(folder: str) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_saved_model(
        folder, signature_keys=[SIGNATURE]
    )


def _archive(colorizer: Colorizer, folder: str) -> None:
    """Writes the SavedModel that is converted."""
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        SIGNATURE,
        lambda L: {"ab": colorizer(L)},
        input_signature=[lightness_spec(colorizer)],
    )
    archive.write_out(folder, verbose=False)


def _one_by_one(photos: np.ndarray) -> Callable[[], Iterator[list]]:
    return lambda: ([photo[None]] for photo in photos)
