"""What a scheme's step costs beside a supervised one, same generator.

    python benchmarks/schemes.py [--data FOLDER] [--cases NAME...]

Our U-Net with l1 at 64x64, 64 photos a step, in bfloat16. The cases take turns,
three times over, each beside supervised training, so that a machine that drifts
does so for both. Run it on a quiet machine.
"""

import argparse
import statistics
import sys

from processes import in_own_process
from throughput import SIZE, rate_of_training, scheme_of

from kcolor.data.prepare import load

ROUNDS = 3
BATCH = 64
PRECISION = "mixed_bfloat16"
USUAL = {"arch": "unet", "loss": "l1", "batch_size": BATCH}
CASES = {
    "cgan, patch of 34": {"scheme": "cgan"},
    "cgan, patch of 34, paper's 64 filters": {
        "scheme": "cgan",
        "discriminator_filters": 64,
    },
    "cgan, patch of 70": {"scheme": "cgan", "patch_layers": 3},
    "cgan, pixel": {"scheme": "cgan", "discriminator": "pixel"},
    "cgan, cnn": {"scheme": "cgan", "discriminator": "cnn"},
    "cgan, patch of 34, spectral": {"scheme": "cgan", "spectral": True},
    "cgan, patch of 34, wgan_gp": {"scheme": "cgan", "gan_loss": "wgan_gp"},
    "cyclegan, exact": {"scheme": "cyclegan", "pool": BATCH},
}


def milliseconds(pixels, fields: dict, seconds: float) -> float:
    """Returns the time of a step."""
    scheme = scheme_of(pixels, USUAL | fields, PRECISION)
    return 1000 * BATCH / rate_of_training(scheme, pixels, BATCH, seconds)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="demo")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    options = parser.parse_args()
    pixels = load(options.data, SIZE).train.pixels[:1000]
    ratios: dict[str, list[float]] = {name: [] for name in options.cases}
    for _ in range(ROUNDS):
        for name in options.cases:
            fields = CASES[name]
            plain, other = (
                in_own_process(milliseconds, pixels, case, options.seconds)
                for case in ({}, fields)
            )
            ratios[name].append(other / plain)
            print(
                f"{name}: {other:.0f} ms, supervised {plain:.0f} ms",
                file=sys.stderr,
                flush=True,
            )
    print("| | times a supervised step, each round | median |\n|---|---|---|")
    for name, found in ratios.items():
        each = ", ".join(f"{ratio:.2f}" for ratio in found)
        print(f"| {name} | {each} | {statistics.median(found):.2f} |")


if __name__ == "__main__":
    main()
