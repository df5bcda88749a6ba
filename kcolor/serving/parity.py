"""How far an export is from the model it was made of."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from kcolor.color import rgb_to_lightness
from kcolor.data import photos
from kcolor.errors import UserError
from kcolor.painting import network_size, paint, shrunk_lightness
from kcolor.serving import standalone
from kcolor.trained import Model

SIZES = (64, 256)  # of photos that times are taken at, in pixels
LEVELS = 1  # of 255, that a coloured photo may be off by


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from its model, in ab units."""

    most: float | None = None  # of any number
    rmse: float | None = None  # root of the mean square


@dataclass(frozen=True)
class Parity:
    """How far an export is from its model, and what it costs.

    Attributes:
        max_ab: The largest difference of any a or b, in ab units.
        rmse_ab: The root of the mean square of all differences.
        levels: The largest difference of a photo that `colorize` has coloured,
            of 255 levels; None where there is no such signature.
        bytes: What it weighs.
        milliseconds: What one photo takes, by its size in pixels; None for a
            size it does not take.
    """

    max_ab: float
    rmse_ab: float
    levels: int | None
    bytes: int
    milliseconds: dict[str, float | None]

    def fault(self, tolerance: Tolerance) -> str:
        """Returns what is more than is tolerated, or nothing."""
        # Not a number is more, too.
        if tolerance.most is not None and not self.max_ab <= tolerance.most:
            return f"{self.max_ab:.3g} ab off, {tolerance.most:g} are allowed"
        if tolerance.rmse is not None and not self.rmse_ab <= tolerance.rmse:
            return (
                f"{self.rmse_ab:.3g} rmse_ab off, {tolerance.rmse:g} are "
                "allowed"
            )
        if (self.levels or 0) > LEVELS:
            return f"a photo is {self.levels} of 255 levels off"
        return ""


class Reference:
    """What a model answers to real photos.

    Args:
        model: The model, of float32.
        pixels: uint8 (N, H, W, 3), photos at the network's size.
    """

    def __init__(self, model: Model, pixels: np.ndarray):
        self.size = model.image_size
        self.is_fixed = model.is_fixed
        rgb = tf.cast(pixels, tf.float32) / 255
        self.lightness = rgb_to_lightness(rgb)[..., None].numpy()
        self.ab = np.concatenate(
            [model.predict(photo[None]) for photo in self.lightness]
        )
        # Wide, of another size than the network's, and upright only once its
        # EXIF is heeded.
        self.photo, photo = _encoded(np.concatenate(pixels[:2], axis=1))
        size = network_size(*photo.shape[:2], self.size, self.is_fixed)
        small = shrunk_lightness(photo, *size)
        self.coloured = paint(photo, model.predict(small[None])[0]).numpy()

    def compare(self, export: Path) -> Parity:
        """Returns how far an export is, which another process loads and runs.

        Raises:
            UserError: It does not run.
        """
        is_folder = export.is_dir()
        sizes = [
            size
            for size in SIZES
            if is_folder or not self.is_fixed or size == self.size
        ]
        found = self._ask(export, sizes)
        away = abs(found["ab"] - self.ab)
        levels = None
        if "photo" in found:
            photo = photos.decode(found["photo"].tobytes())
            levels = abs(photo.astype(int) - self.coloured.astype(int)).max()
        files = [export, *export.rglob("*")]
        times = dict(zip(sizes, found["milliseconds"].tolist(), strict=True))
        return Parity(
            max_ab=float(away.max()),
            rmse_ab=float(np.sqrt(np.mean(away.astype(np.float64) ** 2))),
            levels=None if levels is None else int(levels),
            bytes=sum(file.stat().st_size for file in files if file.is_file()),
            milliseconds={str(size): times.get(size) for size in SIZES},
        )

    def _ask(self, export: Path, sizes: list[int]) -> dict[str, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            questions, answers = Path(folder, "q.npz"), Path(folder, "a.npz")
            photo = np.frombuffer(self.photo, np.uint8)
            np.savez(questions, L=self.lightness, photo=photo, sizes=sizes)
            done = subprocess.run(
                [
                    sys.executable,
                    standalone.__file__,
                    export.resolve(),
                    questions,
                    answers,
                ],
                cwd=folder,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
                capture_output=True,
                text=True,
                errors="replace",
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["it crashed"])[-1]
                raise UserError(
                    f"'{export.name}' does not run in a process of its own: "
                    f"{last}"
                )
            with np.load(answers) as found:
                return dict(found)


def _encoded(pixels: np.ndarray) -> tuple[bytes, tf.Tensor]:
    """Returns a JPEG whose EXIF turns it, and what a viewer shows of it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, exif=exif)
    encoded = file.getvalue()
    turned = np.rot90(
        tf.io.decode_jpeg(encoded, dct_method="INTEGER_ACCURATE"), -1
    )
    return encoded, tf.constant(np.ascontiguousarray(turned))
