"""Writes the colorizer that comes with kcolor.

    python -m kcolor.shipped.pack RUN

Kernels in float16, which is half the size, the rest in float32.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np

from kcolor.colorizer import Colorizer
from kcolor.errors import UserError
from kcolor.files import whole
from kcolor.shipped import ABOUT, FOLDER, NAME, WEIGHTS, load
from kcolor.trained import open_model

MOST_MEGABYTES = 25
MOST_AWAY = 0.5  # rmse of ab, in ab units, of any photo: none could see it


def pack(colorizer: Colorizer, folder: Path) -> int:
    """Writes a colorizer as `kcolor.shipped.load` reads it.

    Args:
        colorizer: In float32.
        folder: Where to.

    Returns:
        The size of the weights, in bytes.

    Raises:
        UserError: It is too large, or half precision changes its colours.
    """
    file = io.BytesIO()
    np.savez_compressed(
        file,
        **{
            weight.path: np.asarray(
                weight, np.float16 if len(weight.shape) > 1 else np.float32
            )
            for weight in colorizer.weights
        },
    )
    content = file.getvalue()
    if len(content) > 1e6 * MOST_MEGABYTES:
        raise UserError(
            f"{len(content) / 1e6:.1f} MB are more than {MOST_MEGABYTES}: "
            "train a smaller network"
        )
    about = {
        "config": colorizer.get_config() | {"name": NAME},
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with tempfile.TemporaryDirectory() as name:
        draft = Path(name)
        (draft / WEIGHTS).write_bytes(content)
        (draft / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
        away = _away(colorizer, load(draft))
        if not away <= MOST_AWAY:
            raise UserError(
                f"in half precision its colours are {away:.2f} ab units away"
            )
        for part in (WEIGHTS, ABOUT):
            with whole(folder / part) as path:
                path.write_bytes((draft / part).read_bytes())
    return len(content)


def _away(one: Colorizer, other: Colorizer) -> float:
    """Returns the largest `rmse_ab` of a photo between two, in ab units."""
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 100, (8, 8, 8, 1))
    size = one.fixed_size or 64
    steps = -(-size // 8)
    fine = coarse.repeat(steps, 1).repeat(steps, 2)[:, :size, :size]
    lightness = np.clip(fine + random.normal(0, 3, fine.shape), 0, 100)
    errors = np.asarray(one(lightness) - other(lightness))
    return float(np.sqrt((errors**2).mean((1, 2, 3))).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="Run, or .keras file.")
    parser.add_argument(
        "--image-size",
        type=int,
        help="Short side at which it sees photos that are to be coloured.",
    )
    for name in ("temperature", "saturation", "rebalance"):
        parser.add_argument(f"--{name}", type=float, help="Of ce.")
    options = vars(parser.parse_args())
    model = open_model(options.pop("model"))
    size = pack(model.colorizer.changed(**options), FOLDER)
    print(f"{FOLDER / WEIGHTS}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
