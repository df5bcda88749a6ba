"""The command `kcolor-search`."""

import argparse
from pathlib import Path

from kcolor.cli.shell import Parser, load_tensorflow, shell
from kcolor.errors import UserError
from kcolor.searching.space import read_space
from kcolor.searching.worker import SPACE, is_worker, work

DESCRIPTION = """Trains many experiments of a space and finds the best: one file
names the experiment to start from and the values its settings may have. Each
trial is a run folder in DIR, as kcolor-train writes it, so kcolor-report DIR
--out PAGES compares them; DIR/best.yaml is the best one's experiment, which
kcolor-train --config repeats, DIR/table.csv has them all. Stopped or killed,
the same command goes on."""

EPILOG = """A space file, with the words of keras-tuner:

  experiment: {arch: cnn, data: demo}   # or a config file
  objective: rmse_ab                    # validation metric to compare by
  tuner: random                         # or bayesian, hyperband, grid
  trials: 20
  budget: {steps: 500}                  # or epochs, or seconds; of each trial
  space:
    loss: [l2, ce]
    learning_rate: {float: [1e-4, 1e-2], log: true}
    ce.temperature: {float: [0.2, 1.0]} # where the loss is ce
    depth: {int: [3, 6], when: {loss: l2}}

On several machines: start this command on one, then on the others with the same
--out on a disk that all share, each with keras-tuner's environment variables:
KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT, where the first listens, and a
KERASTUNER_TUNER_ID of its own; that of the first is chief."""


@shell
def main(argv: list[str]) -> None:
    """Searches what the command line describes, or works for who does."""
    parser = Parser(
        prog="kcolor-search",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--space",
        type=Path,
        metavar="FILE",
        help="What to search; not needed to go on with a search.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="The search's folder.",
    )
    parser.add_argument(
        "--trials",
        type=parser.whole_number,
        metavar="N",
        help="At most so many trials in all (default: what the file says).",
    )
    parser.add_argument(
        "--workers",
        type=parser.whole_number,
        default=1,
        metavar="N",
        help="Processes that train trials on this machine (default: 1).",
    )
    parser.add_argument(
        "--minutes",
        type=parser.whole_number,
        metavar="N",
        help="Stop after so long; the same command goes on (default: never).",
    )
    parser.add_argument(
        "--data",
        help="Photos, as for kcolor-train (default: what the file says).",
    )
    options = parser.parse_args(argv)
    if is_worker():
        load_tensorflow()
        work(options.out)
        return
    changes = {
        name: value
        for name in ("trials", "data")
        if (value := getattr(options, name)) is not None
    }
    file = options.space or options.out / SPACE
    if options.space is None and not file.exists():
        raise UserError("give --space FILE, what to search: see --help")
    space = read_space(file, **changes)
    load_tensorflow()
    from kcolor.searching.search import search
    from kcolor.terminal import say

    minutes = {} if options.minutes is None else {"minutes": options.minutes}
    best = search(space, options.out, options.workers, **minutes)
    say(
        f"\nlook at '{best.parent / 'table.csv'}'; repeat the best: "
        f"kcolor-train --config '{best}'"
    )
