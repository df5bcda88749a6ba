"""What an equal budget buys: experiments trained as long, then measured.

    python benchmarks/budget.py configs/imagenet64-unet-*.yaml --data FOLDER \
        --out DIR [--minutes 10]

First the rate of each is measured, on a machine that must be quiet, and with it
how many steps fit in the budget; then each is trained for so many steps, which
other work on the machine may slow but does not change. Stopped and started
again, finished runs are kept and the one under way goes on. Prints a Markdown
table of the test photos.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import keras
import yaml
from processes import in_own_process
from throughput import SIZE

from kcolor.data.pipeline import batches
from kcolor.data.prepare import load
from kcolor.trainer import pace
from kcolor.training.experiment import Experiment
from kcolor.training.run import Run
from kcolor.training.supervised import Supervised

CALIBRATION = 15.0  # seconds
COLUMNS = (
    "rmse_ab",
    "auc",
    "auc_rebalanced",
    "psnr_rgb",
    "colorfulness",
    "colorfulness_gap",
)


def pace_of(config: Path, data: str) -> float:
    """Returns how many steps a second of an experiment are made."""
    fields = yaml.safe_load(config.read_text())
    fields |= {"data": data, "image_size": SIZE}
    experiment = Experiment.of(**fields)
    photos = load(data, SIZE, experiment.validation_share)
    return pace(experiment, photos, CALIBRATION)


def steps_of(config: Path, data: str, minutes: float) -> int:
    """Returns how many steps of an experiment fit in the budget."""
    steps = in_own_process(pace_of, config, data)
    print(f"{config.stem}: {steps:.2f} steps/s", file=sys.stderr, flush=True)
    return round(60 * minutes * steps)


def train(config: Path, run: Run, data: str, steps: int) -> None:
    """Trains an experiment, or goes on with it, as the command does."""
    command = ["kcolor-train", "--run", str(run.path)]
    if run.config.exists():
        command += ["--resume"]
    else:
        command += ["--config", str(config), "--data", data]
        command += ["--steps", str(steps)]
    subprocess.run(command, check=True)


def row(run: Run, pixels) -> str:
    """Returns a run's line of the table."""
    experiment = yaml.safe_load(run.config.read_text())
    colorizer = keras.saving.load_model(run.model)
    nll = "–"
    if "nll" in colorizer.objective.logged:
        scheme = Supervised(colorizer)
        scheme.compile()
        losses = scheme.validate(batches(pixels, 64))
        nll = f"{losses['nll']:.2f}"
    size = f"{colorizer.network.count_params() / 1e6:.2f} M"
    photos = experiment["steps"] * experiment["batch_size"]
    measured = json.loads(run.metrics.read_text())["ours"]
    return _line(run.path.name, size, f"{photos:,}", measured, nll)


def _line(name: str, size: str, photos: str, measured: dict, nll: str) -> str:
    cells = [
        "{value:.2f} [{low:.2f}, {high:.2f}]".format(**measured[metric])
        for metric in COLUMNS
    ]
    return f"| {name} | {size} | {photos} | {' | '.join(cells)} | {nll} |"


def main() -> None:
    """Trains and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data = load(options.data, SIZE)
    plan = options.out / "steps.json"
    steps = json.loads(plan.read_text()) if plan.exists() else {}
    for config in options.configs:
        if config.stem not in steps:
            steps[config.stem] = steps_of(config, options.data, options.minutes)
            plan.write_text(json.dumps(steps, indent=2) + "\n")
    for config in options.configs:
        run = Run(options.out / config.stem)
        if not run.is_finished:
            train(config, run, options.data, steps[config.stem])
    print(f"| | size | photos seen | {' | '.join(COLUMNS)} | nll |")
    print("|---" * (4 + len(COLUMNS)) + "|")
    grey = json.loads(run.metrics.read_text())["grey"]
    print(_line("grey", "–", "–", grey, "–"))
    for config in options.configs:
        print(row(Run(options.out / config.stem), data.test.pixels))


if __name__ == "__main__":
    main()
