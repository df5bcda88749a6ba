"""What learning from the faults of old photographs brings, and costs.

    python benchmarks/faults.py MODEL [MODEL ...] --data DATA

Colours the test photos as they are, and with the faults that `--faults` draws
put on the lightness of all of them, and compares with their true colours.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from kcolor.data.pipeline import batches
from kcolor.data.prepare import TEST, sample
from kcolor.evaluation.intervals import differences, summarise
from kcolor.evaluation.measure import batch_size, figures
from kcolor.trained import open_model

LOOKS = {"clean": 0.0, "old": 1.0}  # share of the photos that have faults
METRICS = ("rmse_ab", "auc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="As kcolor-evaluate's.")
    parser.add_argument("--data", required=True, help="As kcolor-train's.")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--photos", type=int, default=1000, help="At most.")
    options = parser.parse_args()
    most = {TEST: options.photos}
    pixels = sample(options.data, options.image_size, most)[TEST].pixels
    found = {}
    print(f"{len(pixels)} test photos, 95 % intervals over photos")
    for name in options.models:
        model = open_model(name)
        if model is None:
            parser.error(f"'{name}' is neither a run nor a .keras file")
        for look, share in LOOKS.items():
            colourings = map(model.predict, seen(pixels, share))
            found[name, look] = figures(colourings, pixels)
            print(
                f"{name}, {look}: {told(summarise(found[name, look], METRICS))}"
            )
    first, *others = options.models
    for name in others:
        for look in LOOKS:
            apart = differences(found[name, look], found[first, look], METRICS)
            print(f"{name} less {first}, {look}: {told(apart)}")


def seen(pixels: np.ndarray, share: float) -> Iterator[np.ndarray]:
    """Yields the photos' lightness, a share of it with faults, by batches."""
    drawn = batches(pixels, batch_size(pixels), draws=(0, 0), faults=share)
    return (lightness for lightness, _ in drawn)


def told(measured: dict[str, dict[str, float]]) -> str:
    """Returns the metrics and the ends of their intervals in a line."""
    return ", ".join(
        f"{name} {{value:.2f}} [{{low:.2f}}, {{high:.2f}}]".format(
            **measured[name]
        )
        for name in METRICS
    )


if __name__ == "__main__":
    main()
