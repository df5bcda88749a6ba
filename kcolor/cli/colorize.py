"""The command `kcolor-colorize`."""

import argparse
import sys

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
    suffix = options.pop("format")
    if suffix is not None:
        suffix = f".{suffix.lstrip('.').lower()}"
    load_tensorflow()
    from kcolor.colorizing.files import colorize_files
    from kcolor.colorizing.painter import Look
    from kcolor.terminal import progress

    chosen = {
        name: options.pop(name)
        for name in ("saturation", "temperature", "samples", "seed")
    }
    look = Look(
        **chosen,
        upsample=options.pop("upsample"),
        image_size=options.pop("image_size"),
    )
    # Photos may go to stdout, so words do not.
    outcome = colorize_files(
        look=look, suffix=suffix, progress=progress, warn=_tell, **options
    )
    _tell(str(outcome))
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
    parser.add_argument(
        "--format",
        metavar="SUFFIX",
        help="jpg, png, webp, tif or bmp (default: that of each photo).",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="Put the grey photo to the left of the coloured one.",
    )
    parser.add_argument(
        "--saturation",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="More or less colourful: 0 is grey, 1 as the model has it.",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="Of models trained with ce: towards 0 bolder, towards 1 safer "
        "(default: the model's own).",
    )
    parser.add_argument(
        "--samples",
        type=parser.whole_number,
        metavar="N",
        help="Draw N plausible colourings of each photo, NAME-1, NAME-2, ..., "
        "by models that can.",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="Which draws (default: 0)."
    )
    parser.add_argument(
        "--upsample",
        default="guided",
        metavar="HOW",
        help="How colours come to the photo's size: guided, along its edges "
        "(default), or bilinear.",
    )
    parser.add_argument(
        "--image-size",
        type=parser.whole_number,
        metavar="SIZE",
        help="Short side at which the model sees the photo, in pixels "
        "(default: that of the photos it was trained on).",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--skip-existing",
        action="store_true",
        help="Leave out photos whose file is there: go on after a stop.",
    )
    existing.add_argument(
        "--overwrite",
        action="store_true",
        help="Replace files that are there.",
    )
    return parser


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
