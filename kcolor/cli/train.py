"""The command `kcolor-train`."""

import argparse
import os
import sys
from pathlib import Path

from jsonargparse.typing import PositiveInt

from kcolor.cli.shell import load_tensorflow, shell
from kcolor.errors import WorkerLost
from kcolor.settings import NonNegative
from kcolor.terminal import say
from kcolor.training.experiment import (
    PARTS,
    from_command_line,
    other_experiment,
)
from kcolor.training.folder import CONFIG, read_config

DESCRIPTION = """Trains one experiment and measures it on photos it has not
seen. Without flags: the poster's CNN with cross entropy on the demo photos.
Each architecture, loss and scheme adds its own settings: see them with
`kcolor-train --arch NAME --loss NAME --scheme NAME --help`."""

RUN_FLAGS = {
    "run": (
        str,
        None,
        "Folder to write; by default a new one in runs/, named after the "
        "experiment.",
    ),
    "resume": (
        bool,
        False,
        "Go on with the run in --run, from its newest checkpoint.",
    ),
    "checkpoint_minutes": (
        NonNegative,
        10.0,
        "Minutes between checkpoints within an epoch.",
    ),
    "devices": (
        PositiveInt,
        1,
        "How many GPUs of this machine share each batch. Other machines that "
        "do so, too, are named by TF_CONFIG.",
    ),
}


@shell
def main(argv: list[str]) -> None:
    """Trains what the command line describes."""
    experiment, options = from_command_line(
        _with_config_of_run(argv), "kcolor-train", DESCRIPTION, RUN_FLAGS
    )
    load_tensorflow()
    from kcolor.trainer import train

    try:
        train(experiment, **options)
    except WorkerLost:
        # TensorFlow cannot join the workers twice in a process.
        say("another worker is gone: waiting for it, to go on together")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _with_config_of_run(argv: list[str]) -> list[str]:
    """Lets `--resume` take every setting from the run it goes on with."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run", nargs="?")
    parser.add_argument("--resume", action="store_true")
    for part in PARTS:
        parser.add_argument(f"--{part}", nargs="?")
    known, _ = parser.parse_known_args(argv)
    if not (known.resume and known.run):
        return argv
    config = Path(known.run) / CONFIG
    if not config.exists():
        return argv
    written = read_config(config)
    # Before the parser takes the run's settings for those of another part.
    for part in PARTS:
        given = getattr(known, part)
        if given and given != written.get(part):
            raise other_experiment(known.run, part, written.get(part), given)
    return ["--config", str(config), *argv]
