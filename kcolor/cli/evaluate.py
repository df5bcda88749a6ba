"""The command `kcolor-evaluate`."""

from pathlib import Path

from kcolor.cli.shell import Parser, load_tensorflow, shell
from kcolor.errors import UserError

DESCRIPTION = """Measures anything that colours photos, on the same photos:
runs, .keras files, exports (SavedModel folders and .tflite files), folders of
photos that another tool has coloured, each named after its photo, and the
references grey, mean (the training photos' mean colour at each lightness) and
shuffled (another photo's colours). Prints each metric with its 95 % interval
over photos, and how far each target is from the first."""


@shell
def main(argv: list[str]) -> None:
    """Measures what the command line names."""
    parser = Parser(prog="kcolor-evaluate", description=DESCRIPTION)
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="TARGET",
        help="Run, .keras file, export, folder of photos, grey, mean or "
        "shuffled.",
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
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="Write all figures there."
    )
    options = vars(parser.parse_args(argv))
    file = options.pop("json")
    if file is not None and file.exists():
        raise UserError(f"'{file}' exists: give another --json")
    load_tensorflow()
    from kcolor.evaluation import measure, tables
    from kcolor.evaluation.evaluate import examine
    from kcolor.evaluation.metrics import COLOUR_METRICS
    from kcolor.files import whole
    from kcolor.training.callbacks import progress, say

    if options["metrics"] is None:
        options["metrics"] = measure.SHOWN
    elif options["metrics"] == ["colour"]:
        options["metrics"] = COLOUR_METRICS
    evaluation = examine(**options, progress=progress)
    measured = evaluation.measured(options["metrics"])
    if file is not None:
        with whole(file) as path:
            path.write_text(measure.to_json(measured))
    say("\n\n".join([tables.report(measured), *evaluation.notes()]))
