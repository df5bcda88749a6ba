"""What can be measured: runs, models, exports, references, coloured photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from kcolor import shipped
from kcolor.color import rgb_to_lab
from kcolor.data import photos as files
from kcolor.data.pipeline import batches
from kcolor.data.prepare import Photos, squared
from kcolor.errors import UserError, unknown
from kcolor.evaluation import references
from kcolor.evaluation.measure import batch_size, predicted
from kcolor.exports import Predictor, open_export
from kcolor.trained import Model, open_model
from kcolor.training.run import Run

REFERENCES = ("grey", "mean", "shuffled")
# For targets that no training has bound to a source and a size.
DATA, SIZE = "demo", 64
# Mean difference of lightness, 0 to 100, of what claims to be the same photo:
# far more than what any file format loses.
OTHER_PHOTO = 8.0


@dataclass(frozen=True)
class Target:
    """Something that colours photos.

    Attributes:
        name: What it is called in tables.
        colourings: Gives the ab, (N, H, W, 2), of photos, batch by batch.
        kind: "model", "export", "reference" or "photos".
        model: The model that it is, where it is one.
        covers: Whether it colours the photo of a name.
    """

    name: str
    colourings: Callable[[Photos], Iterator[np.ndarray]]
    kind: Literal["model", "export", "reference", "photos"]
    model: Model | None = None
    covers: Callable[[str], bool] = lambda name: True

    @classmethod
    def of(cls, name: str, predict: Predictor, *what) -> Target:
        """Returns a target that sees lightness alone."""

        def colourings(photos: Photos) -> Iterator[np.ndarray]:
            return predicted(predict, photos.pixels)

        return cls(name, colourings, *what)

    def draws(self, photos: Photos, count: int) -> Iterator[list[np.ndarray]]:
        """Yields so many colourings of each batch, the same each time.

        What cannot be sampled gives its one answer.
        """
        if self.model is None or not self.model.colorizer.can_sample:
            for answer in self.colourings(photos):
                yield [answer]
            return
        sample = tf.function(self.model.colorizer.sample, reduce_retracing=True)
        seeds = keras.random.SeedGenerator(0)
        for lightness, _ in batches(photos.pixels, batch_size(photos.pixels)):
            yield [sample(lightness, seeds) for _ in range(count)]


def with_runs(targets: Sequence[str]) -> list[str]:
    """Returns targets, each folder of runs replaced by the finished ones in it.

    Such as that of a search.

    Raises:
        UserError: None of its runs is finished.
    """
    found = []
    for target in targets:
        folder = Path(target)
        configs = sorted(folder.glob("*/config.yaml"))
        if not configs or Run(folder).config.exists():
            found.append(target)
            continue
        runs = [config.parent for config in configs]
        finished = [str(run) for run in runs if Run(run).is_finished]
        if not finished:
            raise UserError(
                f"none of the {len(runs)} runs in '{folder}' is finished"
            )
        found += finished
    return found


def reference(name: str, train: Callable[[], np.ndarray]) -> Target:
    """Returns a colouring that needs no training.

    Args:
        name: One of `REFERENCES`.
        train: Gives the training photos that `mean` knows, uint8 (n, H, W, 3).
    """
    if name == "grey":
        return Target.of(name, references.grey, "reference")
    if name == "mean":

        def mean(photos: Photos) -> Iterator[np.ndarray]:
            predict = references.mean_given_lightness(train())
            yield from predicted(predict, photos.pixels)

        return Target(name, mean, "reference")

    def shuffled(photos: Photos) -> Iterator[np.ndarray]:
        others = references.another(len(photos))
        for _, ab in batches(
            photos.pixels, batch_size(photos.pixels), rows=others
        ):
            yield ab

    return Target(name, shuffled, "reference")


def coloured(folder: Path) -> Target:
    """Returns the photos of a folder, which something else has coloured.

    Each has the name of the photo it was made from, but for the suffix, and its
    size, or is the square that kcolor makes of it.

    Raises:
        UserError: The folder holds no photo.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in files.SUFFIXES:
            name = path.relative_to(folder)
            found.setdefault(str(name), []).append(path)
            found.setdefault(str(name.with_suffix("")), []).append(path)
    if not found:
        raise UserError(
            f"'{folder}' is no run, no model and holds no coloured photo"
        )

    def colourings(photos: Photos) -> Iterator[np.ndarray]:
        names = iter(photos.names)
        for lightness, _ in batches(photos.pixels, batch_size(photos.pixels)):
            paths = [path_of(next(names)) for _ in lightness]
            size = lightness.shape[1]
            rgb = np.stack([_square(path, size) for path in paths])
            lab = np.asarray(rgb_to_lab(rgb / np.float32(255)))
            away = np.abs(lab[..., :1] - lightness).mean(axis=(1, 2, 3))
            for path, far in zip(paths, away, strict=True):
                if far > OTHER_PHOTO:
                    raise UserError(
                        f"'{path}' does not show the photo that it is named "
                        f"after: its lightness is {far:.0f} of 100 away on "
                        "average: check names and sizes"
                    )
            yield lab[..., 1:]

    def paths_of(name: str) -> list[Path]:
        stem = str(Path(name).with_suffix(""))
        return found.get(name) or found.get(stem, [])

    def path_of(name: str) -> Path:
        stem = str(Path(name).with_suffix(""))
        paths = paths_of(name)
        if not paths:
            raise UserError(
                f"'{folder}' has no photo named '{stem}': name each after the "
                "photo it was made from"
            )
        if len(paths) > 1:
            raise UserError(
                f"'{folder}' has {len(paths)} photos named '{stem}': keep one"
            )
        return paths[0]

    return Target(
        folder.resolve().name,
        colourings,
        "photos",
        covers=lambda name: bool(paths_of(name)),
    )


def open_models(
    targets: Sequence[str], data: str | None, image_size: int | None
) -> tuple[dict[str, Model | None], str, int]:
    """Returns the models among targets, and what they were trained on.

    Args:
        targets: As the command line names them.
        data: What the command line says of it.
        image_size: The same.

    Returns:
        The model of each target, None where it is none; the `--data` and the
        photos' height and width in pixels: by default those of the first model
        that knows.

    Raises:
        UserError: A model cannot be loaded.
    """
    models = {text: open_model(text) for text in targets}
    known = [model for model in models.values() if model]
    data = data or next((model.data for model in known if model.data), DATA)
    size = image_size or next((model.image_size for model in known), SIZE)
    return models, data, size


def open_targets(
    targets: Sequence[str],
    models: dict[str, Model | None],
    train: Callable[[], np.ndarray],
) -> list[Target]:
    """Returns what the command line names, each by a name of its own.

    Args:
        targets: As `open_target` takes them.
        models: As `open_models` gave them.
        train: As in `reference`.

    Raises:
        UserError: There is no such thing, or two have one name.
    """
    opened = [open_target(text, train, models[text]) for text in targets]
    names = [target.name for target in opened]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two targets are called '{name}': rename one of them"
            )
    return opened


def open_target(
    text: str, train: Callable[[], np.ndarray], model: Model | None
) -> Target:
    """Returns what the command line names.

    Args:
        text: A run, a `.keras` file, a SavedModel, a `.tflite` file, a folder
            of coloured photos, "pretrained", or one of `REFERENCES`.
        train: As in `reference`.
        model: What `open_model` gave for it.

    Raises:
        UserError: There is no such thing.
    """
    if model is not None:
        return Target.of(model.name, model.predict, "model", model)
    if text in REFERENCES:
        return reference(text, train)
    path = Path(text)
    export = open_export(path)
    if export is not None:
        return Target.of(export.name, export.predict, "export")
    if path.is_dir():
        return coloured(path)
    if path.exists():
        raise UserError(
            f"'{text}' is no run, no .keras or .tflite file and no folder of "
            "photos"
        )
    known = ["RUN", "FILE.keras", "FILE.tflite", "FOLDER", shipped.NAME]
    raise unknown("target", text, [*REFERENCES, *known])


def _square(path: Path, size: int) -> np.ndarray:
    """Returns a file's centre square, uint8 (size, size, 3)."""
    try:
        pixels = files.decode(path.read_bytes())
    except (files.BrokenPhoto, OSError) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from error
    return squared(pixels, size, size)
