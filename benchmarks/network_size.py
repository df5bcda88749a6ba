"""At what size a colorizer should see larger photos.

    python benchmarks/network_size.py MODEL FOLDER --sizes 64 96 128

Colours photos as `kcolor-colorize` does, the network seeing them at each size,
and compares with the true colours at full size. Prints `rmse_ab`, `auc`,
`colorfulness_gap`, and milliseconds a photo, which include the first of each
shape.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from kcolor.color import rgb_to_lab
from kcolor.colorizing.painter import Look, Painter, colorize
from kcolor.data import photos

THRESHOLDS = range(151)  # of ab distance, as Zhang et al. 2016 have it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="As kcolor-colorize takes it.")
    parser.add_argument("folder", type=Path, help="Photos.")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[48, 64, 96, 128, 160, 192]
    )
    parser.add_argument("--first", type=int, help="So many photos alone.")
    options = parser.parse_args()
    files = [f for f in sorted(options.folder.rglob("*")) if f.is_file()]
    step = max(1, len(files) // options.first) if options.first else 1
    pictures = [photos.decode(file.read_bytes()) for file in files[::step]]
    print(f"{len(pictures)} photos: size, rmse_ab, auc, colorfulness_gap, ms")
    for size in options.sizes:
        painter = Painter(options.model, Look(image_size=size))
        colorize(pictures[0], painter)  # compiles
        began = time.monotonic()
        coloured = [colorize(picture, painter) for picture in pictures]
        milliseconds = 1000 * (time.monotonic() - began) / len(pictures)
        found = [
            figures(truth, ours)
            for truth, ours in zip(pictures, coloured, strict=True)
        ]
        square, auc, of_truth, of_ours = np.mean(found, axis=0)
        print(
            f"{size:4} {np.sqrt(square):6.2f} {auc:6.2f} "
            f"{abs(of_truth - of_ours):6.2f} {milliseconds:6.0f}",
            flush=True,
        )


def figures(truth: np.ndarray, ours: np.ndarray) -> tuple[float, ...]:
    """Returns mean square error of ab, auc, and both photos' colorfulness."""
    error = ab_of(truth) - ab_of(ours)
    far = np.hypot(*np.moveaxis(error, -1, 0))
    auc = 100 * np.mean([np.mean(far <= t) for t in THRESHOLDS])
    return np.mean(error**2), auc, colorfulness(truth), colorfulness(ours)


def ab_of(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(rgb_to_lab(rgb / np.float32(255)))[..., 1:]


def colorfulness(rgb: np.ndarray) -> float:
    """Hasler and Suesstrunk 2003, sec. 6."""
    red, green, blue = np.moveaxis(rgb.astype(float), -1, 0)
    one, other = red - green, (red + green) / 2 - blue
    spread = np.hypot(one.std(), other.std())
    return spread + 0.3 * np.hypot(one.mean(), other.mean())


if __name__ == "__main__":
    main()
