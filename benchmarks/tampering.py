"""Whether the metrics see what is done to photos on purpose.

    python benchmarks/tampering.py --data FOLDER [--metrics NAME...]

The test photos with chroma scaled by 1, 0.75, 0.5, 0.25 and 0 are measured
as if a tool had coloured them. Scaled by 1 they are the truth, but for what
rounding to 8 bits takes.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from kcolor.data.pipeline import batches
from kcolor.data.prepare import load
from kcolor.evaluation.evaluate import evaluate
from kcolor.evaluation.figures import as_seen
from kcolor.evaluation.measure import SHOWN
from kcolor.evaluation.tables import table
from kcolor.terminal import progress

SIZE = 64
SCALES = (1.0, 0.75, 0.5, 0.25, 0.0)


def write(photos, scale: float, folder: Path) -> None:
    """Writes photos with scaled chroma, each by its own name."""
    names = iter(photos.names)
    for lightness, ab in batches(photos.pixels, 64):
        for rgb in np.uint8(as_seen(lightness, scale * ab)):
            path = folder / Path(next(names)).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgb).save(path)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="demo")
    parser.add_argument("--metrics", nargs="+", default=SHOWN)
    options = parser.parse_args()
    photos = load(options.data, SIZE).test
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / f"chroma-{scale:g}" for scale in SCALES]
        for scale, folder in zip(SCALES, folders, strict=True):
            write(photos, scale, folder)
        measured = evaluate(
            [str(folder) for folder in folders],
            options.data,
            metrics=options.metrics,
            image_size=SIZE,
            progress=progress,
        )
    print(table(measured, options.metrics))


if __name__ == "__main__":
    main()
