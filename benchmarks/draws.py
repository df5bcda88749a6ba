"""Draws of several runs on the same photos, side by side, as one picture.

    python benchmarks/draws.py RUN... --out FILE [--data demo] [--photos 6]

Each row is a test photo: grey, then a few draws of each run, then the truth.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

from kcolor import pictures
from kcolor.colorizer import Colorizer
from kcolor.data.pipeline import batches
from kcolor.data.prepare import load
from kcolor.training.run import Run

DRAWS = 3


def draws(colorizer: Colorizer, lightness) -> list[np.ndarray]:
    """Returns a few draws, (N, H, W, 2) each."""
    seeds = keras.random.SeedGenerator(0)
    return [
        np.asarray(colorizer.sample(lightness, seeds)) for _ in range(DRAWS)
    ]


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--photos", type=int, default=6)
    options = parser.parse_args()
    pixels = load(options.data, options.size).test.pixels
    pixels = pictures.choose(pixels, options.photos)
    ((lightness, ab),) = batches(pixels, len(pixels))
    colorizers = [
        keras.saving.load_model(Run(path).model) for path in options.runs
    ]
    versions = [ab for c in colorizers for ab in draws(c, lightness)]
    names = [
        f"{colorizer.objective.name} {number}"
        for colorizer in colorizers
        for number in range(1, DRAWS + 1)
    ]
    rows = pictures.strips(lightness, *versions, ab)
    pictures.save_grid(options.out, rows, ("grey", *names, "truth"))


if __name__ == "__main__":
    main()
