"""Photos in memory, coloured by any model."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from kcolor import shipped
from kcolor.colorizer import Colorizer
from kcolor.data import originals, photos
from kcolor.errors import UserError, unknown
from kcolor.exports import Export, open_export
from kcolor.painting import Upsample, network_size, paint, shrunk_lightness
from kcolor.trained import Model, open_model

APART = 2**16  # more than any draw asks the generator for


@dataclasses.dataclass(frozen=True)
class Look:
    """What a user chooses of how coloured photos look.

    Attributes:
        saturation: Factor on the colours: 0 is grey, 1 as the model has them.
        temperature: Of the model's annealed mean, where it has one: towards 0
            bolder, towards 1 safer; None for its own.
        samples: How many different colourings of each photo are drawn from what
            the model holds for plausible; None for its one answer.
        seed: Which draws.
        upsample: How colours come to the photo's size: guided, along its edges,
            or bilinear.
        image_size: Short side at which the model sees the photo, in pixels;
            None for that of the photos it was trained on.
    """

    saturation: float = 1.0
    temperature: float | None = None
    samples: int | None = None
    seed: int = 0
    upsample: Upsample = "guided"
    image_size: int | None = None

    def __post_init__(self):
        ranges = {
            "saturation": (0.0, 10.0),
            "temperature": (0.0, 1e3),
            "samples": (1, 1000),
            "seed": (0, 2**31 - 1),
            "image_size": (1, 8192),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is None and name not in ("saturation", "seed"):
                continue
            kind = numbers.Integral if isinstance(low, int) else numbers.Real
            if not isinstance(value, kind) or not low <= value <= high:
                flag = name.replace("_", "-")
                raise UserError(
                    f"--{flag} {value} is not allowed: give {low} to {high}"
                )
        if self.upsample not in get_args(Upsample):
            raise unknown("upsample", str(self.upsample), get_args(Upsample))
        if None not in (self.temperature, self.samples):
            raise UserError(
                "--temperature is of the one answer, and --samples are drawn: "
                "leave out one of them"
            )


class Painter:
    """A model that is loaded, and how its colours are to look.

    Args:
        model: A run, a `.keras` file, a SavedModel or a `.tflite` file; or a
            colorizer.
        look: What the user chose.

    Raises:
        UserError: There is no such model, or it cannot do what was chosen.
    """

    def __init__(self, model: str | Path | Colorizer, look: Look):
        self.look = look
        found = _opened(model)
        size = look.image_size or found.image_size
        if size is None:
            raise UserError(
                f"'{found.name}' does not say at what size it was trained: "
                "give --image-size"
            )
        if found.is_fixed and size != found.image_size:
            raise UserError(
                f"'{found.name}' takes photos of {found.image_size} pixels "
                f"alone: leave out --image-size {size}"
            )
        self._size, self._is_fixed = size, found.is_fixed
        if look.temperature is not None:
            found = _at_temperature(found, look.temperature)
        self._ask = found.predict
        self._sample = None
        if look.samples is not None:
            self._sample = _sampler(found, look.seed)

    def colours(self, photos: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Returns the ab of each photo, (h, w, 2), in each of its colourings.

        At the size at which the model sees them, those of one size at once.

        Args:
            photos: uint8 or uint16, (H, W, 1) grey or (H, W, 3) sRGB.
        """
        seen = [self._seen(photo) for photo in photos]
        if self._sample is not None:
            # One by one: no photo's draws shall depend on who came with it.
            draws = range(self.look.samples)
            return [
                [self._sample(one[None], draw)[0] for draw in draws]
                for one in seen
            ]
        by_shape: dict[tuple, list[int]] = {}
        for number, lightness in enumerate(seen):
            by_shape.setdefault(lightness.shape, []).append(number)
        answers = {}
        for members in by_shape.values():
            lightness = np.stack([seen[number] for number in members])
            ab = np.asarray(self._ask(lightness), np.float32)
            answers |= dict(zip(members, ab, strict=True))
        return [[answers[number]] for number in range(len(photos))]

    def paint(self, photo: np.ndarray, ab: np.ndarray) -> np.ndarray:
        """Returns a photo in colours, of its dtype, (H, W, 3) sRGB.

        Args:
            photo: uint8 or uint16, (H, W, 1) grey or (H, W, 3) sRGB.
            ab: (h, w, 2), as `colours` gave them.

        Raises:
            UserError: They are not a number.
        """
        if not np.isfinite(ab).all():
            raise UserError("the model gave what is no number")
        # Where the model saw every pixel there is nothing to bring up.
        is_whole = ab.shape[:2] == photo.shape[:2]
        _, painted = _compiled(
            photo, "bilinear" if is_whole else self.look.upsample
        )
        return painted(photo, self.look.saturation * ab).numpy()

    def _seen(self, photo: np.ndarray) -> np.ndarray:
        size = network_size(*photo.shape[:2], self._size, self._is_fixed)
        shrunk, _ = _compiled(photo, self.look.upsample)
        return shrunk(photo, *size).numpy()


def colorize(
    photo: np.ndarray | Image.Image | str | Path,
    model: Painter | str | Path | Colorizer = shipped.NAME,
    **look,
) -> np.ndarray | list[np.ndarray]:
    """Colours a photo at its own size and depth, keeping its lightness.

    Args:
        photo: uint8 or uint16, (H, W) or (H, W, 1) grey, (H, W, 2) with alpha,
            (H, W, 3) sRGB or (H, W, 4) with alpha; a picture of Pillow; or a
            photo file.
        model: A run, a `.keras` file, a SavedModel or a `.tflite` file; a
            colorizer; or a `Painter`, to load it once for many photos. By
            default the colorizer that comes with kcolor.
        **look: Fields of `Look`.

    Returns:
        The photo's dtype, (H, W, 3) sRGB, or (H, W, 4) where it has alpha; with
        `samples`, a list of so many.

    Raises:
        UserError: The model or the file cannot be used, or the look.
        ValueError: The array is no photo.

    Example:

    >>> from kcolor.models.cnn import CNN
    >>> from kcolor.objectives.l2 import L2
    >>> colorizer = Colorizer(CNN(head="conv"), L2(), image_size=32)
    >>> colorize(np.full((48, 60), 128, np.uint8), colorizer).shape
    (48, 60, 3)
    """
    if isinstance(model, Painter) and look:
        raise ValueError("a Painter has its look already: give it a Look")
    samples, alpha = _parts(photo)
    if not isinstance(model, Painter):
        model = _painter(model, Look(**look))
    (colours,) = model.colours([samples])
    painted = [model.paint(samples, ab) for ab in colours]
    if alpha is not None:
        painted = [np.dstack([rgb, alpha]) for rgb in painted]
    return painted[0] if model.look.samples is None else painted


def _painter(model: str | Path | Colorizer, look: Look) -> Painter:
    """Returns the model, compiled once for a loop over photos."""
    if isinstance(model, str) and model == shipped.NAME:
        return _kept(model, look)
    # At a temperature of the look's the weights are copied: they may change.
    if isinstance(model, Colorizer) and look.temperature is None:
        return _kept(model, look, model.image_size)
    return Painter(model, look)


@functools.lru_cache(maxsize=4)
def _kept(
    model: str | Colorizer, look: Look, image_size: int | None = None
) -> Painter:
    return Painter(model, look)


def _parts(photo) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns samples, (H, W, 1 or 3), and alpha, (H, W), of a photo."""
    if isinstance(photo, str | Path):
        try:
            original = originals.read(Path(photo).read_bytes())
        except (OSError, photos.BrokenPhoto) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"photo '{photo}' cannot be read: {reason}") from (
                error
            )
        return original.samples, original.alpha
    if isinstance(photo, Image.Image):
        photo = ImageOps.exif_transpose(photo)
        if photos.is_deep_grey(photo):
            photo = photos.deep_grey(photo, np.uint16)
        elif photo.mode == "La":
            photo = photo.convert("LA")
        elif photo.mode not in ("L", "LA", "RGB", "RGBA"):
            kind = "RGBA" if photo.has_transparency_data else "RGB"
            photo = photo.convert(kind)
    photo = np.asarray(photo)
    photo = photo.astype(photo.dtype.newbyteorder("="), copy=False)
    shape = photo.shape
    if photo.ndim == 2:
        photo = photo[..., None]
    is_photo = photo.ndim == 3 and 1 <= photo.shape[-1] <= 4 and photo.size
    if not is_photo or photo.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"a photo is uint8 or uint16, (H, W) or (H, W, 1 to 4), not "
            f"{photo.dtype} {shape}"
        )
    if photo.shape[-1] in (2, 4):
        return photo[..., :-1], photo[..., -1]
    return photo, None


@functools.cache
def _functions(
    dtype: np.dtype, channels: int, upsample: Upsample
) -> tuple[Callable, Callable]:
    photo = tf.TensorSpec((None, None, channels), dtype)
    side = tf.TensorSpec((), tf.int32)
    ab = tf.TensorSpec((None, None, 2), tf.float32)
    return (
        tf.function(shrunk_lightness, input_signature=[photo, side, side]),
        tf.function(
            lambda samples, ab: paint(samples, ab, upsample),
            input_signature=[photo, ab],
        ),
    )


def _compiled(
    photo: np.ndarray, upsample: Upsample
) -> tuple[Callable, Callable]:
    """Returns what shrinks and what paints photos of a kind, in a graph."""
    return _functions(photo.dtype, photo.shape[-1], upsample)


def _opened(model: str | Path | Colorizer) -> Model | Export:
    if isinstance(model, Colorizer):
        return Model(model.name, model, None, None)
    if not isinstance(model, str | Path):
        raise ValueError(f"a model is a path or a Colorizer, not {model!r}")
    path = Path(model).expanduser()
    found = open_model(model) or open_export(path)
    if found is not None:
        return found
    if path.exists():
        raise UserError(
            f"'{path}' is no run, no SavedModel, no .keras and no .tflite file"
        )
    raise UserError(
        f"model '{path}' does not exist: give a run, a .keras file, a "
        f"SavedModel, a .tflite file, or '{shipped.NAME}'"
    )


def _at_temperature(found: Model | Export, temperature: float) -> Model:
    """Returns a model whose annealed mean has another temperature."""
    objective = getattr(getattr(found, "colorizer", None), "objective", None)
    if not hasattr(objective, "temperature"):
        raise UserError(
            f"'{found.name}' knows no --temperature: it is for runs and .keras "
            "files trained with --loss ce"
        )
    return dataclasses.replace(
        found, colorizer=found.colorizer.changed(temperature=temperature)
    )


def _sampler(found: Model | Export, seed: int) -> Callable:
    """Returns what draws an ab: lightness and the draw's number to ab."""
    if not isinstance(found, Model) or not found.colorizer.can_sample:
        raise UserError(
            f"'{found.name}' knows one answer, no --samples: they are for runs "
            "and .keras files of ce, mdn, energy, flow or hue_chroma, or "
            "trained with --noise"
        )
    seeds = keras.random.SeedGenerator(seed)
    lock = threading.Lock()
    compiled = tf.function(
        lambda lightness: found.colorizer.sample(lightness, seeds),
        reduce_retracing=True,
    )

    def sample(lightness: np.ndarray, draw: int) -> np.ndarray:
        # Of a thread's own: no other's draws come between.
        with lock:
            seeds.state.assign([seed, draw * APART])
            return compiled(lightness).numpy()

    return sample
