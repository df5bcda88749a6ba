"""What colouring photos costs: time, and memory above the loaded model.

    python benchmarks/colorize.py MODEL FOLDER [--photos 1000]

Of photos in FOLDER are made: one of 12 megapixels, one of 100, both JPEGs, and
many of 500x375. Times are from file to file, the model being loaded. Nothing
else should run meanwhile.
"""

import argparse
import contextlib
import tempfile
import threading
import time
from pathlib import Path

import psutil
from PIL import Image

from kcolor.colorizing import files
from kcolor.colorizing.painter import Look, Painter
from kcolor.data.photos import SUFFIXES

LARGE = {"12 megapixels": (4000, 3000), "100 megapixels": (11_600, 8700)}
SMALL = (500, 375)
REPEATS = 3


@contextlib.contextmanager
def watched():
    """Yields a list that holds the most memory used, in MB, and the seconds."""
    process, found, done = psutil.Process(), [0.0, 0.0], threading.Event()

    def watch():
        while not done.wait(0.02):
            found[0] = max(found[0], process.memory_info().rss / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    began = time.perf_counter()
    try:
        yield found
    finally:
        found[1] = time.perf_counter() - began
        done.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1000)
    options = parser.parse_args()
    sources = sorted(
        path
        for path in options.folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
    )
    # Loaded once, as if all were one command's photos.
    painter = Painter(options.model, Look())
    files.Painter = lambda *_: painter
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        photo = Path(folder, "photo.jpg")
        Image.open(sources[0]).convert("RGB").resize((64, 48)).save(photo)

        def colour(source: Path) -> None:
            files.colorize_files(
                "", [str(source)], str(out), Look(), overwrite=True
            )

        colour(photo)  # compiles
        loaded = psutil.Process().memory_info().rss / 1e6
        print(f"loaded: {loaded:.0f} MB")
        for what, size in LARGE.items():
            for mode in ("RGB", "L"):
                image = Image.open(sources[0]).convert(mode).resize(size)
                image.save(photo, quality=90)
                del image
                repeats = REPEATS if what.startswith("12") else 1
                for _ in range(repeats):
                    with watched() as found:
                        colour(photo)
                    peak, seconds = found
                    print(
                        f"{what}, {mode}: {seconds:.2f} s, "
                        f"{peak - loaded:.0f} MB above"
                    )
        many = Path(folder, "many")
        many.mkdir()
        for number in range(options.photos):
            source = sources[number % len(sources)]
            image = Image.open(source).convert("RGB").resize(SMALL)
            image.save(many / f"{number}.jpg", quality=90)
        for half in range(2):
            with watched() as found:
                colour(many)
            peak, seconds = found
            print(
                f"{options.photos} of 500x375, time {half + 1}: "
                f"{options.photos / seconds:.1f} photos/s, peak "
                f"{peak:.0f} MB"
            )


if __name__ == "__main__":
    main()
