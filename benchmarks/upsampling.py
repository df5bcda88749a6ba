"""What is lost when colours are brought up from a network's size.

    python benchmarks/upsampling.py FOLDER --sizes 24 64 128 --picture FILE

The true colours of photos, shrunk to the size of a network's answer and
brought up again by the photo's lightness: what is missing then is the way's
fault alone. Prints `rmse_ab` over all pixels, and over the tenth of the pixels
where the true colours change most.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from scipy.ndimage import gaussian_gradient_magnitude

from kcolor.color import rgb_to_lab
from kcolor.data import photos
from kcolor.painting import network_size, paint

WAYS = ("bilinear", "guided")
EDGES = 0.1  # share of the pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="Photos, or one photo.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[24, 64, 128])
    parser.add_argument(
        "--picture", type=Path, help="Of the first photo at the first size."
    )
    parser.add_argument(
        "--crop", type=int, nargs=4, help="Left, top, right, bottom of that."
    )
    options = parser.parse_args()
    files = [options.folder]
    if options.folder.is_dir():
        files = sorted(options.folder.iterdir())
    print(f"{len(files)} photos, rmse_ab of all pixels | at edges of colour")
    for size in options.sizes:
        found = {way: [] for way in WAYS}
        for file in files:
            rgb = photos.decode(file.read_bytes())
            painted = {way: brought_up(rgb, size, way) for way in WAYS}
            for way, coloured in painted.items():
                found[way].append(errors(rgb, coloured))
            if options.picture and (file, size) == (files[0], options.sizes[0]):
                save(options.picture, rgb, painted, options.crop)
        for way, values in found.items():
            whole, edges = np.sqrt(np.mean(values, axis=0))
            print(f"{size:4} px  {way:9} {whole:6.2f} | {edges:6.2f}")


def brought_up(rgb: np.ndarray, size: int, way: str) -> np.ndarray:
    """Returns a photo in its own colours at another size, brought up again."""
    ab = ab_of(rgb)
    shape = network_size(*rgb.shape[:2], size, is_fixed=False)
    small = tf.image.resize(ab, tf.stack(shape), "area")
    return paint(tf.constant(rgb), small, way).numpy()


def ab_of(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(rgb_to_lab(rgb / np.float32(255)))[..., 1:]


def errors(rgb: np.ndarray, coloured: np.ndarray) -> tuple[float, float]:
    """Returns the mean square error of ab, over all and at edges."""
    ab = ab_of(rgb)
    squares = np.square(ab_of(coloured) - ab).mean(-1)
    change = sum(gaussian_gradient_magnitude(ab[..., n], 1) for n in (0, 1))
    is_edge = change > np.quantile(change, 1 - EDGES)
    return squares.mean(), squares[is_edge].mean()


def save(file: Path, rgb: np.ndarray, painted: dict, crop: list | None) -> None:
    """Writes bilinear, guided and the truth, side by side."""
    left, top, right, bottom = crop or (0, 0, rgb.shape[1], rgb.shape[0])
    parts = [part[top:bottom, left:right] for part in (*painted.values(), rgb)]
    gap = np.full((bottom - top, 6, 3), 255, np.uint8)
    row = np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=1)
    Image.fromarray(row).save(file, quality=90)


if __name__ == "__main__":
    main()
