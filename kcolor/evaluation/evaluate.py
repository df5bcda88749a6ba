"""Measuring anything that colours photos: the whole story, top to bottom."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kcolor.data.pipeline import ab_histogram
from kcolor.data.prepare import TEST, TRAIN, VALIDATION, Photos, load
from kcolor.errors import UserError, unknown
from kcolor.evaluation import measure
from kcolor.evaluation.figures import color_weights
from kcolor.evaluation.intervals import differences, summarise
from kcolor.evaluation.judges import JUDGES, LEAST_SIZE, TRUTH, Progress
from kcolor.evaluation.measure import SHOWN
from kcolor.evaluation.metrics import METRICS, PEOPLE
from kcolor.evaluation.targets import (
    Target,
    open_models,
    open_targets,
    with_runs,
)

SPLITS = (TEST, VALIDATION, TRAIN)
CLASSES = "classes"
# The judge of metrics of several draws, and how many these are.
DRAWS, BEST_OF = "draws", 8


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What several targets made of the same photos.

    Attributes:
        data: The `--data` that the photos come from.
        split: "test", "validation" or "train".
        photos: The true photos.
        targets: What was measured, by name.
        figures: What the metrics are made of: target -> name -> an array, a row
            for each photo.
        coloured: What a viewer sees of each target's colourings, uint8
            (n, H, W, 3), where that was to be kept.
        seconds: How long each model and export takes for a photo, where
            colourings were to be kept.
        domains: The domain of each photo, where domains were asked for.
    """

    data: str
    split: str
    photos: Photos
    targets: dict[str, Target]
    figures: dict[str, dict[str, np.ndarray]]
    coloured: dict[str, np.ndarray]
    seconds: dict[str, float]
    domains: np.ndarray | None

    def measured(self, metrics: Sequence[str]) -> dict[str, dict[str, dict]]:
        """Returns what `evaluate` does."""
        first = next(iter(self.figures))
        measured = {}
        for name, own in self.figures.items():
            measured[name] = found = summarise(own, metrics)
            if name != first:
                compared = differences(own, self.figures[first], metrics)
                for metric, difference in compared.items():
                    found[metric]["difference"] = difference
            if self.domains is None:
                continue
            for domain in sorted(set(self.domains)):
                part = {k: v[self.domains == domain] for k, v in own.items()}
                for metric, figure in summarise(part, metrics).items():
                    by_domain = found[metric].setdefault("domains", {})
                    by_domain[domain] = figure
        return measured

    def notes(self) -> list[str]:
        """Returns a line for each target that gave what is not a number."""
        lines = []
        for name, own in self.figures.items():
            (spoilt,) = np.nonzero(_spoilt(own))
            if len(spoilt):
                lines.append(
                    f"'{name}' gave what is no number for {len(spoilt)} of "
                    f"{len(self.photos)} photos, such as "
                    f"'{self.photos.names[spoilt[0]]}': its figures are nan"
                )
        return lines


def evaluate(
    targets: Sequence[str],
    data: str | None = None,
    split: str = TEST,
    metrics: Sequence[str] = SHOWN,
    image_size: int | None = None,
    domains: str | None = None,
    progress: Progress = lambda items, *_: items,
) -> dict[str, dict[str, dict]]:
    """Measures whatever colours photos, all on the same photos.

    Args:
        targets: Runs, folders of runs such as a search's, `.keras` files,
            SavedModel folders, `.tflite` files, folders of coloured photos, or
            "grey", "mean" and "shuffled".
        data: As of `kcolor-train`; by default that of the first run.
        split: "test", "validation" or "train".
        metrics: Which to return.
        image_size: Height and width of the photos, in pixels; by default that
            of the first model.
        domains: "classes" for a figure of each class of the photos too, or a
            table, a line "class<TAB>domain" each, that gathers classes.
        progress: Wraps iterations, to show how far they are.

    Returns:
        target -> metric -> its `value`, the `low` and `high` end of its 95 %
        interval over photos, and `n`, the number of photos; where there are
        several targets, the `difference` from the first, with its interval; and
        with `domains` the same of each, by name.

    Raises:
        UserError: A target, the data or a metric cannot be used.
    """
    return examine(
        targets, data, split, metrics, image_size, domains, progress
    ).measured(metrics)


def examine(
    targets: Sequence[str],
    data: str | None = None,
    split: str = TEST,
    metrics: Sequence[str] = SHOWN,
    image_size: int | None = None,
    domains: str | None = None,
    progress: Progress = lambda items, *_: items,
    keep: bool = False,
) -> Evaluation:
    """Returns what targets made of the same photos, before it is summed up.

    Args:
        targets: As `evaluate` takes them.
        data: As in `evaluate`.
        split: As in `evaluate`.
        metrics: Those that `measured` will be asked for.
        image_size: As in `evaluate`.
        domains: As in `evaluate`.
        progress: As in `evaluate`.
        keep: Whether to keep the coloured photos, and to take times.

    Raises:
        UserError: As `evaluate`.
    """
    _check(targets, split, metrics)
    wanted = {METRICS[metric].judge for metric in metrics} - {""}
    judges = {name: JUDGES[name]() for name in sorted(wanted - {DRAWS})}

    # === Photos ===
    targets = with_runs(targets)
    models, data, image_size = open_models(targets, data, image_size)
    for name in judges:
        if image_size < LEAST_SIZE.get(name, 1):
            raise UserError(
                f"{name} needs photos of {LEAST_SIZE[name]} pixels at least: "
                "give another --image-size, or leave it out"
            )
    opened = open_targets(targets, models, lambda: loaded.train.pixels)
    loaded = load(
        data,
        image_size,
        progress=lambda items, total: progress(items, total, "decoding"),
    )
    photos = _centred(getattr(loaded, split), image_size)
    domain_of = _domains(domains, photos) if domains else None
    weights = color_weights(ab_histogram(loaded.train.pixels))

    # === Targets ===
    figures, kept, seconds = {}, {}, {}
    count = -(-len(photos) // measure.batch_size(photos.pixels))
    for target in opened:
        coloured = _room(photos.pixels) if judges or keep else None
        answers = target.colourings(photos)
        own = measure.figures(
            progress(answers, count, target.name, " batches"),
            photos.pixels,
            weights,
            coloured,
        )
        if DRAWS in wanted:
            draws = progress(
                target.draws(photos, BEST_OF), count, "draws", " batches"
            )
            own["best_squared_ab"] = measure.least_error(draws, photos.pixels)
        spoilt = _spoilt(own)
        for judge in judges.values():
            found = judge(photos.pixels, coloured, progress)
            for name in found.keys() - TRUTH:
                found[name][spoilt] = np.nan  # it has seen grey there
            own |= found
        figures[target.name] = own
        if keep:
            kept[target.name] = coloured
            if target.kind in ("model", "export"):
                seconds[target.name] = _seconds_a_photo(target, photos)
    return Evaluation(
        data,
        split,
        photos,
        {target.name: target for target in opened},
        figures,
        kept,
        seconds,
        domain_of,
    )


def _centred(photos: Photos, image_size: int) -> Photos:
    """Returns photos without the margin that training crops from."""
    margin = (photos.pixels.shape[1] - image_size) // 2
    inner = slice(margin, margin + image_size)
    return dataclasses.replace(photos, pixels=photos.pixels[:, inner, inner])


def _spoilt(figures: dict[str, np.ndarray]) -> np.ndarray:
    """Returns which photos have an answer that is no number."""
    spoilt = np.isnan(figures["squared_ab"])
    return spoilt | np.isnan(figures.get("best_squared_ab", 0.0))


def _seconds_a_photo(target: Target, photos: Photos) -> float:
    """Returns how long an answer takes, where all is compiled already."""
    pixels = photos.pixels[: 4 * measure.batch_size(photos.pixels)]
    began = time.perf_counter()
    for answer in target.colourings(dataclasses.replace(photos, pixels=pixels)):
        np.asarray(answer)
    return (time.perf_counter() - began) / len(pixels)


def _room(pixels: np.ndarray) -> np.ndarray:
    """Returns room for coloured photos: in a file, so that memory stays free.

    The file has no name, so it goes when the array does.
    """
    with tempfile.TemporaryFile(prefix="kcolor-") as file:
        return np.memmap(file, np.uint8, "w+", shape=pixels.shape)


def _check(targets: Sequence[str], split: str, metrics: Sequence[str]) -> None:
    if not targets:
        raise UserError("nothing to measure: give a run, a model or 'grey'")
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if not metrics:
        raise UserError("no metrics: give one at least")
    for metric in metrics:
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)
        if METRICS[metric].judge == PEOPLE:
            raise UserError(
                f"metric '{metric}' is what people say: ask them with "
                "kcolor-study, and give kcolor-report --study"
            )


def _domains(domains: str, photos: Photos) -> np.ndarray:
    """Returns the domain of each photo, "other" where the table has none."""
    if not any(photos.domains):
        raise UserError(
            "the photos have no classes, so no domains: give data in one "
            "folder a class, or leave out --domains"
        )
    if domains == CLASSES:
        return np.array([name or "none" for name in photos.domains])
    try:
        lines = Path(domains).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UserError(
            f"domains '{domains}' cannot be read ({reason}): give 'classes', "
            "or a table with a line 'class<TAB>domain' each"
        ) from error
    table: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, domain, *_ = (*line.split("\t"), "")
        if not (name and domain) or table.get(name, domain) != domain:
            raise UserError(
                f"domains '{domains}', line {number}: '{line}' gives a class "
                "none or another domain: write 'class<TAB>domain', each once"
            )
        table[name] = domain
    if not set(table) & set(photos.domains):
        raise UserError(
            f"domains '{domains}' names none of the photos' classes, such as "
            f"'{photos.domains[0]}': write lines 'class<TAB>domain'"
        )
    return np.array([table.get(name, "other") for name in photos.domains])
