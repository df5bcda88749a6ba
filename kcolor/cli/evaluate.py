"""The command `kcolor-evaluate`."""

from pathlib import Path

from kcolor.cli import measuring
from kcolor.cli.shell import Parser, load_tensorflow, shell
from kcolor.errors import UserError
from kcolor.files import check_writable, whole

DESCRIPTION = """Measures anything that colours photos, on the same photos:
runs, .keras files, exports (SavedModel folders and .tflite files), folders of
photos that another tool has coloured, each named after its photo, pretrained,
which comes with kcolor, and the references grey, mean (the training photos'
mean colour at each lightness) and shuffled (another photo's colours). Prints
each metric with its 95 % interval over photos, and how far each target is from
the first."""


@shell
def main(argv: list[str]) -> None:
    """Measures what the command line names."""
    parser = Parser(prog="kcolor-evaluate", description=DESCRIPTION)
    measuring.add_arguments(parser)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="Write all figures there."
    )
    options = vars(parser.parse_args(argv))
    file = options.pop("json")
    if file is not None:
        if file.exists():
            raise UserError(f"'{file}' exists: give another --json")
        check_writable(file)
    load_tensorflow()
    from kcolor.evaluation import tables
    from kcolor.evaluation.evaluate import examine
    from kcolor.strict_json import to_json
    from kcolor.terminal import progress, say

    options["metrics"] = measuring.chosen(options["metrics"])
    evaluation = examine(**options, progress=progress)
    measured = evaluation.measured(options["metrics"])
    say("\n\n".join([tables.everything(measured), *evaluation.notes()]))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as path:
            path.write_text(to_json(measured))
