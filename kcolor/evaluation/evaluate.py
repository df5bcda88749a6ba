"""Measuring anything that colours photos: the whole story, top to bottom."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from kcolor.data.pipeline import ab_histogram
from kcolor.data.prepare import TEST, TRAIN, VALIDATION, Photos, load
from kcolor.errors import UserError, first_line, unknown
from kcolor.evaluation.measure import BATCH, SHOWN, figures
from kcolor.evaluation.metrics import (
    METRICS,
    color_weights,
    differences,
    summarise,
)
from kcolor.evaluation.targets import Target, open_model, open_target

SPLITS = (TEST, VALIDATION, TRAIN)
# For targets that no training has bound to a source and a size.
DATA, SIZE = "demo", 64
CLASSES = "classes"

Progress = Callable[..., Iterable]


def evaluate(
    targets: Sequence[str],
    data: str | None = None,
    split: str = TEST,
    metrics: Sequence[str] = SHOWN,
    image_size: int | None = None,
    domains: str | None = None,
    progress: Progress = lambda items, *_: items,
) -> dict[str, dict[str, dict]]:
    """Measures runs, models, references and coloured photos on the same photos.

    Args:
        targets: Runs, `.keras` files, folders of coloured photos, or "grey",
            "mean" and "shuffled".
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
    _check(targets, split, metrics)
    models = {text: open_model(Path(text)) for text in targets}
    known = [model for model in models.values() if model]
    data = data or next((m.data for m in known if m.data), DATA)
    image_size = image_size or next(
        (model.colorizer.image_size for model in known), SIZE
    )
    loaded = load(
        data,
        image_size,
        progress=lambda items, total: progress(items, total, "decoding"),
    )
    photos: Photos = getattr(loaded, split)
    domain_of = _domains(domains, photos) if domains else None
    weights = color_weights(ab_histogram(loaded.train.pixels))
    opened = _named(
        [open_target(text, loaded, models[text]) for text in targets]
    )
    found = {
        target.name: figures(
            progress(
                target.colourings(photos),
                -(-len(photos) // BATCH),
                target.name,
                " batches",
            ),
            photos.pixels,
            weights,
        )
        for target in opened
    }

    # === Metrics, Differences, Domains ===
    first = next(iter(found))
    measured = {}
    for name, own in found.items():
        measured[name] = summarise(own)
        if name != first:
            for metric, difference in differences(own, found[first]).items():
                measured[name][metric]["difference"] = difference
        if domain_of is not None:
            for domain in sorted(set(domain_of)):
                part = {k: v[domain_of == domain] for k, v in own.items()}
                for metric, figure in summarise(part).items():
                    by_domain = measured[name][metric].setdefault("domains", {})
                    by_domain[domain] = figure
    return {
        name: {metric: own[metric] for metric in metrics}
        for name, own in measured.items()
    }


def _check(targets: Sequence[str], split: str, metrics: Sequence[str]) -> None:
    if not targets:
        raise UserError("nothing to measure: give a run, a model or 'grey'")
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    for metric in metrics:
        if metric not in METRICS:
            raise unknown("metric", metric, METRICS)


def _named(targets: list[Target]) -> list[Target]:
    """Refuses two targets that a table could not tell apart."""
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two targets are called '{name}': rename one of them"
            )
    return targets


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
        with Path(domains).open(newline="") as file:
            rows = [row for row in csv.reader(file, delimiter="\t") if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"domains '{domains}' cannot be read ({first_line(error)}): give "
            "'classes', or a table with a line 'class<TAB>domain' each"
        ) from error
    table = {row[0]: row[1] for row in rows if len(row) > 1}
    if not set(table) & set(photos.domains):
        raise UserError(
            f"domains '{domains}' names none of the photos' classes, such as "
            f"'{photos.domains[0]}': write lines 'class<TAB>domain'"
        )
    return np.array([table.get(name, "other") for name in photos.domains])
