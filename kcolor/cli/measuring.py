"""What the commands that measure take: targets, photos, metrics."""

from collections.abc import Sequence

from kcolor.cli.shell import Parser


def add_arguments(parser: Parser) -> None:
    """Adds what `kcolor.evaluate` takes to a command."""
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="TARGET",
        help="Run, folder of runs, .keras file, pretrained, export, folder of "
        "photos, "
        "grey, mean or shuffled.",
    )
    parser.add_argument(
        "--data",
        help="Where the photos come from, as for kcolor-train (default: what "
        "the first run was trained on, or demo).",
    )
    parser.add_argument(
        "--split",
        default="test",
        help="test, validation or train (default: test).",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="Which metrics, or the word colour for all that need no network "
        "(default: the usual ones).",
    )
    parser.add_argument(
        "--image-size",
        type=parser.whole_number,
        metavar="SIZE",
        help="Height and width of the photos, in pixels (default: the first "
        "model's, or 64).",
    )
    parser.add_argument(
        "--domains",
        metavar="classes|FILE",
        help="Figures of each class of the photos, or of each domain of a "
        "table with a line class<TAB>domain each.",
    )


def chosen(metrics: list[str] | None) -> Sequence[str]:
    """Returns the metrics that the words after `--metrics` mean."""
    from kcolor.evaluation.measure import SHOWN
    from kcolor.evaluation.metrics import COLOUR_METRICS

    if metrics is None:
        return SHOWN
    return COLOUR_METRICS if metrics == ["colour"] else metrics
