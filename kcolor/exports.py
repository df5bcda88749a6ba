"""What exports answer: SavedModel folders and TFLite files."""

from __future__ import annotations

import json
import re
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kcolor.errors import UserError, first_line
from kcolor.quiet import quietly

# (N, H, W, 1) lightness to (N, H, W, 2) ab, both in physical units.
Predictor = Callable[[np.ndarray], np.ndarray]

SIGNATURE = "serving_default"
VERSION = re.compile(r"[0-9]{1,18}\Z")  # a folder's name, to TF Serving
NOTES = "kcolor.json"  # what an export says of itself
LARGEST_SIZE = 8192  # of a network's photos, that is believed
EXTRA = "assets.extra"  # where a SavedModel keeps what is no part of it


@dataclass(frozen=True)
class Export:
    """What a file or a folder that kcolor, or another tool, exported answers.

    Attributes:
        name: What it is called in tables.
        predict: Lightness to ab.
        image_size: Height and width of the photos it was trained on, in pixels;
            None where it does not say.
        is_fixed: Whether it takes photos of that size alone.
    """

    name: str
    predict: Predictor
    image_size: int | None
    is_fixed: bool


def open_export(path: Path) -> Export | None:
    """Returns the export that a path names; None if it names none.

    Args:
        path: A SavedModel, the folder of its versions, or a `.tflite` file.

    Raises:
        UserError: It cannot be loaded, or answers something else.
    """
    if path.is_dir():
        folder = saved_model_in(path)
        if folder is None:
            return None
        whole = path.resolve()
        name = whole.parent.name if VERSION.match(whole.name) else whole.name
        return _saved_model(folder, name)
    if path.suffix == ".tflite" and path.exists():
        return _tflite(path)
    return None


def saved_model_in(folder: Path) -> Path | None:
    """Returns the SavedModel of a folder, its newest version, if it holds one.

    Args:
        folder: A SavedModel, or the folder of its versions that TF Serving
            takes: 1, 2, ...
    """
    versions = [path for path in folder.glob("*") if VERSION.match(path.name)]
    newest = sorted(versions, key=lambda path: int(path.name))[-1:]
    for path in (folder, *newest):
        if (path / "saved_model.pb").exists():
            return path
    return None


def _saved_model(folder: Path, name: str) -> Export:
    """Returns what a SavedModel predicts by `serving_default`, (L) to (ab)."""
    try:
        loaded = tf.saved_model.load(folder)
        signature = loaded.signatures[SIGNATURE]
        _, inputs = signature.structured_input_signature
    except Exception as error:
        # TensorFlow raises what the part that is wrong makes it raise.
        raise UserError(
            f"SavedModel '{folder}' cannot be loaded ({first_line(error)})"
        ) from error
    outputs = signature.structured_outputs
    shapes = [spec.shape.as_list() for spec in inputs.values()]
    _check(folder, shapes, [spec.shape.as_list() for spec in outputs.values()])
    (source,), (answer,) = inputs, outputs

    def predict(lightness):
        # The signature goes with what it was loaded from.
        return loaded.signatures[SIGNATURE](
            **{source: tf.convert_to_tensor(lightness)}
        )[answer]

    file = folder / EXTRA / NOTES
    notes = _notes(file.read_bytes()) if file.exists() else {}
    return _export(
        name, _refusing(predict, folder, shapes[0]), shapes[0], notes
    )


def _tflite(file: Path) -> Export:
    """Returns what a TFLite model predicts, (L) to (ab)."""
    from ai_edge_litert.interpreter import Interpreter  # rarely needed

    try:
        with quietly():  # TFLite tells what it runs on
            interpreter = Interpreter(str(file))
            interpreter.allocate_tensors()
        inputs = interpreter.get_input_details()
        outputs = interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"TFLite model '{file}' cannot be loaded ({first_line(error)})"
        ) from error
    shapes = [[int(n) for n in part["shape_signature"]] for part in inputs]
    _check(file, shapes, [list(part["shape_signature"]) for part in outputs])
    (source,), (answer,) = inputs, outputs
    alone = shapes[0][0] == 1  # it takes one photo at a time
    lock = threading.Lock()  # and is asked by one thread at a time

    def predict(lightness):
        with lock:
            return answered(np.asarray(lightness))

    def answered(lightness):
        if alone and len(lightness) > 1:
            return np.concatenate([answered(one[None]) for one in lightness])
        if list(lightness.shape) != list(
            interpreter.get_input_details()[0]["shape"]
        ):
            interpreter.resize_tensor_input(
                source["index"], lightness.shape, strict=True
            )
            interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], _quantised(lightness, source))
        interpreter.invoke()
        return _real(interpreter.get_tensor(answer["index"]), answer)

    notes = {}
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if NOTES in archive.namelist():
                notes = _notes(archive.read(NOTES))
    return _export(
        file.stem, _refusing(predict, file, shapes[0]), shapes[0], notes
    )


def _notes(written: bytes) -> dict:
    """Returns what an export says of itself; nothing, where that is damaged."""
    try:
        return dict(json.loads(written))
    except (ValueError, TypeError):
        return {}


def _export(
    name: str, predict: Predictor, shape: list[int | None], notes: dict
) -> Export:
    height, width = shape[1:3]
    fixed = height if height == width and (height or -1) > 0 else None
    size = notes.get("image_size", fixed)
    if not isinstance(size, int) or not 0 < size <= LARGEST_SIZE:
        size = None
    is_fixed = bool(notes.get("fixed_size", fixed is not None))
    return Export(name, predict, size, is_fixed)


def _check(path: Path, inputs: list[list], outputs: list[list]) -> None:
    """Refuses what does not take one lightness and give one ab."""
    wanted = ((inputs, 1), (outputs, 2))
    for shapes, channels in wanted:
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != channels:
            raise UserError(
                f"'{path}' is no colorizer: it takes {inputs} and gives "
                f"{outputs}, not lightness (N, H, W, 1) and ab (N, H, W, 2)"
            )


def _refusing(
    predict: Predictor, path: Path, shape: list[int | None]
) -> Predictor:
    """Returns a predictor that says in one line which sizes do not fit."""
    declared = [side if (side or -1) > 0 else None for side in shape[1:3]]

    def refusing(lightness):
        height, width = sides = lightness.shape[1:3]
        # TensorFlow does not refuse another size than the declared one.
        if all(
            side in (None, given)
            for side, given in zip(declared, sides, strict=True)
        ):
            fault = "it answers another size"
            try:
                answer = predict(lightness)
                if answer.shape[:3] == lightness.shape[:3]:
                    return answer
            except (ValueError, RuntimeError, tf.errors.OpError) as error:
                fault = first_line(error)
        else:
            fault = "it takes {}x{}".format(*declared)
        raise UserError(
            f"'{path}' cannot colour photos of {height}x{width} ({fault}): "
            "give the --image-size it was made for"
        )

    return refusing


def _quantised(values: np.ndarray, tensor: dict) -> np.ndarray:
    if not np.issubdtype(tensor["dtype"], np.integer):
        return values.astype(tensor["dtype"])
    scale, zero = tensor["quantization"]
    limits = np.iinfo(tensor["dtype"])
    steps = np.rint(values / scale + zero)
    return np.clip(steps, limits.min, limits.max).astype(tensor["dtype"])


def _real(values: np.ndarray, tensor: dict) -> np.ndarray:
    if not np.issubdtype(tensor["dtype"], np.integer):
        return values.astype(np.float32)
    scale, zero = tensor["quantization"]
    return np.float32(scale) * (values.astype(np.float32) - zero)
