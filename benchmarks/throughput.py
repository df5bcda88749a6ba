"""How fast the training steps of an experiment are: what benchmarks share."""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from kcolor.data.pipeline import ab_histogram, batches
from kcolor.trainer import compiled, resolve
from kcolor.training.cyclegan import CycleGAN
from kcolor.training.experiment import Experiment
from kcolor.training.supervised import Supervised

SIZE = 64


def scheme_of(pixels: np.ndarray, fields: dict, precision: str) -> Supervised:
    """Returns what trains an experiment of such fields, ready to.

    Raises:
        UserError: The parts refuse each other or the size.
    """
    keras.utils.clear_session()
    keras.config.set_dtype_policy(precision)
    experiment = resolve(
        Experiment.of(
            **{"image_size": SIZE, "jit": False, "precision": precision}
            | fields
        )
    )
    return compiled(experiment, ab_histogram(pixels[:500]), 0, 10_000)


def rate_of_training(
    scheme: Supervised, pixels: np.ndarray, batch: int, seconds: float
) -> float:
    """Returns images/s of training steps, fed by the pipeline."""
    photos = batches(pixels, batch, image_size=SIZE, shuffle=(0, 0)).repeat()
    if isinstance(scheme, CycleGAN):
        photos = photos.map(lambda lightness, ab: (lightness, lightness, ab))
    stream = iter(photos)
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 4:
        start = time.perf_counter()
        float(scheme.train_function(stream)["loss"])
        times.append(time.perf_counter() - start)
    return batch / statistics.median(times[2:])
