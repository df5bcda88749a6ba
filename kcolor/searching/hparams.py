"""What TensorBoard's HParams plugin shows of a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api

from kcolor.searching.ranges import Choice
from kcolor.searching.space import Space
from kcolor.training.run import Run


def write_space(space: Space, folder: Path) -> None:
    """Writes which settings are searched, and what trials are judged by."""
    settings = [
        api.HParam(setting.name, _domain(setting.range))
        for setting in space.searched
    ]
    metrics = [
        api.Metric(space.objective, display_name=f"best {space.objective}")
    ]
    writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
    with writer.as_default():
        api.hparams_config(hparams=settings, metrics=metrics)
    writer.close()


def write(
    run: Run, settings: Mapping[str, object], objective: str, score: float
) -> None:
    """Writes a trial's settings and its score."""
    folder = str(run.tensorboard)
    writer = tf.summary.create_file_writer(folder)
    told = api.KerasCallback(writer, dict(settings), trial_id=run.path.name)
    told.on_train_begin()
    with writer.as_default():
        tf.summary.scalar(objective, score, step=0)
    told.on_train_end()
    writer.close()


def _domain(range_):
    if not isinstance(range_, Choice):
        interval = api.IntInterval
        if range_.kind == "float":
            interval = api.RealInterval
        return interval(range_.low, range_.high)
    kinds = {type(value) for value in range_.values}
    if len(kinds) > 1:
        return None  # TensorBoard takes values of one type alone
    return api.Discrete(list(range_.values))
