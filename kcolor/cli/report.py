"""The command `kcolor-report`."""

from pathlib import Path

from kcolor.cli import measuring
from kcolor.cli.shell import Parser, load_tensorflow, shell

DESCRIPTION = """Measures runs, and all else that kcolor-evaluate measures, on
the same photos, and writes a page to look at, DIR/index.html, which needs no
other file: figures with their intervals, photos side by side, curves, costs;
and the figures as a table, DIR/table.csv."""


@shell
def main(argv: list[str]) -> None:
    """Writes a page about what the command line names."""
    parser = Parser(prog="kcolor-report", description=DESCRIPTION)
    measuring.add_arguments(parser)
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="Folder to write index.html and table.csv in.",
    )
    parser.add_argument(
        "--photos",
        type=parser.whole_number,
        default=8,
        metavar="N",
        help="How many photos to show of every target (default: 8).",
    )
    parser.add_argument(
        "--study",
        type=Path,
        metavar="DIR",
        help="A study that kcolor-study has analysed: its fool rates are "
        "another column.",
    )
    options = vars(parser.parse_args(argv))
    load_tensorflow()
    from kcolor.evaluation.report import report
    from kcolor.terminal import progress, say

    options["metrics"] = measuring.chosen(options["metrics"])
    page = report(**options, progress=progress)
    say(f"look at '{page}'")
