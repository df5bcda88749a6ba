"""An experiment: everything that decides a result, in one flat record."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import docstring_parser
import yaml
from jsonargparse import (
    ActionConfigFile,
    ArgumentError,
    ArgumentParser,
    DefaultHelpFormatter,
    get_loader,
)
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt

from kcolor import models, objectives, schemes
from kcolor.errors import UserError, unknown
from kcolor.models.architecture import Architecture
from kcolor.objectives.objective import Objective
from kcolor.schemes.adversarial import AdversarialScheme
from kcolor.schemes.scheme import Scheme
from kcolor.settings import (
    LARGEST,
    NonNegative,
    Positive,
    Seed,
    Share,
    settings,
)
from kcolor.training.inherited import inherited

# What has settings of its own, by the field that names it.
PARTS = {"arch": models, "loss": objectives, "scheme": schemes}


@dataclass(frozen=True)
class Experiment:
    """What decides a result, but for the settings of its parts.

    `experiment_type` adds the fields of the chosen parts;
    `Experiment.of` makes a checked one.

    Args:
        arch: Architecture: {architectures}.
        loss: Objective: {objectives}.
        scheme: How the parameters are learnt: {schemes}.
        data: Where the photos come from: demo, cifar10, imagenet32, imagenet64,
            tfds:NAME[/CONFIG], or a folder, with train/ and test/ or plain.
        image_size: Height and width of the photos, in pixels.
        validation_share: Share of the training photos kept aside, to choose the
            best epoch by.
        init: Whose weights to begin with: pretrained, that of kcolor, or a run
            or .keras file, whose architecture and loss are the default ones,
            then; none for weights by chance. What has another shape, such as
            the head of another loss, begins by chance.
        freeze_encoder: Whether the encoder of --arch stays as others have
            trained it: the rest learns faster.
        views: Of each photo, about which the frozen encoder is asked before the
            training rather than at each step; each epoch takes the next; 0 to
            ask it at each step.
        unfreeze_at: Epochs after which the frozen encoder learns, too; 0 for
            never.
        unfrozen_rate: Factor on the learning rate from then on.
        epochs: Passes over the training photos.
        steps: End after this many optimizer steps, even if epochs are left;
            0 for no such limit.
        batch_size: Photos a step.
        faults: Share of the training photos whose lightness is made to look
            old: grain, blur, fading, stains, JPEG, film that saw no red. What
            is validated and tested stays clean.
        optimizer: adamw takes --weight-decay.
        learning_rate: Of the optimizer, at its highest; auto: 0.001, or 0.0002
            of schemes with a discriminator, and a tenth of it with --init.
        beta_1: Share of the last steps' mean gradient in the next one; auto:
            0.9, or 0.5 of schemes with a discriminator.
        schedule: What becomes of the learning rate: cosine lets it fall to 0
            over the whole training, linear over its second half; plateau
            divides it by 10, once, when --monitor has not improved for
            --patience epochs; constant keeps it.
        monitor: Validation metric that says which epoch is the best, e.g.
            rmse_ab, auc, loss or class_loss; auto is what suits the loss.
        patience: Epochs without improvement after which plateau acts.
        warmup_steps: Steps over which cosine first rises from 0.
        weight_decay: Of adamw.
        clip_norm: Largest norm of all gradients together; 0 for no limit.
        ema: Share of the average of the weights that is judged and kept in
            place of the last ones, e.g. 0.999; 0 for none; auto is what suits
            the loss. The average never reaches back further than about a tenth
            of the training; statistics of normalisation stay the last ones.
        early_stopping: End after this many epochs in which --monitor has not
            improved; 0 for never.
        precision: Of the network; auto: bfloat16 where the processor or the GPU
            computes in it, float32 elsewhere.
        jit: Whether XLA compiles the step; auto: on a GPU only, since it slows
            these networks down on processors. Needs --deterministic false.
        deterministic: Whether the same experiment on the same machine gives the
            same weights, bit for bit.
        seed: Of the weights, the order of the photos, and all else random.
    """

    arch: str = "cnn"
    loss: str = "ce"
    scheme: str = "supervised"
    data: str = "demo"
    image_size: PositiveInt = 64
    validation_share: OpenUnitInterval = 0.05
    init: str = "none"
    freeze_encoder: bool = False
    views: NonNegativeInt = 0
    unfreeze_at: NonNegativeInt = 0
    unfrozen_rate: Positive = 0.1
    epochs: PositiveInt = 5
    steps: NonNegativeInt = 0
    batch_size: PositiveInt = 32
    faults: Share = 0.0
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Literal["auto"] | Positive = "auto"
    beta_1: Literal["auto"] | Share = "auto"
    schedule: Literal["cosine", "linear", "plateau", "constant"] = "cosine"
    monitor: str = "auto"
    patience: PositiveInt = 5
    warmup_steps: NonNegativeInt = 0
    weight_decay: NonNegative = 0.004
    clip_norm: NonNegative = 0.0
    ema: Literal["auto"] | Share = "auto"
    early_stopping: NonNegativeInt = 0
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = (
        "auto"
    )
    jit: Literal["auto"] | bool = "auto"
    deterministic: bool = True
    seed: Seed = 0

    @staticmethod
    def of(**fields) -> Experiment:
        """Returns a checked experiment; what is not given has its default.

        Raises:
            UserError: An unknown field, a value of the wrong type or range, or
                parts that do not fit each other.

        Example:

        >>> experiment = Experiment.of(arch="cnn", loss="ce", dropout=0.1)
        >>> experiment.architecture
        CNN(head='auto', dropout=0.1, depth=6, width=1.0)
        >>> experiment.objective.temperature
        0.38
        """
        experiment = Experiment.parsed(**fields)
        experiment.check()
        return experiment

    @staticmethod
    def parsed(**fields) -> Experiment:
        """Returns an experiment whose parts may not fit each other.

        Raises:
            UserError: An unknown field, or a value of the wrong type or range.
        """
        fields = inherited(fields)
        kind = experiment_type(
            *(str(fields.get(p, getattr(Experiment, p))) for p in PARTS)
        )
        _check_keys(fields, kind, "setting")
        parser = _parser(kind)
        fields = {
            name: os.fspath(value) if isinstance(value, os.PathLike) else value
            for name, value in fields.items()
        }
        try:
            parsed = parser.parse_object(fields)
        except (ArgumentError, TypeError) as error:
            raise _readable(error, kind, parser) from error
        return _experiment(kind, parsed)

    @functools.cached_property
    def architecture(self) -> Architecture:
        """The architecture with its settings."""
        return self._part(models.get(self.arch))

    @functools.cached_property
    def objective(self) -> Objective:
        """The objective with its settings, not yet adapted to any data."""
        return self._part(objectives.get(self.loss))

    @functools.cached_property
    def learning(self) -> Scheme:
        """The scheme with its settings."""
        return self._part(schemes.get(self.scheme))

    def check(self) -> None:
        """Refuses what could not be trained, before any photo is read.

        Raises:
            UserError: Parts that do not fit each other, or the image size.
        """
        architecture, objective = self.architecture, self.objective
        self._check_frozen()
        architecture.check(self.image_size, objective.channels)
        objective.check(self.image_size, architecture.stride)
        self.learning.check(
            architecture,
            objective,
            self.image_size,
            self.batch_size,
            self.epochs,
        )

    def _check_frozen(self) -> None:
        """Refuses settings of a frozen encoder that do not fit each other."""
        if self.freeze_encoder and not self.architecture.has_encoder:
            raise UserError(
                f"--freeze-encoder true: {self.arch} has no encoder of others: "
                "give --arch unet --encoder efficientnet_lite0"
            )
        for name in ("views", "unfreeze_at"):
            value = getattr(self, name)
            if value and not self.freeze_encoder:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} {value} needs --freeze-encoder true")
        if self.views and self.learning.is_unpaired:
            raise UserError(
                f"--views {self.views} is for photos with their own colours: "
                f"{self.scheme} takes --views 0"
            )
        if self.unfreeze_at >= self.epochs:
            raise UserError(
                f"--unfreeze-at {self.unfreeze_at} is after the last of "
                f"{self.epochs} epochs: give less, or more --epochs"
            )
        if self.unfreeze_at and self.schedule == "plateau":
            raise UserError(
                "--unfreeze-at lowers the learning rate, as --schedule plateau "
                "does: give cosine, linear or constant"
            )

    def __post_init__(self):
        if type(self) is Experiment:
            raise TypeError("make it by Experiment.of, which knows the parts")

    def __reduce__(self):
        return _remade, (dataclasses.asdict(self),)

    def _part(self, kind: type):
        return kind(**{f.name: getattr(self, f.name) for f in settings(kind)})

    def to_yaml(self) -> str:
        """Returns the YAML that `kcolor-train --config` repeats this from."""
        fields = dataclasses.asdict(self)
        return yaml.dump(fields, Dumper=_Dumper, sort_keys=False)


@functools.cache
def experiment_type(
    arch: str, loss: str, scheme: str = Experiment.scheme
) -> type[Experiment]:
    """Returns `Experiment` with the settings of its parts.

    Raises:
        UserError: There is no such architecture, objective or scheme.
    """
    chosen = dict(zip(PARTS, (arch, loss, scheme), strict=True))
    fields = [
        (part, str, dataclasses.field(default=name))
        for part, name in chosen.items()
    ]
    for part in (PARTS[flag].get(name) for flag, name in chosen.items()):
        types = get_type_hints(part)
        for field in settings(part):
            default = dataclasses.field(default=field.default)
            fields.append((field.name, types[field.name], default))
    return dataclasses.make_dataclass(
        "Experiment", fields, bases=(Experiment,), frozen=True
    )


def from_command_line(
    argv: list[str], prog: str, description: str, extra: dict[str, tuple]
) -> tuple[Experiment, dict]:
    """Returns the experiment that flags and `--config` files describe.

    Args:
        argv: The command line, without the command.
        prog: The command.
        description: What it does, for `--help`.
        extra: Flags that decide no result: name -> (type, default, help).

    Raises:
        UserError: Something is unknown, malformed or out of its range.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", nargs="?", action="append", default=[])
    for part in (*PARTS, "init"):
        first.add_argument(f"--{part}", nargs="?")
    chosen, _ = first.parse_known_args(argv)
    configs = {path: read(Path(path)) for path in chosen.config if path}
    config = {k: v for part in configs.values() for k, v in part.items()}
    given = {k: v for k, v in vars(chosen).items() if v and k != "config"}
    known = inherited(config | given)
    kind = experiment_type(
        *(str(known.get(part, getattr(Experiment, part))) for part in PARTS)
    )
    for path, part in configs.items():
        _check_keys(part, kind, f"key in '{path}'")

    parser = _parser(kind, prog=prog, description=description)
    group = parser.add_argument_group("the run")
    for name, (type_, default, text) in extra.items():
        if type_ is bool:
            group.add_argument(f"--{name}", action="store_true", help=text)
        else:
            _add(group, name, type_, default, text)
    parser.set_defaults(
        {k: v for k, v in known.items() if k not in config | given}
    )
    parser.add_argument(
        "--config",
        action=ActionConfigFile,
        help="YAML file with any of these settings; flags after it win.",
    )
    try:
        parsed = parser.parse_args(argv)
    except (ArgumentError, TypeError) as error:
        types = {k: v[0] for k, v in extra.items()}
        raise _readable(error, kind, parser, types) from error
    experiment = _experiment(kind, parsed)
    experiment.check()
    return experiment, {name: parsed[name] for name in extra}


def _remade(fields: dict) -> Experiment:
    return Experiment.of(**fields)


def other_experiment(run: Path | str, name: str, there, here) -> UserError:
    """Returns the error for a run that belongs to another experiment."""
    return UserError(
        f"run '{run}' belongs to another experiment: {name} is {there} there, "
        f"{here} here: give another --run, or its own settings"
    )


def _experiment(kind: type[Experiment], parsed: dict) -> Experiment:
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: _plain(name, parsed[name]) for name in names})


def _plain(name: str, value):
    """Returns a number of a restricted type, as YAML and JSON know it."""
    if value is None:
        flag = f"--{name.replace('_', '-')}"
        raise UserError(f"{flag} has no value: give one, or leave it out")
    for type_ in (bool, int, float):
        if isinstance(value, type_):
            return type_(value)
    return value


class _Dumper(yaml.SafeDumper):
    """Quotes the words that jsonargparse would read as something else."""


def _quoted(dumper: _Dumper, word: str) -> yaml.Node:
    is_word = get_loader("yaml")(word) == word
    style = None if is_word else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", word, style=style)


_Dumper.add_representer(str, _quoted)


def read(path: Path, what: str = "config", load=yaml.safe_load) -> dict:
    """Returns the settings in a YAML file, not yet checked.

    Args:
        path: The file.
        what: What it is, for error messages.
        load: Reads YAML.

    Raises:
        UserError: It cannot be read, is no YAML or holds no settings.
    """
    try:
        config = load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text file"
        raise UserError(f"{what} '{path}' cannot be read: {reason}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise UserError(f"{what} '{path}' is no YAML{place}") from error
    if not isinstance(config, dict):
        raise UserError(
            f"{what} '{path}' holds no settings: write lines like 'arch: cnn'"
        )
    return config


def _check_keys(config: dict, kind: type, what: str) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    for key in config:
        if key in known:
            continue
        owners = _owners(str(key))
        if owners:
            raise UserError(
                f"unknown {what} '{key}': it belongs to {' or '.join(owners)}"
            )
        raise unknown(what, str(key), known)


def _owners(name: str) -> list[str]:
    """Returns the parts that have a setting, as flags."""
    return [
        f"--{flag} {part}"
        for flag, registry in PARTS.items()
        for part in registry.names()
        if name in {field.name for field in settings(registry.get(part))}
    ]


def _parser(kind: type[Experiment], **options) -> ArgumentParser:
    parser = ArgumentParser(
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
        formatter_class=_HelpFormatter,
        **options,
    )
    names = {
        "architectures": ", ".join(models.names()),
        "objectives": ", ".join(objectives.names()),
        "schemes": ", ".join(schemes.names()),
    }
    fields = {field.name: field for field in dataclasses.fields(kind)}
    types = get_type_hints(kind)
    for title, part in _sections(kind).items():
        group = parser.add_argument_group(title)
        for parameter in docstring_parser.parse(part.__doc__).params:
            name = parameter.arg_name
            text = " ".join(parameter.description.split()).format(**names)
            default = fields[name].default
            # The parts' own defaults are what is chosen here.
            shown = getattr(Experiment, name, default)
            _add(group, name, types[name], default, text, shown)
    return parser


def _sections(kind: type[Experiment]) -> dict[str, type]:
    """Returns the classes whose docstrings tell of the fields, by title."""
    chosen = {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.name in PARTS
    }
    arch, loss, scheme = (PARTS[flag].get(n) for flag, n in chosen.items())
    sections = {
        "the experiment": Experiment,
        f"the architecture {arch.name}": arch,
        f"the loss {loss.name}": loss,
        "terms that any loss but flow can carry": Objective,
        f"the scheme {scheme.name}": scheme,
    }
    if issubclass(scheme, AdversarialScheme):
        sections[f"the discriminator of {scheme.name}"] = AdversarialScheme
    return sections


class _HelpFormatter(DefaultHelpFormatter):
    """Leaves out the names of types, which `_add` says in a user's words."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help


def _add(group, name: str, type_, default, text: str, shown=None) -> None:
    takes = wanted(type_)
    if default is not None:
        shown = str(default if shown is None else shown)
        takes += f"; default: {shown.lower() if type_ is bool else shown}"
    group.add_argument(
        f"--{name.replace('_', '-')}",
        type=type_,
        default=default,
        metavar=re.sub(r"_?\d+", "", name).rpartition("_")[2].upper(),
        help=f"{text} ({takes})",
    )


def _readable(
    error: Exception,
    kind: type[Experiment],
    parser: ArgumentParser,
    other_types: dict[str, type] | None = None,
) -> UserError:
    """Returns the error of the parser in one line of a user's words."""
    types = get_type_hints(kind) | (other_types or {})
    text = " ".join(str(error).split())
    unrecognised = re.match(r"unrecognized arguments: (\S+)", text)
    if unrecognised:
        flag = unrecognised[1].split("=")[0]
        flags = [f for a in parser._actions for f in a.option_strings]
        name = flag.removeprefix("--").replace("-", "_")
        owners = _owners(name)
        if owners and f"--{name.replace('_', '-')}" not in flags:
            return UserError(
                f"unknown flag '{flag}': it belongs to {' or '.join(owners)}"
            )
        near = difflib.get_close_matches(flag, flags, n=1)
        hint = f": did you mean '{near[0]}'?" if near else ": see --help"
        return UserError(f"unknown flag '{flag}'{hint}")
    key = re.match(r'Parser key "(\w+)": (.*)', text)
    if key and key[1] in types:
        value = re.search(
            r"value: (\S+)$|: '?(\S+?)'?( does not| not an? |$)", key[2]
        )
        is_wrong = f"'{value[1] or value[2]}' is not allowed: " if value else ""
        flag = f"--{key[1].replace('_', '-')}"
        return UserError(f"{flag}: {is_wrong}give {wanted(types[key[1]])}")
    return UserError(text)


def wanted(type_: type) -> str:
    """Returns what values of a type are, in a user's words."""
    if get_origin(type_) is Literal:
        *others, last = map(str, get_args(type_))
        return f"{', '.join(others)} or {last}" if others else last
    if get_args(type_):
        return " or ".join(wanted(part) for part in get_args(type_))
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a word",
    }
    word = next(words[base] for base in words if issubclass(type_, base))
    rule = getattr(type_, "_expression", "").replace("v", "")
    rule = rule.replace(f" and <={LARGEST}", "")  # goes without saying
    return f"{word} {rule}".strip()
