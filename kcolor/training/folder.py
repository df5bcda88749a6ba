"""What says that a folder is a run's, and how it began: without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import yaml

from kcolor.errors import UserError, first_line

CONFIG, ENVIRONMENT = "config.yaml", "environment.json"
MODEL, CHECKPOINTS = "model.keras", "checkpoints"


def is_run(path: Path) -> bool:
    """Returns whether a folder is a run's: others have a config.yaml, too."""
    signs = (ENVIRONMENT, MODEL, CHECKPOINTS)
    return (path / CONFIG).is_file() and any(
        (path / sign).exists() for sign in signs
    )


def read_config(path: Path) -> dict:
    """Returns the settings in the config.yaml of a run.

    Raises:
        UserError: It holds none.
    """
    try:
        written = yaml.safe_load(path.read_text())
        if not isinstance(written, dict):
            raise ValueError("it holds no settings")
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(
            f"'{path}' is damaged ({first_line(error)}): mend it, or use the "
            "run's model.keras"
        ) from error
    return written
