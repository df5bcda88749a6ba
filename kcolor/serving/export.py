"""The whole story of an export: written, run elsewhere, compared, published."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock
import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

import kcolor
from kcolor.color import rgb_to_lightness
from kcolor.data.prepare import TEST, TRAIN, sample
from kcolor.errors import UserError, first_line, unknown
from kcolor.files import check_writable, whole
from kcolor.serving import saved_model, tflite
from kcolor.serving.parity import SIZES, Parity, Reference, Tolerance
from kcolor.terminal import aligned
from kcolor.trained import Model, open_model

CALIBRATION, COMPARED = 128, 16  # photos
MEGAPIXELS, MOST_MEGAPIXELS = 50, 1000  # of a photo that a server takes
WORKSHOP = ".export-"  # where drafts are, until they get their names
# Each format and how far from its model it may be.
TOLERANCES = {
    "savedmodel": Tolerance(most=1e-3),
    "tflite": Tolerance(most=1e-2),
    "tflite-float16": Tolerance(rmse=0.5),
    "tflite-int8": Tolerance(rmse=1.0),
}
FORMATS = tuple(TOLERANCES)


def export(
    run: str | Path,
    out: str | Path,
    formats: Sequence[str] = FORMATS,
    name: str | None = None,
    data: str | Path | None = None,
    megapixels: int = MEGAPIXELS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, tuple[Path, Parity]]:
    """Exports a model for programs that know neither kcolor nor Keras.

    Each export is loaded and run in a process that can import neither, and
    compared with the model on real photos, before it gets its name. Beside them
    `OUT/NAME/NAME-VERSION.json` keeps what was found.

    Args:
        run: A run, or a `.keras` file.
        out: Folder of the exports. A SavedModel is written to
            `OUT/NAME/VERSION/`, TFLite models to `OUT/NAME/NAME-VERSION.tflite`
            and the like. The version is the next that is free.
        formats: Some of "savedmodel", "tflite", "tflite-float16" and
            "tflite-int8".
        name: What the model is called; by default as the run.
        data: Where the photos come from that int8 is calibrated on and all are
            compared on, as of `kcolor-train`; by default the run's own.
        megapixels: A server refuses larger photos.
        say: Is told a line about each step.

    Returns:
        format -> its path, and how far from the model it is.

    Raises:
        UserError: The run, a format or the data cannot be used, or an export is
            farther from the model than `TOLERANCES` has it. Those that are not
            stay.
    """
    formats = [formats] if isinstance(formats, str) else formats
    for chosen in formats:
        if chosen not in FORMATS:
            raise unknown("format", chosen, FORMATS)
    if megapixels not in range(1, MOST_MEGAPIXELS + 1):
        raise UserError(
            f"--megapixels {megapixels} is not allowed: give 1 to "
            f"{MOST_MEGAPIXELS}"
        )
    model = _model(run)
    name = name or re.sub(r"[^\w.-]+", "-", model.name)
    folder = Path(out) / name
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise UserError(f"--name '{name}' is no name of a model: use letters")
    check_writable(folder / "model")
    size = model.colorizer.image_size
    photos = _photos(model, data)
    calibration = rgb_to_lightness(photos[TRAIN] / 255.0)[..., None].numpy()
    reference = Reference(model, photos[TEST])
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        for left in folder.glob(f"{WORKSHOP}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        version = _next_version(folder, name)
        notes = {
            "name": name,
            "version": version,
            "architecture": model.colorizer.architecture.name,
            "objective": model.colorizer.objective.name,
            "image_size": size,
            "fixed_size": model.is_fixed,
            "kcolor": kcolor.__version__,
        }
        found, faults = {}, []
        with tempfile.TemporaryDirectory(
            prefix=WORKSHOP, dir=folder
        ) as workshop:
            for chosen in dict.fromkeys(formats):
                draft = Path(workshop) / chosen
                try:
                    say(f"{chosen}: writing")
                    draft = _write(
                        chosen, model, draft, megapixels, calibration, notes
                    )
                    say(f"{chosen}: running in a process of its own")
                    parity = reference.compare(draft)
                except UserError as error:
                    faults.append(f"{chosen} ({error})")
                    continue
                fault = parity.fault(TOLERANCES[chosen])
                if fault:
                    faults.append(f"{chosen} ({fault})")
                    continue
                path = folder / _file_name(chosen, name, version)
                os.replace(draft, path)
                found[chosen] = path, parity
                # At once: what comes after it may fail.
                report = folder / f"{name}-{version}.json"
                _write_report(report, notes, found)
    if found:
        say(table(found))
    if faults:
        raise UserError(
            f"not exported: {', '.join(faults)}: leave out with --format"
        )
    return found


def _photos(model: Model, data: str | Path | None) -> dict[str, np.ndarray]:
    """Returns photos to calibrate on and to compare on, by their split."""
    size = model.colorizer.image_size
    counts = {TRAIN: CALIBRATION, TEST: COMPARED}
    try:
        found = sample(str(data or model.data or "demo"), size, counts)
        return {split: photos.pixels for split, photos in found.items()}
    except UserError as error:
        if data:
            raise
        raise UserError(f"{error}; or name others with --data") from error


def _write(
    chosen: str,
    model: Model,
    draft: Path,
    megapixels: int,
    calibration: np.ndarray,
    notes: dict,
) -> Path:
    """Writes an export of a format, and returns where it is.

    Raises:
        UserError: The format cannot hold the model, or there is no room.
    """
    try:
        if chosen == "savedmodel":
            saved_model.write(model.colorizer, draft, megapixels * 10**6, notes)
            return draft
        draft = draft.with_suffix(".tflite")
        precision = chosen.partition("-")[2] or "float32"
        tflite.write(model.colorizer, draft, precision, calibration, notes)
        return draft
    except tf.errors.OpError as error:
        raise UserError(
            f"cannot be written in '{draft.parent.parent}' or in "
            f"{tempfile.gettempdir()}: {first_line(error)}"
        ) from error
    except ConverterError as error:
        raise UserError(
            f"the model has parts that TFLite does not know: "
            f"{first_line(error)}"
        ) from error


def _file_name(chosen: str, name: str, version: int) -> str:
    if chosen == "savedmodel":
        return str(version)  # as TF Serving wants it
    return f"{name}-{version}{chosen.removeprefix('tflite')}.tflite"


def table(found: dict[str, tuple[Path, Parity]]) -> str:
    """Returns what was exported as a table for a terminal."""
    header = ["", "max ab", "rmse_ab", "MB"]
    rows = [[*header, *(f"ms at {size}" for size in SIZES), "  file"]]
    for chosen, (path, parity) in found.items():
        times = parity.milliseconds.values()
        rows.append(
            [
                chosen,
                f"{parity.max_ab:.2g}",
                f"{parity.rmse_ab:.2g}",
                f"{parity.bytes / 1e6:.2f}",
                *("-" if time is None else f"{time:.1f}" for time in times),
                f"  {path}",
            ]
        )
    return aligned(rows)


def _model(run: str | Path) -> Model:
    """Returns a model whose network computes in float32, as exports do."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        model = open_model(run)
    finally:
        keras.config.set_dtype_policy(policy)
    if model is None:
        fault = "is no run and no .keras file"
        fault = fault if Path(run).exists() else "not found"
        raise UserError(f"'{run}' {fault}: give what kcolor-train wrote")
    return model


def _next_version(folder: Path, name: str) -> int:
    """Returns the version after all that have left anything in a folder."""
    ours = rf"([0-9]{{1,18}})|{re.escape(name)}-([0-9]{{1,18}})(-.*)?\.\w+"
    matches = (re.fullmatch(ours, path.name) for path in folder.iterdir())
    return max((int(m[1] or m[2]) for m in matches if m), default=0) + 1


def _write_report(file: Path, notes: dict, found: dict) -> None:
    report = notes | {
        "formats": {
            chosen: {"file": path.name, **dataclasses.asdict(parity)}
            for chosen, (path, parity) in found.items()
        }
    }
    with whole(file) as path:
        path.write_text(json.dumps(report, indent=2) + "\n")
