"""Draws photos in grey and in colour, side by side, in one picture.

    python docs/album.py docs/album.jpg PHOTO... --columns 3 --height 200

With the colorizer that comes with kcolor, or by other --models.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from kcolor.colorizing.painter import Look, Painter, colorize
from kcolor.data import photos
from kcolor.shipped import NAME

GAP = 4  # pixels between pairs
LARGEST = 800  # long side at which photos are coloured, in pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument(
        "--models", nargs="+", default=[NAME], help="One column each."
    )
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--height", type=int, default=200, help="Of a photo.")
    parser.add_argument(
        "--truth", action="store_true", help="And as it was, last."
    )
    options = parser.parse_args()
    painters = [Painter(model, Look()) for model in options.models]
    rows = [[] for _ in range(-(-len(options.photos) // options.columns))]
    for number, file in enumerate(options.photos):
        photo = Image.fromarray(photos.decode(file.read_bytes()))
        photo.thumbnail((LARGEST, LARGEST))
        rgb = np.asarray(photo)
        grey = np.asarray(photo.convert("L").convert("RGB"))
        shown = [grey, *(colorize(rgb, painter) for painter in painters)]
        if options.truth:
            shown.append(rgb)
        rows[number // options.columns].append(
            [sized(part, options.height) for part in shown]
        )
    Image.fromarray(sheet(rows)).save(options.out, quality=88)


def sized(rgb: np.ndarray, height: int) -> np.ndarray:
    """Returns a photo of a height, (height, W, 3)."""
    picture = Image.fromarray(rgb)
    width = round(picture.width * height / picture.height)
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def sheet(rows: list) -> np.ndarray:
    """Returns rows of pairs on white, each row centred."""
    lines = []
    for row in rows:
        gap = np.full((len(row[0][0]), GAP, 3), 255, np.uint8)
        parts = [part for pair in row for part in (*pair, gap)][:-1]
        lines.append(np.concatenate(parts, axis=1))
    width = max(line.shape[1] for line in lines)
    space = np.full((GAP, width, 3), 255, np.uint8)
    centred = []
    for line in lines:
        before = (width - line.shape[1]) // 2
        after = width - line.shape[1] - before
        line = np.pad(
            line, [(0, 0), (before, after), (0, 0)], constant_values=255
        )
        centred += [line, space]
    return np.concatenate(centred[:-1])


if __name__ == "__main__":
    main()
