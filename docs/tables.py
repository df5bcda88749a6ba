"""Writes `choices.md` and `metrics.md`: `python docs/tables.py`."""

from pathlib import Path

import docstring_parser

from kcolor import models, objectives, schemes
from kcolor.evaluation.metrics import METRICS
from kcolor.objectives.objective import Objective
from kcolor.schemes.adversarial import AdversarialScheme
from kcolor.settings import settings

FOLDER = Path(__file__).parent


def choices() -> str:
    """Returns the page: every architecture, loss and scheme."""
    lines = [
        "# Choices",
        "",
        "Any architecture works with any loss under any scheme; the few that "
        "cannot say why before anything is trained. Costs are those of the "
        "default settings, on two cores of an AMD EPYC in bfloat16, 32 photos "
        "a step; [results](results.md) has those of all pairs. "
        "`python docs/tables.py` writes this page.",
    ]
    for title, registry in (
        ("Architectures: `--arch`", models),
        ("Losses: `--loss`", objectives),
    ):
        lines += ["", f"## {title}"]
        for name in registry.names():
            lines += ["", *_entry(name, registry.get(name))]
    lines += ["", "### Beside any loss but `flow`", "", *_settings(Objective)]
    lines += ["", "## Schemes: `--scheme`"]
    for name in schemes.names():
        lines += ["", *_entry(name, schemes.get(name))]
    lines += ["", "### The discriminators of `cgan` and `cyclegan`", ""]
    lines += _settings(AdversarialScheme)
    return "\n".join(lines) + "\n"


def _entry(name: str, kind: type) -> list[str]:
    text = docstring_parser.parse(kind.__doc__)
    lines = [f"### `{name}`", "", text.short_description]
    about = (text.long_description or "").split("Reference:")[0].strip()
    if about:
        lines += ["", " ".join(about.split())]
    told = _settings(kind)
    return [*lines, "", *told] if told else lines


def _settings(kind: type) -> list[str]:
    """Returns a line for each setting that the class's own docstring tells."""
    lines = []
    text = docstring_parser.parse(kind.__doc__)
    told = {parameter.arg_name: parameter for parameter in text.params}
    for field in settings(kind):
        if field.name not in told:
            continue  # of every loss: told once
        flag = field.name.replace("_", "-")
        about = " ".join(told[field.name].description.split())
        lines.append(f"- `--{flag}` (default `{field.default}`): {about}")
    return lines


def metrics() -> str:
    """Returns the page: every metric."""
    lines = [
        "# Metrics",
        "",
        'None of them is "the" score: people often prefer the photo with the '
        "worse PSNR. Which need networks, and how intervals are made, is told "
        "under [evaluation](evaluation.md). `python docs/tables.py` writes "
        "this page.",
        "",
        "| `--metrics` | unit | better | definition |",
        "|---|---|---|---|",
    ]
    for name, metric in METRICS.items():
        text = docstring_parser.parse(metric.summary.__doc__)
        parts = [text.short_description, text.long_description or ""]
        about = " ".join(" ".join(parts).split())
        about, _, source = about.partition(" Reference: - ")
        source = f" ({source.rstrip('.')})" if source else ""
        unit = metric.unit or "–"
        lines.append(
            f"| `{name}` | {unit} | {metric.better} | {about}{source} |"
        )
    return "\n".join(lines) + "\n"


PAGES = {"choices.md": choices, "metrics.md": metrics}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
