"""Several runs on the same photos, side by side, as one picture.

    python benchmarks/grid.py RUN... --out FILE [--draws 3] [--photos 6]

Each row is a test photo: grey, then the answer of each run, or a few draws of
each, then the truth.
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


def colourings(colorizer: Colorizer, lightness, draws: int) -> list[np.ndarray]:
    """Returns the one answer, or a few draws, (N, H, W, 2) each."""
    if not draws:
        return [np.asarray(colorizer(lightness))]
    seeds = keras.random.SeedGenerator(0)
    return [
        np.asarray(colorizer.sample(lightness, seeds)) for _ in range(draws)
    ]


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--photos", type=int, default=6)
    options = parser.parse_args()
    pixels = load(options.data, options.size).test.pixels
    pixels = pictures.choose(pixels, options.photos)
    ((lightness, ab),) = batches(pixels, len(pixels))
    versions, titles = [], []
    for path in options.runs:
        colorizer = keras.saving.load_model(Run(path).model)
        found = colourings(colorizer, lightness, options.draws)
        versions += found
        # What its name has beyond the data's.
        name = path.name.partition("-")[2].replace("-", " ")
        titles += [
            f"{name} {number}" if options.draws else name.replace(" ", "\n")
            for number in range(1, len(found) + 1)
        ]
    rows = pictures.strips(lightness, *versions, ab)
    pictures.save_grid(options.out, rows, ("grey", *titles, "truth"))


if __name__ == "__main__":
    main()
