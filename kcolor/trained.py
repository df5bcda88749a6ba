"""Trained colorizers, and where they come from."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kcolor import shipped
from kcolor.colorizer import Colorizer
from kcolor.errors import UserError, first_line
from kcolor.exports import Predictor
from kcolor.training.folder import is_run, read_config
from kcolor.training.run import Run


@dataclass(frozen=True)
class Model:
    """A trained colorizer and where it comes from.

    Attributes:
        name: What it is called in tables.
        colorizer: The colorizer.
        run: The run that trained it, where that is known.
        data: What `--data` it was trained on, where that is known.
    """

    name: str
    colorizer: Colorizer
    run: Run | None
    data: str | None

    @property
    def is_fixed(self) -> bool:
        """Whether it takes photos of one size alone."""
        return self.colorizer.fixed_size is not None

    @property
    def image_size(self) -> int:
        """Height and width of the photos it was trained on, in pixels."""
        return self.colorizer.image_size

    @functools.cached_property
    def predict(self) -> Predictor:
        """What the model predicts, compiled."""
        compiled = tf.function(
            self.colorizer, jit_compile=False, reduce_retracing=True
        )

        def predict(lightness: np.ndarray) -> np.ndarray:
            try:
                return compiled(lightness)
            except (ValueError, tf.errors.InvalidArgumentError) as error:
                size = self.colorizer.image_size
                raise UserError(
                    f"'{self.name}' cannot colour photos of this size "
                    f"({first_line(error)}): it was trained with "
                    f"--image-size {size}"
                ) from error

        return predict


def open_model(name: str | Path) -> Model | None:
    """Returns the model of a run or of a `.keras` file; None if it is neither.

    Args:
        name: Its path; or, as a string, the word "pretrained" for the model
            that comes with kcolor: a run called so is "./pretrained".

    Raises:
        UserError: The run has no model yet, or the file holds none.
    """
    if name == shipped.NAME:
        return Model(shipped.NAME, shipped.pretrained(), None, None)
    path = Path(name).expanduser()
    file, run, data = path, None, None
    if path.is_dir():
        if not is_run(path):
            return None
        run = Run(path)
        if not run.is_finished:
            raise UserError(
                f"run '{path}' never finished: go on with kcolor-train --run "
                f"'{path}' --resume"
            )
        file = run.model
        data = _data_of(run)
    elif path.suffix != ".keras":
        return None
    try:
        colorizer = keras.saving.load_model(file, compile=False)
    except Exception as error:
        # Keras raises what the part of the file that is wrong makes it raise.
        raise UserError(
            f"model '{file}' cannot be loaded ({first_line(error)})"
        ) from error
    if not isinstance(colorizer, Colorizer):
        raise UserError(f"model '{file}' is no colorizer of kcolor")
    name = path.stem if run is None else path.resolve().name
    return Model(name, colorizer, run, data)


def _data_of(run: Run) -> str:
    """Returns what `--data` a run was trained on."""
    data = read_config(run.config).get("data")
    if not isinstance(data, str):
        raise UserError(f"run '{run.path}' names no data in its config.yaml")
    return data
