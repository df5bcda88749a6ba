"""What the commands that colour take: looks, formats, what to do with files."""

import sys
from typing import Any

from kcolor.cli.shell import Parser


def add_arguments(parser: Parser) -> None:
    """Adds how photos are to be coloured and written to a command."""
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
        help="Of models trained with ce: towards 0 bolder, at 1 the mean of "
        "all that is plausible, above greyer still (default: the model's own).",
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


def chosen(options: dict[str, Any]) -> dict[str, Any]:
    """Returns a command's options as the function that colours takes them.

    Raises:
        UserError: There is no such look.
    """
    from kcolor.colorizing.painter import Look

    of_look = ("saturation", "temperature", "samples", "seed")
    of_look += ("upsample", "image_size")
    look = Look(**{name: options.pop(name) for name in of_look})
    suffix = options.pop("format")
    if suffix is not None:
        suffix = f".{suffix.lstrip('.').lower()}"
    return {"look": look, "suffix": suffix, **options}


def tell(line: str) -> None:
    """Prints a line to stderr, as stdout may take photos."""
    print(line, file=sys.stderr, flush=True)
