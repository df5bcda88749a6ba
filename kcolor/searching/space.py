"""The search space: an experiment to start from, and ranges over its fields."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml
from jsonargparse import get_loader
from jsonargparse.typing import NonNegativeInt, PositiveInt

from kcolor.errors import UserError, unknown
from kcolor.evaluation.metrics import METRICS, RANKING_METRICS
from kcolor.searching.ranges import Choice, Numbers, read_range
from kcolor.settings import Factor, Positive, Rungs, is_of
from kcolor.training.experiment import (
    PARTS,
    Experiment,
    experiment_type,
    read,
    wanted,
)

BUDGETS = {"epochs": PositiveInt, "steps": PositiveInt, "seconds": Positive}
# What only one of the tuners knows.
TUNER_OF = {
    "factor": "hyperband",
    "rungs": "hyperband",
    "iterations": "hyperband",
    "initial_points": "bayesian",
}


@dataclass(frozen=True)
class Searched:
    """A setting that is searched.

    Args:
        name: A field of an experiment. Where only some experiments have it,
            the part that it belongs to stands before it, as in
            `ce.temperature`.
        range: The values it may have.
        when: Other searched settings, and with which of their values alone this
            one is searched.
    """

    name: str
    range: Choice | Numbers
    when: Mapping[str, tuple] = dataclasses.field(default_factory=dict)

    @property
    def part(self) -> str:
        """The architecture, loss or scheme it belongs to, or ""."""
        return self.name.rpartition(".")[0]

    @property
    def field(self) -> str:
        """The field of an experiment."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Space:
    """What is searched, and how.

    Args:
        start: What all trials share: fields of an experiment.
        searched: The settings that are searched, each after those its `when`
            names.
        objective: Validation metric of its best epoch that a trial is judged
            by.
        tuner: Which search of keras-tuner.
        trials: How many there are at most; auto: 20 of random and of bayesian,
            all there are of hyperband and of a grid.
        budget: How long a trial may be trained: so many epochs, steps or
            seconds. Nothing: as the experiment says.
        factor: Of hyperband: one in so many trials of a rung goes on to the
            next, and is trained so many times as long there.
        rungs: Of hyperband: how many there are up to the whole budget.
        iterations: Of hyperband: how often it does all.
        initial_points: Of bayesian: random trials before it trusts its model; 0
            for three times the number of searched settings.
        seed: Of the choice of trials. That of each trial is the experiment's.
    """

    start: Mapping[str, Any]
    searched: tuple[Searched, ...]
    objective: str = "rmse_ab"
    tuner: Literal["random", "bayesian", "hyperband", "grid"] = "random"
    trials: Literal["auto"] | PositiveInt = "auto"
    budget: Mapping[str, float] = dataclasses.field(default_factory=dict)
    factor: Factor = 3
    rungs: Rungs = 3
    iterations: PositiveInt = 1
    initial_points: NonNegativeInt = 0
    seed: PositiveInt = 1

    @property
    def direction(self) -> Literal["min", "max"]:
        """Whether less or more of the objective is better."""
        better = METRICS[self.objective].better
        return "max" if better == "higher" else "min"

    def rank(self, score: float) -> float:
        """Returns a number that is the less, the better a score is."""
        return -score if self.direction == "max" else score

    @property
    def units(self) -> int:
        """The whole budget of a trial, in those of hyperband's first rung."""
        if self.tuner != "hyperband":
            return 1
        return self.factor ** (self.rungs - 1)

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the searched settings of a trial, named as in the file.

        Args:
            values: keras-tuner's values.
        """
        return {
            setting.name: setting.range.plain(values[setting.name])
            for setting in self.searched
            if setting.name in values
        }

    def experiment(self, settings: Mapping[str, Any], **others) -> Experiment:
        """Returns the experiment of a trial.

        Args:
            settings: As `settings` gives them.
            **others: More fields, such as its budget.

        Raises:
            UserError: Its parts do not fit each other.
        """
        fields = self._fields(settings)
        return Experiment.of(**fields | {"monitor": self.objective} | others)

    def to_yaml(self) -> str:
        """Returns a file that `read_space` makes this of, without others."""
        ranges = {
            setting.name: setting.range.written()
            | {"when": {name: list(v) for name, v in setting.when.items()}}
            for setting in self.searched
        }
        fields = {"experiment": dict(self.start), **_options(self)}
        return yaml.safe_dump(fields | {"space": ranges}, sort_keys=False)

    def _fields(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the fields of the start and those that were chosen.

        What the start says of a part that the choice has replaced is left out.
        """
        chosen = {
            setting.field: settings[setting.name]
            for setting in self.searched
            if setting.name in settings
        }
        before, after = _parts(self.start), _parts(self.start | chosen)
        fields = dict(self.start)
        for flag, name in before.items():
            if after[flag] != name:
                for own in inspect.get_annotations(PARTS[flag].get(name)):
                    fields.pop(own, None)
        gone = _names(before) - _names(after)
        return {k: v for k, v in fields.items() if k not in gone} | chosen


def read_space(path: Path, **changes) -> Space:
    """Returns the space that a file describes, checked.

    Args:
        path: A YAML file: `experiment`, the fields of an experiment, or a file
            with them, beside the space's; `space`, the ranges; and any field of
            `Space`.
        **changes: Fields of `Space` and of the experiment that replace the
            file's.

    Raises:
        UserError: There is no such file, or what is wrong in it.
    """
    # 1e-4 is a number there, which it is not for YAML itself.
    written = read(path, "space", get_loader("yaml"))
    try:
        return _space(written, path.parent, changes)
    except UserError as error:
        raise UserError(f"space '{path}': {error}") from error


def _space(written: dict, folder: Path, changes: dict) -> Space:
    types = {
        name: type_
        for name, type_ in get_type_hints(Space).items()
        if name not in ("start", "searched", "budget")
    }
    known = ["experiment", "space", "budget", *types]
    for key in written:
        if key not in known:
            raise unknown("key", str(key), known)
    start = _start(written.get("experiment"), folder)
    for name, value in changes.items():
        (written if name in types else start)[name] = value

    options = {name: written[name] for name in types if name in written}
    for name, value in options.items():
        if not is_of(value, types[name]):
            raise UserError(
                f"{name}: '{value}' is not allowed: give {wanted(types[name])}"
            )
    tuner = options.get("tuner", Space.tuner)
    for name in options:
        if TUNER_OF.get(name, tuner) != tuner:
            raise UserError(
                f"{name} is of {TUNER_OF[name]}, not of {tuner}: leave it out"
            )
    if options.get("objective", Space.objective) not in RANKING_METRICS:
        raise unknown("objective", str(options["objective"]), RANKING_METRICS)
    options["budget"] = _budget(written.get("budget", {}))

    Experiment.parsed(**{str(name): value for name, value in start.items()})
    searched = _searched(written.get("space"), start)
    space = Space(start, searched, **options)
    _check_decided_once(space)
    _check_rungs(space)
    return space


def _check_decided_once(space: Space) -> None:
    """Refuses to search what is decided elsewhere, or by another setting."""
    taken = {"monitor": "the objective"}
    if space.budget:
        taken |= dict.fromkeys(("epochs", "steps"), "the budget")
    fields = {}
    for setting in space.searched:
        if setting.field in taken:
            raise UserError(
                f"{setting.name}: {taken[setting.field]} decides that: leave "
                "one of them out"
            )
        other = fields.setdefault(setting.field, setting)
        if other is not setting and not (setting.part and other.part):
            raise UserError(
                f"{setting.name}: {other.name} is searched, too: leave one out"
            )


def _start(written, folder: Path) -> dict[str, Any]:
    """Returns the fields of the experiment that all trials share."""
    if written is None:
        return {}
    if isinstance(written, str):
        written = {"config": written}
    if not isinstance(written, dict):
        raise UserError("experiment: give a config file, or settings")
    fields = dict(written)
    config = fields.pop("config", None)
    if config is None:
        return fields
    return read(folder / str(config)) | fields


def _check_rungs(space: Space) -> None:
    """Refuses a budget that the first rung cannot have a share of."""
    for name, amount in space.budget.items():
        if name != "seconds" and amount < space.units:
            raise UserError(
                f"budget: {amount} {name} cannot be shared by {space.rungs} "
                f"rungs: give {space.units} at least, or fewer rungs"
            )


def _budget(written) -> dict[str, float]:
    words = " or ".join(BUDGETS)
    if not isinstance(written, dict) or len(written) > 1:
        raise UserError(f"budget: give one of {words}, as in {{steps: 1000}}")
    for name, value in written.items():
        if name not in BUDGETS:
            raise unknown("budget", str(name), BUDGETS)
        if not is_of(value, BUDGETS[name]):
            raise UserError(
                f"budget: '{value}' is not allowed: give "
                f"{wanted(BUDGETS[name])} of {name}"
            )
    return written


def _searched(written, start: dict[str, Any]) -> tuple[Searched, ...]:
    """Returns the ranges, checked, each after those its `when` names."""
    if not isinstance(written, dict) or not written:
        raise UserError(
            "space: name the settings to search, as in 'loss: [l2, ce]'"
        )
    found = {}
    for name, value in written.items():
        try:
            found[name] = _read_setting(str(name), value)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    for flag in PARTS:
        if flag in found and not isinstance(found[flag].range, Choice):
            raise UserError(f"{flag}: list the names to choose from")
    bound = {name: _bound(s, found, start) for name, s in found.items()}
    ordered = _after_parents(bound)
    for setting in ordered:
        try:
            _check_values(setting, bound, start)
        except UserError as error:
            raise UserError(f"{setting.name}: {error}") from error
    return ordered


def _read_setting(name: str, written) -> Searched:
    when = {}
    if isinstance(written, dict) and "when" in written:
        written = dict(written)
        when = written.pop("when")
        if not isinstance(when, dict):
            raise UserError("when: write it as in {when: {optimizer: adamw}}")
        when = {
            str(other): tuple(v) if isinstance(v, list) else (v,)
            for other, v in when.items()
        }
        if not all(when.values()):
            raise UserError("when: name the values with which it is searched")
    return Searched(name, read_range(written), when)


def _bound(
    setting: Searched, found: Mapping[str, Searched], start: Mapping[str, Any]
) -> Searched:
    """Returns a setting that is searched only with the part it belongs to."""
    part, when = setting.part, dict(setting.when)
    if part:
        flags = [flag for flag, all_ in PARTS.items() if part in all_.names()]
        if not flags:
            known = [n for all_ in PARTS.values() for n in all_.names()]
            raise unknown("part", part, known)
        (flag,) = flags
        if flag in found:
            when[flag] = (part,)
        elif _parts(start)[flag] != part:
            raise UserError(
                f"{setting.name}: the experiment has {flag} "
                f"{_parts(start)[flag]}: search {flag}, too, or leave this out"
            )
    for other, values in when.items():
        if other not in found:
            raise unknown(f"setting in when of {setting.name}", other, found)
        choice = found[other].range
        if not isinstance(choice, Choice):
            raise UserError(
                f"{setting.name}: when {other}: only a choice can decide"
            )
        for value in values:
            if value not in choice.values:
                raise UserError(
                    f"{setting.name}: {other} is never '{value}' in this space"
                )
    return dataclasses.replace(setting, when=when)


def _after_parents(found: Mapping[str, Searched]) -> tuple[Searched, ...]:
    """Returns the settings, each after those that its `when` names."""
    placed: dict[str, Searched] = {}
    while len(placed) < len(found):
        ready = [
            setting
            for name, setting in found.items()
            if name not in placed and placed.keys() >= setting.when.keys()
        ]
        if not ready:
            left = ", ".join(name for name in found if name not in placed)
            raise UserError(f"when: {left} wait for each other")
        placed |= {setting.name: setting for setting in ready}
    return tuple(placed.values())


def _check_values(
    setting: Searched, found: Mapping[str, Searched], start: Mapping[str, Any]
) -> None:
    """Refuses a setting that a trial would not have, or not with its values."""
    choices = []
    for flag, name in _parts(start).items():
        names = [name]
        if flag in found:
            names = setting.when.get(flag, found[flag].range.values)
        choices.append(names if setting.name != flag else [None])
    for names in itertools.product(*choices):
        parts = {f: n for f, n in zip(PARTS, names, strict=True) if n}
        for value in setting.range.ends:
            Experiment.parsed(**parts | {setting.field: value})


def _options(space: Space) -> dict[str, Any]:
    """Returns the fields that say how to search, as plain YAML has them."""
    options = {}
    for field in dataclasses.fields(space):
        is_its = TUNER_OF.get(field.name, space.tuner) == space.tuner
        if is_its and field.name not in ("start", "searched"):
            options[field.name] = getattr(space, field.name)
    return options


def _parts(fields: Mapping[str, Any]) -> dict[str, str]:
    return {p: str(fields.get(p, getattr(Experiment, p))) for p in PARTS}


def _names(parts: Mapping[str, str]) -> set[str]:
    kind = experiment_type(*parts.values())
    return {field.name for field in dataclasses.fields(kind)}
