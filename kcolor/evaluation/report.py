"""A page that sets colorizers side by side: figures, curves and photos."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import docstring_parser
import numpy as np
import yaml

from kcolor.data.pipeline import batches
from kcolor.data.prepare import TEST
from kcolor.errors import UserError
from kcolor.evaluation import charts, people
from kcolor.evaluation.evaluate import Evaluation, examine
from kcolor.evaluation.figures import as_seen
from kcolor.evaluation.judges import Progress
from kcolor.evaluation.measure import SHOWN, Measured
from kcolor.evaluation.metrics import METRICS
from kcolor.evaluation.targets import Target
from kcolor.files import check_writable, whole
from kcolor.page import plots
from kcolor.page.rendering import address, render
from kcolor.pictures import choose

PHOTOS = 8  # in the grid
EXTREMES = 4  # best photos of each target, and as many worst
GREY, TRUTH = "grey photo", "truth"
NEITHER = "colorfulness"  # best as the truth's, neither less nor more
ABOUT = {
    "grey": "no colour",
    "mean": "mean colour at each lightness",
    "shuffled": "another photo's colours",
}
MILLION_PARAMETERS = "million parameters"
SECONDS_AN_EPOCH = "seconds an epoch"
MILLISECONDS_A_PHOTO = "milliseconds a photo"


def report(
    targets: Sequence[str],
    out: str | Path,
    data: str | None = None,
    split: str = TEST,
    metrics: Sequence[str] = SHOWN,
    image_size: int | None = None,
    domains: str | None = None,
    photos: int = PHOTOS,
    study: str | Path | None = None,
    progress: Progress = lambda items, *_: items,
) -> Path:
    """Measures whatever colours photos and writes a page about it.

    Args:
        targets: As in `kcolor.evaluate`.
        out: The folder to write `index.html` and `table.csv` in. The page needs
            no other file and no network.
        data: As in `kcolor.evaluate`.
        split: As in `kcolor.evaluate`.
        metrics: The columns of the table.
        image_size: As in `kcolor.evaluate`.
        domains: As in `kcolor.evaluate`.
        photos: How many photos to show of every target.
        study: The folder of a study that was analysed: its fool rates are
            another column.
        progress: As in `kcolor.evaluate`.

    Returns:
        The page.

    Raises:
        UserError: A target, the data or a metric cannot be used, or the folder
            holds a report.
    """
    out = Path(out)
    page, table = out / "index.html", out / "table.csv"
    if out.exists() and not out.is_dir():
        raise UserError(f"'{out}' is no folder: give another --out")
    for path in (page, table):
        if path.exists():
            raise UserError(f"'{path}' exists: give another --out")
        check_writable(path)
    asked = None if study is None else people.read(study)
    evaluation = examine(
        targets, data, split, metrics, image_size, domains, progress, keep=True
    )
    measured = evaluation.measured(metrics)
    columns = list(metrics)
    if asked is not None:
        columns.append(people.FOOL_RATE)
        for name, rate in people.fool_rates(asked, list(measured)).items():
            measured[name][people.FOOL_RATE] = rate
    runs = {
        name: target.model.run
        for name, target in evaluation.targets.items()
        if target.model and target.model.run
    }
    configs = {
        name: yaml.safe_load(run.config.read_text())
        for name, run in runs.items()
    }
    histories = {
        name: run.read_history(configs[name]["epochs"])
        for name, run in runs.items()
    }
    histories = {name: rows for name, rows in histories.items() if rows}

    # === Plots ===
    looks = {name: plots.look(n) for n, name in enumerate(measured)}
    paid = _paid(evaluation, histories)
    figures = {}
    if histories:
        figures["curves"] = charts.curves(histories, looks)
    if evaluation.domains is not None:
        figures["domains"] = charts.domains(measured, metrics, looks)
    if paid:
        figures["costs"] = charts.costs(measured, columns, paid, looks)

    # === The page ===
    chosen = choose(np.arange(len(evaluation.photos)), photos)
    names = list(measured)
    html = render(
        "evaluation/report.html",
        evaluation=evaluation,
        date=datetime.now().astimezone(),
        command=_command(
            targets,
            out,
            data,
            split,
            metrics,
            image_size,
            domains,
            photos,
            study,
        ),
        looks=looks,
        neither=NEITHER,
        about={n: _about(t, paid) for n, t in evaluation.targets.items()},
        metrics=[_explained(name) for name in columns],
        rows=_rows(measured, columns),
        runs=list(histories),
        plots=plots.to_html(figures),
        choices={name: plots.choices(f) for name, f in figures.items()},
        grid=_shown(evaluation, chosen, names),
        titles=[GREY, *names, TRUTH],
        extremes={
            name: _extremes(evaluation, name)
            for name in names
            if evaluation.targets[name].kind != "reference"
        },
        settings=_settings(configs),
    )
    out.mkdir(parents=True, exist_ok=True)
    # Names may hold what was no text in the file system's encoding.
    options = {"encoding": "utf-8", "errors": "replace"}
    with whole(table) as table_file, whole(page) as page_file:
        table_file.write_text(_csv(measured), **options)
        page_file.write_text(html, **options)
    return page


# === Header and table ===


def _command(
    targets: Sequence[str],
    out: Path,
    data: str | None,
    split: str,
    metrics: Sequence[str],
    image_size: int | None,
    domains: str | None,
    photos: int,
    study: str | Path | None,
) -> str:
    """Returns the command line that makes the page again."""
    words = ["kcolor-report", *targets, "--out", str(out)]
    if data:
        words += ["--data", data]
    if split != TEST:
        words += ["--split", split]
    if tuple(metrics) != SHOWN:
        words += ["--metrics", *metrics]
    if image_size:
        words += ["--image-size", str(image_size)]
    if domains:
        words += ["--domains", domains]
    if photos != PHOTOS:
        words += ["--photos", str(photos)]
    if study:
        words += ["--study", str(study)]
    return shlex.join(words)


def _about(target: Target, paid: dict[str, dict[str, float]]) -> str:
    """Returns what a target is, in a few words."""
    if target.kind == "reference":
        return ABOUT[target.name]
    if target.model is None:
        return target.kind
    colorizer = target.model.colorizer
    millions = paid[MILLION_PARAMETERS][target.name]
    return (
        f"{colorizer.architecture.name}, {colorizer.objective.name}, "
        f"{millions:.3g}\N{NO-BREAK SPACE}M parameters"
    )


def _explained(name: str) -> dict:
    """Returns a metric with its definition and where it is from."""
    metric = METRICS[name]
    text = docstring_parser.parse(metric.summary.__doc__)
    parts = f"{text.short_description} {text.long_description or ''}"
    about, _, source = parts.partition("Reference:")
    return {
        "name": name,
        "unit": metric.unit,
        "better": metric.better,
        "about": " ".join(about.replace("`", "").split()),
        "sources": re.findall(r"\[(.+?)\]\((.+?)\)", source),
    }


def _rows(measured: Measured, metrics: Sequence[str]) -> dict[str, list[dict]]:
    """Returns the cells of each target, the best by the first metric first."""
    columns = {}
    for metric in metrics:
        higher = METRICS[metric].better == "higher"
        values = np.array(
            [found[metric]["value"] for found in measured.values()]
        )
        bound = METRICS[metric].bound
        if bound is not None:  # beyond it, none is better
            values = (np.minimum if higher else np.maximum)(values, bound)
        known = values[~np.isnan(values)]
        best = (max if higher else min)(known, default=None)
        if metric == NEITHER or len(measured) == 1:
            best = None
        digits = 3 if max(abs(known), default=0) < 2 else 2
        columns[metric] = [
            _cell(found[metric], digits, value == best)
            for found, value in zip(measured.values(), values, strict=True)
        ]
        if metric == metrics[0]:
            # What is no number comes last.
            order = np.argsort(-values if higher else values, kind="stable")
    names = list(measured)
    return {
        names[row]: [column[row] for column in columns.values()]
        for row in order
    }


def _cell(figure: dict, digits: int, is_best: bool) -> dict:
    def interval(part: dict) -> str:
        return f"[{part['low']:.{digits}f}, {part['high']:.{digits}f}]"

    is_known = figure["n"] > 0  # a study may lack a target
    cell = {
        "value": figure["value"],
        "text": f"{figure['value']:.{digits}f}" if is_known else "–",
        "interval": interval(figure) if is_known else "",
        "is_best": is_best,
        "difference": "",
    }
    if "difference" in figure:
        part = figure["difference"]
        number = f"{part['value']:+.{digits}f}"
        cell["difference"] = number.replace("+nan", "nan")
        cell["difference_interval"] = interval(part)
        cell["is_apart"] = part["low"] > 0 or part["high"] < 0
    return cell


def _csv(measured: Measured) -> str:
    """Returns every figure, one a line; without a domain, of all photos."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    figure = ("value", "low", "high")
    compared = [f"difference_{name}" for name in figure]
    writer.writerow(
        ["target", "metric", "domain", "photos", *figure, *compared]
    )
    for target, found in measured.items():
        for metric, whole_figure in found.items():
            parts = {"": whole_figure, **whole_figure.get("domains", {})}
            for domain, part in parts.items():
                difference = part.get("difference", {})
                writer.writerow(
                    [target, metric, domain, part["n"]]
                    + [part[name] for name in figure]
                    + [difference.get(name, "") for name in figure]
                )
    return text.getvalue()


def _paid(
    evaluation: Evaluation, histories: dict[str, list[dict]]
) -> dict[str, dict[str, float]]:
    """Returns what models cost: cost -> target -> how much."""
    models = {n: t.model for n, t in evaluation.targets.items() if t.model}
    paid = {
        MILLION_PARAMETERS: {
            name: model.colorizer.count_params() / 1e6
            for name, model in models.items()
        },
        SECONDS_AN_EPOCH: {
            name: float(np.median([float(row["seconds"]) for row in rows]))
            for name, rows in histories.items()
        },
        MILLISECONDS_A_PHOTO: {
            name: 1000 * seconds for name, seconds in evaluation.seconds.items()
        },
    }
    return {cost: of for cost, of in paid.items() if of}


def _settings(configs: dict[str, dict]) -> dict[str, list[str]]:
    """Returns the settings in which runs differ, and what each run has."""
    names = dict.fromkeys(name for c in configs.values() for name in c)
    table = {
        name: [str(config.get(name, "–")) for config in configs.values()]
        for name in names
    }
    return {name: row for name, row in table.items() if len(set(row)) > 1}


# === Photos ===


def _shown(
    evaluation: Evaluation, numbers: Sequence[int], names: Sequence[str]
) -> list[dict]:
    """Returns photos in grey, as targets colour them, and in truth.

    Args:
        evaluation: What was measured.
        numbers: Of the photos.
        names: Of the targets.
    """
    pixels = evaluation.photos.pixels[numbers]
    ((lightness, ab),) = batches(pixels, len(pixels))
    # Not by name: a target may be called as the others are.
    versions = [(GREY, np.uint8(as_seen(lightness, 0 * ab)), None)]
    for name in names:
        coloured = evaluation.coloured[name][numbers]
        versions.append((name, coloured, _errors(evaluation, name)))
    versions.append((TRUTH, pixels, None))
    return [
        {
            "name": evaluation.photos.names[number],
            "pictures": [
                {
                    "title": title,
                    "address": address(version[row]),
                    "error": "" if errors is None else f"{errors[number]:.1f}",
                }
                for title, version, errors in versions
            ],
        }
        for row, number in enumerate(numbers)
    ]


def _extremes(evaluation: Evaluation, name: str) -> dict[str, list[dict]]:
    """Returns a target's best and worst photos, the very best and worst first.

    Photos without a number are the worst.
    """
    order = np.argsort(_errors(evaluation, name), kind="stable")
    count = min(EXTREMES, max(1, len(order) // 2))
    return {
        "best": _shown(evaluation, order[:count], [name]),
        "worst": _shown(evaluation, order[::-1][:count], [name]),
    }


def _errors(evaluation: Evaluation, name: str) -> np.ndarray:
    """Returns the `rmse_ab` of each photo, (n,)."""
    return np.sqrt(evaluation.figures[name]["squared_ab"])
