"""Images per second of the pipeline alone and of training, per precision.

    python benchmarks/throughput.py [--data FOLDER] [--seconds 20]

Each figure is the median over steps after the first two, which compile. The
cases take turns, twice over, so that a machine that drifts shows in the spread.
Run it on a quiet machine.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from kcolor.data.pipeline import ab_histogram, batches
from kcolor.data.prepare import load
from kcolor.trainer import compiled, resolve
from kcolor.training.cyclegan import CycleGAN
from kcolor.training.experiment import Experiment
from kcolor.training.supervised import Supervised

SIZE = 64
ROUNDS = 2
# Name, settings, photos a step.
CASES = [
    ("cnn l2, dense head", {"loss": "l2"}, 200),
    ("cnn l2, conv head", {"loss": "l2", "head": "conv"}, 32),
    ("cnn ce", {"loss": "ce"}, 32),
]


def rate_of_pipeline(pixels: np.ndarray, batch: int, seconds: float) -> float:
    """Returns images/s of batches that nothing but time takes."""
    stream = iter(
        batches(pixels, batch, image_size=SIZE, shuffle=(0, 0)).repeat()
    )
    next(stream)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(stream)
        count += batch
    return count / (time.perf_counter() - began)


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


def in_own_process(function: Callable, *args):
    """Returns what a function does, in a process whose memory is free after."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


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


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="demo")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    pixels = load(options.data, SIZE).train.pixels
    rows: dict[str, list[float]] = {}

    def note(name: str, rate: float) -> None:
        rows.setdefault(name, []).append(rate)
        print(f"{name:45} {rate:10.1f} images/s", file=sys.stderr, flush=True)

    for _ in range(ROUNDS):
        note("pipeline alone", rate_of_pipeline(pixels, 32, options.seconds))
        for name, fields, batch in CASES:
            for precision in ("float32", "mixed_bfloat16"):
                note(
                    f"{name}, batch {batch}, {precision}",
                    rate_of_training(
                        scheme_of(pixels, fields, precision),
                        pixels,
                        batch,
                        options.seconds,
                    ),
                )
    print("| | images/s, each round |\n|---|---|")
    for name, rates in rows.items():
        print(f"| {name} | {', '.join(f'{rate:.1f}' for rate in rates)} |")


if __name__ == "__main__":
    main()
