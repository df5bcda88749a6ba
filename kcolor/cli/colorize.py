"""The command `kcolor-colorize`."""

import argparse
import sys

from kcolor.cli.colouring import add_arguments, chosen, tell
from kcolor.cli.shell import Parser, load_tensorflow, shell

DESCRIPTION = """Colours photos at their own size: files, folders, which are
searched for photos, or - for stdin. The colours are those that the model gives
the photo at the size it was trained at, brought up along the photo's edges; the
lightness is the photo's own, and so are its depth, transparency, orientation,
and where and when it was taken. A colour photo is coloured anew."""

EXAMPLES = """examples:
  kcolor-colorize runs/mine old.jpg -o new.jpg
  kcolor-colorize runs/mine album/ -o coloured/ --compare
  kcolor-colorize mine.tflite album/ more.png -o coloured/ --skip-existing
  kcolor-colorize runs/mine old.jpg -o draws/ --samples 5
  cat old.png | kcolor-colorize runs/mine - -o - > new.png"""


@shell
def main(argv: list[str]) -> None:
    """Colours what the command line names."""
    options = vars(_parser().parse_args(argv))
    load_tensorflow()
    from kcolor.colorizing.files import colorize_files
    from kcolor.terminal import progress

    # Photos may go to stdout, so words do not.
    outcome = colorize_files(progress=progress, warn=tell, **chosen(options))
    tell(str(outcome))
    if outcome.failed:
        sys.exit(1)


def _parser() -> Parser:
    parser = Parser(
        prog="kcolor-colorize",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="Run, .keras file, SavedModel or .tflite file.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="PHOTO",
        help="Photo file, folder of photos, or - for stdin.",
    )
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="OUT",
        help="Folder in which each photo keeps its name; for one photo also a "
        "file, or - for stdout.",
    )
    add_arguments(parser)
    return parser
