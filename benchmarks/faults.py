"""What learning from the faults of old photographs brings, and costs.

    python benchmarks/faults.py MODEL [MODEL ...] --data DATA

Colours the test photos as they are, and with the faults that `--faults` draws
put on the lightness of all of them, and compares with their true colours.
"""

import argparse

import numpy as np
import tensorflow as tf

from kcolor.data.pipeline import batches
from kcolor.data.prepare import TEST, sample
from kcolor.trained import open_model

BATCH = 50
THRESHOLDS = 151  # of ab distance, from 0, as Zhang et al. 2016 have it
RESAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="As kcolor-colorize's.")
    parser.add_argument("--data", required=True, help="As kcolor-train's.")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--photos", type=int, default=1000, help="At most.")
    options = parser.parse_args()
    most = {TEST: options.photos}
    pixels = sample(options.data, options.image_size, most)[TEST].pixels
    looks = {"clean": photos(pixels, 0.0), "old": photos(pixels, 1.0)}
    found = {}
    print(f"{len(pixels)} test photos, 95 % intervals over photos")
    for name in options.models:
        model = open_model(name)
        if model is None:
            parser.error(f"'{name}' is neither a run nor a .keras file")
        answer = tf.function(model.colorizer, reduce_retracing=True)
        for look, parts in looks.items():
            found[name, look] = np.concatenate(
                [figures(answer(lightness), ab) for lightness, ab in parts]
            )
            print(f"{name}, {look}: {told(found[name, look])}", flush=True)
    first, *others = options.models
    for name in others:
        for look in looks:
            values = found[name, look], found[first, look]
            print(f"{name} less {first}, {look}: {told(*values)}")


def photos(pixels: np.ndarray, share: float) -> list:
    """Returns batches of (L, ab), of which a share looks old."""
    return list(batches(pixels, BATCH, draws=(0, 0), faults=share))


def figures(ours: tf.Tensor, truth: tf.Tensor) -> np.ndarray:
    """Returns mean square error and auc of each photo, (N, 2)."""
    error = np.asarray(ours - truth)
    far = np.hypot(*np.moveaxis(error, -1, 0))
    # Each pixel is within the thresholds from its distance on.
    missed = np.minimum(np.ceil(far), THRESHOLDS).mean(axis=(1, 2))
    auc = 100 - 100 * missed / THRESHOLDS
    return np.stack([(error**2).mean(axis=(1, 2, 3)), auc], 1)


def told(one: np.ndarray, other: np.ndarray | None = None) -> str:
    """Returns rmse_ab and auc, or how far they are above another's."""

    def means(rows: np.ndarray) -> np.ndarray:
        def of(values: np.ndarray) -> np.ndarray:
            square, auc = np.moveaxis(values[rows].mean(axis=-2), -1, 0)
            return np.stack([np.sqrt(square), auc])

        return of(one) if other is None else of(one) - of(other)

    count = len(one)
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    ends = np.percentile(means(drawn), [2.5, 97.5], axis=-1)
    parts = zip(
        ("rmse_ab", "auc"), means(np.arange(count)), ends.T, strict=True
    )
    return ", ".join(
        f"{name} {value:.2f} [{low:.2f}, {high:.2f}]"
        for name, value, (low, high) in parts
    )


if __name__ == "__main__":
    main()
