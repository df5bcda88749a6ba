"""Writes `docs/choices.md` from the registries: `python docs/tables.py`."""

from pathlib import Path

import docstring_parser

from kcolor import models, objectives, schemes
from kcolor.objectives.objective import Objective
from kcolor.schemes.adversarial import AdversarialScheme
from kcolor.settings import settings

TARGET = Path(__file__).with_name("choices.md")


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


if __name__ == "__main__":
    TARGET.write_text(choices())
