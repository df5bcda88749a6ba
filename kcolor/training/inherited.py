"""The settings that a training takes over from whose weights it begins with."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from kcolor import models, objectives, shipped
from kcolor.errors import UserError, first_line
from kcolor.settings import settings
from kcolor.training import folder

NONE = "none"
# What names a part, in experiments and in a colorizer.
PARTS = {
    "arch": ("architecture", models),
    "loss": ("objective", objectives),
}


def other_architecture(init: str, there: str, here: str) -> UserError:
    """Returns the error for weights that are of another architecture."""
    return UserError(
        f"--init '{init}' is a {there}, no {here}: leave out --arch"
    )


def inherited(fields: dict) -> dict:
    """Returns an experiment's fields with those that its `init` gives it.

    Architecture and loss, their settings, and the size of the photos: what is
    there already wins, and another loss has its own settings.

    Args:
        fields: Some of an experiment's.

    Raises:
        UserError: The run or file that `init` names cannot be read, or is of
            another architecture.
    """
    init = fields.get("init", NONE)
    if init == NONE or _is_complete(fields):
        return fields
    found = _config(str(init))
    there = found["architecture"]["name"]
    if fields.get("arch", there) != there:
        raise other_architecture(init, there, fields["arch"])
    taken = {"image_size": found["image_size"]}
    for flag, (part, _) in PARTS.items():
        name, own = found[part]["name"], dict(found[part])
        if fields.get(flag, name) == name:
            taken |= own | {flag: name}
            del taken["name"]
    return taken | fields


def _is_complete(fields: dict) -> bool:
    """Whether nothing is left to take over, as in the config of a run."""
    for flag, (_, registry) in PARTS.items():
        if fields.get(flag) not in registry.names():
            return False
        own = settings(registry.get(fields[flag]))
        if not all(field.name in fields for field in own):
            return False
    return True


def _config(init: str) -> dict:
    """Returns the configuration of a trained colorizer."""
    if init == shipped.NAME:
        return shipped.config()
    path = Path(init).expanduser()
    if path.is_dir():
        path = path / folder.MODEL
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))["config"]
        return {
            "image_size": config["image_size"],
            "architecture": config["architecture"],
            "objective": config["objective"],
        }
    except (
        OSError,
        zipfile.BadZipFile,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"--init '{init}' is no finished run and no .keras file of kcolor "
            f"({reason})"
        ) from error
