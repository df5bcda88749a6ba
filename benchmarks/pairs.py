"""Every architecture with every loss: refused or trained, size and speed.

    python benchmarks/pairs.py [--data FOLDER] [--seconds 4] [--arch NAME...]

Prints a table: parameters and images per second of training in bfloat16 at
64x64, 32 photos a step, each at its default settings. Run it on a quiet
machine.
"""

import argparse
import sys

from processes import in_own_process
from throughput import SIZE, rate_of_training, scheme_of

from kcolor import models, objectives
from kcolor.data.prepare import load
from kcolor.errors import UserError

BATCH = 32
PRECISION = "mixed_bfloat16"


def cell(pixels, arch: str, loss: str, seconds: float) -> str:
    """Returns a pair's cell of the table."""
    try:
        scheme = scheme_of(pixels, {"arch": arch, "loss": loss}, PRECISION)
    except UserError as refusal:
        return f"refused: {refusal}"
    size = scheme.colorizer.network.count_params() / 1e6
    rate = rate_of_training(scheme, pixels, BATCH, seconds)
    return f"{size:.2f} M, {rate:.0f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="demo")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--arch", nargs="*", default=models.names())
    options = parser.parse_args()
    pixels = load(options.data, SIZE).train.pixels[:1000]
    print(f"| | {' | '.join(objectives.names())} |")
    print("|---" * (1 + len(objectives.names())) + "|")
    for arch in options.arch:
        cells = []
        for loss in objectives.names():
            cells.append(
                in_own_process(cell, pixels, arch, loss, options.seconds)
            )
            print(f"{arch} + {loss}: {cells[-1]}", file=sys.stderr, flush=True)
        print(f"| `{arch}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
