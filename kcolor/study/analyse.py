"""What people said of a study, summed up: the whole story, top to bottom."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd
from plotly import graph_objects as go

import kcolor
from kcolor.errors import UserError
from kcolor.evaluation.people import FIGURES, FORMAT, RESULTS
from kcolor.files import check_writable, whole
from kcolor.page import plots
from kcolor.page.rendering import address, render
from kcolor.strict_json import to_json
from kcolor.study import statistics
from kcolor.study.answers import VISIONS, read
from kcolor.study.design import SHUFFLED, TEST, VIGILANCE
from kcolor.study.folder import Study
from kcolor.terminal import aligned

EXTREMES = 5  # photos of each method that convince most, and least
PAGE, METHODS, PHOTOS = "index.html", "methods.csv", "photos.csv"


def analyse_study(path: str | Path, out: str | Path | None = None) -> str:
    """Sums up what people said, and writes it as a page, JSON and CSV.

    Args:
        path: The study's folder. It may be served meanwhile.
        out: The folder to write; by default the study's `results`, which is
            replaced.

    Returns:
        What it comes to, as text for a terminal.

    Raises:
        UserError: There is no study, no answer that counts, or `out` holds
            results.
    """
    study = Study.open(path)
    if out is not None:
        for name in (PAGE, FIGURES, METHODS, PHOTOS):
            if (Path(out) / name).exists():
                raise UserError(
                    f"'{Path(out) / name}' exists: give another --out"
                )
    out = study.path / RESULTS if out is None else Path(out)
    check_writable(out / PAGE)
    participants, trials = read(study)
    before, after, dropped = statistics.exclude(trials, study.design)
    if not (after["kind"] == TEST).any():
        raise UserError(
            f"no answer in '{study.answers}' counts yet: {len(participants)} "
            f"participants gave {len(before)} answers after practice"
        )
    found = results(study, participants, trials, before, after, dropped)
    photos = statistics.by_photo(after)
    out.mkdir(parents=True, exist_ok=True)
    methods = pd.DataFrame.from_dict(found["methods"], orient="index")
    methods.index.name = "method"
    with (
        whole(out / FIGURES) as figures_file,
        whole(out / METHODS) as methods_file,
        whole(out / PHOTOS) as photos_file,
        whole(out / PAGE) as page_file,
    ):
        figures_file.write_text(to_json(found), encoding="utf-8")
        methods.to_csv(methods_file)
        photos.drop(columns="pair").to_csv(photos_file, index=False)
        page_file.write_text(
            _page(study, found, photos, after), encoding="utf-8"
        )
    return f"{_table(found)}\n\nlook at '{out / PAGE}'"


def results(
    study: Study,
    participants: pd.DataFrame,
    trials: pd.DataFrame,
    before: pd.DataFrame,
    after: pd.DataFrame,
    dropped: dict[str, int],
) -> dict:
    """Returns all figures of a study, as `results.json` has them.

    Args:
        study: The study.
        participants: As `kcolor.study.answers.read` gives them.
        trials: The same.
        before: All answers.
        after: Those that count.
        dropped: What was left out, by the reason.
    """
    methods = statistics.rates(after)
    watched = after[after["kind"] == VIGILANCE]
    last = trials.groupby("participant")["number"].max()
    times = before["shown_ms"]
    off = (times - 1000 * study.design.seconds).abs()
    return {
        "format": FORMAT,
        "study": study.id,
        "kcolor": kcolor.__version__,
        "on": datetime.now().astimezone().isoformat(timespec="seconds"),
        "design": study.design.to_dict(),
        "participants": {
            "joined": len(participants),
            "finished": int((last == study.design.photos).sum()),
            "counted": int(after["participant"].nunique()),
            "careless": dropped["participants_careless"],
            "unchecked": dropped["participants_unchecked"],
            "vision": {
                vision: int((participants["vision"] == vision).sum())
                for vision in VISIONS
            },
        },
        "answers": {
            "given": len(before),
            "counted": len(after),
            "fast": dropped["answers_fast"],
            "missing": dropped["answers_missing"],
        },
        "vigilance": {
            "found": int((~watched["fooled"]).sum()),
            "trials": len(watched),
        },
        "methods": methods,
        "methods_before": statistics.rates(before),
        "differences": statistics.differences(after),
        "sides": statistics.sides(after),
        "power": statistics.power(after),
        "shown": {
            "median_ms": float(times.median()),
            "least_ms": float(times.min()),
            "most_ms": float(times.max()),
            "within_a_frame": float(
                # Browsers round times to a tenth of a millisecond.
                (off <= before["frame_ms"] + 0.2).mean()
            ),
        },
    }


def _table(found: dict) -> str:
    people, answers = found["participants"], found["answers"]
    rows = [["", "participants", "trials", "fool rate %", "95 %", "d'"]]
    for name in _ranked(found["methods"]):
        part = found["methods"][name]
        low, high = part["low"], part["high"]
        rows.append(
            [
                name,
                str(part["participants"]),
                str(part["trials"]),
                f"{100 * part['value']:.1f}",
                f"[{100 * low:.1f}, {100 * high:.1f}]",
                f"{part['d_prime']:.2f}",
            ]
        )
    return (
        f"{people['counted']} of {people['joined']} participants and "
        f"{answers['counted']} of {answers['given']} answers count:\n\n"
        f"{aligned(rows)}"
    )


def _ranked(methods: dict[str, dict]) -> list[str]:
    """Returns the methods, the most convincing first, shuffled colours last."""
    return sorted(
        methods, key=lambda name: (name == SHUFFLED, -methods[name]["value"])
    )


# === The page ===


def _page(
    study: Study, found: dict, photos: pd.DataFrame, after: pd.DataFrame
) -> str:
    names = _ranked(found["methods"])
    looks = {name: plots.look(number) for number, name in enumerate(names)}
    charts = {
        "rates": _rates(found["methods"], looks),
        "reactions": _reactions(after, looks),
    }
    return render(
        "study/analysis.html",
        study=study,
        found=found,
        date=datetime.fromisoformat(found["on"]),
        names=names,
        shuffled=SHUFFLED,
        looks=looks,
        plots=plots.to_html(charts),
        choices={n: plots.choices(chart) for n, chart in charts.items()},
        extremes={
            name: _extremes(study, photos[photos["method"] == name])
            for name in names
        },
    )


def _rates(methods: dict[str, dict], looks: dict[str, dict]) -> go.Figure:
    figure, most = plots.empty(), 60.0
    for row, (name, look) in enumerate(looks.items()):
        value = {
            end: 100 * methods[name][end] for end in ("value", "low", "high")
        }
        most = max(most, value["high"])
        figure.add_scatter(
            x=[value["value"]],
            y=[row],
            error_x=plots.interval([value]),
            name=plots.plain(name),
            mode="markers",
            marker={**plots.marker(look), "size": 10},
            hovertemplate="%{x:.1f} %",
        )
    figure.add_vline(x=50, line={"color": "#888", "dash": "dot", "width": 1})
    _methods_down(figure, list(looks))
    figure.update_xaxes(range=[-1, most + 1], ticksuffix=" %")
    return figure


def _reactions(answers: pd.DataFrame, looks: dict[str, dict]) -> go.Figure:
    figure = plots.empty()
    for row, (name, look) in enumerate(looks.items()):
        times = answers[answers["method"] == name]["reaction_ms"] / 1000
        ends = times.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
        figure.add_box(
            y=[row],
            lowerfence=ends[:1],
            q1=ends[1:2],
            median=ends[2:3],
            q3=ends[3:4],
            upperfence=ends[4:],
            orientation="h",
            name=plots.plain(name),
            line={"color": look["color"], "width": 1.5},
            width=0.5,
        )
    _methods_down(figure, list(looks))
    figure.update_xaxes(rangemode="tozero", ticksuffix=" s")
    return figure


def _methods_down(figure: go.Figure, names: list[str]) -> None:
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=[plots.short(name) for name in names],
        ticklabelstandoff=8,
        automargin=True,
        showgrid=False,
    )
    figure.update_layout(height=70 + 44 * len(names))


def _extremes(study: Study, photos: pd.DataFrame) -> dict[str, list[dict]]:
    """Returns the photos of a method that convinced most, and least."""
    count = min(EXTREMES, len(photos) // 2) or 1
    return {
        "most convincing": _shown(study, photos.head(count)),
        "least convincing": _shown(study, photos.tail(count)[::-1]),
    }


def _shown(study: Study, photos: pd.DataFrame) -> list[dict]:
    shown = []
    for row in photos.itertuples():
        true, fake = study.halves(study.pairs[row.pair])
        shown.append(
            {
                "name": row.photo,
                "true": address(true),
                "fake": address(fake),
                "fooled": row.fooled,
                "trials": row.trials,
            }
        )
    return shown
