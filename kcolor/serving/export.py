"""The whole story of an export: written, run elsewhere, compared, published."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock
import keras

import kcolor
from kcolor.color import rgb_to_lightness
from kcolor.data.prepare import TEST, TRAIN, sample
from kcolor.errors import UserError, unknown
from kcolor.files import check_writable, whole
from kcolor.serving import saved_model, tflite
from kcolor.serving.parity import SIZES, Parity, Reference, Tolerance
from kcolor.text import aligned
from kcolor.trained import Model, open_model

CALIBRATION, COMPARED = 128, 16  # photos
MEGAPIXELS = 50  # of a photo that a server takes
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
    for chosen in formats:
        if chosen not in FORMATS:
            raise unknown("format", chosen, FORMATS)
    model = _model(Path(run))
    name = name or re.sub(r"[^\w.-]+", "-", model.name)
    folder = Path(out) / name
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise UserError(f"--name '{name}' is no name of a model: use letters")
    check_writable(folder / "model")
    size = model.colorizer.image_size
    data = str(data or model.data or "demo")
    photos = sample(data, size, {TRAIN: CALIBRATION, TEST: COMPARED})
    calibration = rgb_to_lightness(photos[TRAIN] / 255.0)[..., None].numpy()
    reference = Reference(model, photos[TEST])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        filelock.FileLock(folder / ".lock"),
        tempfile.TemporaryDirectory(prefix=".", dir=folder) as workshop,
    ):
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
        for chosen in dict.fromkeys(formats):
            say(f"{chosen}: writing")
            draft = Path(workshop) / chosen
            if chosen == "savedmodel":
                path = folder / str(version)
                saved_model.write(
                    model.colorizer, draft, megapixels * 10**6, notes
                )
            else:
                precision = chosen.partition("-")[2]
                ending = f"-{precision}" if precision else ""
                path = folder / f"{name}-{version}{ending}.tflite"
                draft = draft.with_suffix(".tflite")
                tflite.write(
                    model.colorizer,
                    draft,
                    precision or "float32",
                    calibration,
                    notes,
                )
            say(f"{chosen}: running in a process of its own")
            parity = reference.compare(draft)
            fault = parity.fault(TOLERANCES[chosen])
            if fault:
                faults.append(f"{chosen} ({fault})")
                continue
            os.replace(draft, path)
            found[chosen] = path, parity
        if found:
            _write_report(folder / f"{name}-{version}.json", notes, found)
    if found:
        say(table(found))
    if faults:
        raise UserError(
            f"not exported, being too far from the model: {', '.join(faults)}: "
            "leave them out with --format"
        )
    return found


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


def _model(path: Path) -> Model:
    """Returns a model whose network computes in float32, as exports do."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        model = open_model(path)
    finally:
        keras.config.set_dtype_policy(policy)
    if model is None:
        fault = "is no run and no .keras file" if path.exists() else "not found"
        raise UserError(f"'{path}' {fault}: give what kcolor-train wrote")
    return model


def _next_version(folder: Path, name: str) -> int:
    """Returns the version after all that have left anything in a folder."""
    pattern = re.compile(rf"(?:{re.escape(name)}-)?(\d+)(?:[-.].*)?")
    matches = (pattern.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in matches if match), default=0) + 1


def _write_report(file: Path, notes: dict, found: dict) -> None:
    report = notes | {
        "formats": {
            chosen: {"file": path.name, **dataclasses.asdict(parity)}
            for chosen, (path, parity) in found.items()
        }
    }
    with whole(file) as path:
        path.write_text(json.dumps(report, indent=2) + "\n")
