"""Draws of several runs on the same photos, side by side, as one picture.

    python benchmarks/draws.py RUN... --out FILE [--data demo] [--photos 6]

Each row is a test photo: grey, then a few draws of each run, then the truth.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

from kcolor import pictures
from kcolor.data.pipeline import batches
from kcolor.data.prepare import load
from kcolor.training.run import Run

DRAWS = 3


def draws(run: Run, lightness) -> list[np.ndarray]:
    """Returns a few draws of a run's model, (N, H, W, 2) each."""
    colorizer = keras.saving.load_model(run.model)
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
    pixels = pixels[:: max(1, len(pixels) // options.photos)][: options.photos]
    ((lightness, ab),) = batches(pixels, len(pixels))
    versions = [
        ab_pred
        for path in options.runs
        for ab_pred in draws(Run(path), lightness)
    ]
    names = "  |  ".join(
        f"{DRAWS} draws of {path.name}" for path in options.runs
    )
    rows = pictures.strips(lightness, *versions, ab)
    title = f"grey  |  {names}  |  truth"
    pictures.save_grid(options.out, rows, title, columns=1)


if __name__ == "__main__":
    main()
