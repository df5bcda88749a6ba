"""The command `kcolor-colorize`."""

import argparse
import sys
from pathlib import Path

from kcolor.cli.colouring import add_arguments, chosen, tell
from kcolor.cli.shell import Parser, load_tensorflow, shell
from kcolor.errors import UserError
from kcolor.shipped import NAME as PRETRAINED
from kcolor.training.folder import is_run

USAGE = "kcolor-colorize [options] [MODEL] PHOTO [PHOTO ...] [-o OUT]"

DESCRIPTION = """Colours photos at their own size: files, folders, which are
searched for photos, or - for stdin. The colours are those that the model gives
the photo at the size it was trained at, brought up along the photo's edges; the
lightness is the photo's own, and so are its depth, transparency, orientation,
and where and when it was taken. A colour photo is coloured anew."""

EXAMPLES = """examples:
  kcolor-colorize grandmother.jpg
  kcolor-colorize album/ -o coloured/ --compare
  kcolor-colorize runs/mine old.jpg -o new.jpg
  kcolor-colorize runs/mine album/ -o coloured/ --compare
  kcolor-colorize mine.tflite album/ more.png -o coloured/ --skip-existing
  kcolor-colorize runs/mine old.jpg -o draws/ --samples 5
  cat old.png | kcolor-colorize runs/mine - -o - > new.png"""


@shell
def main(argv: list[str]) -> None:
    """Colours what the command line names."""
    end = argv.index("--") if "--" in argv else len(argv)
    # Flags may stand between photos.
    options = vars(_parser().parse_intermixed_args(argv[:end]))
    words = options.pop("words") + argv[end + 1 :]
    if not words:
        raise UserError("name a photo, a folder of photos, or -: see --help")
    model, sources = _model_and_sources(words)
    load_tensorflow()
    from kcolor.colorizing.files import colorize_files
    from kcolor.terminal import progress

    # Photos may go to stdout, so words do not.
    outcome = colorize_files(
        model, sources, progress=progress, warn=tell, **chosen(options)
    )
    tell(str(outcome))
    if outcome.failed:
        sys.exit(1)


def _parser() -> Parser:
    parser = Parser(
        prog="kcolor-colorize",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[MODEL] PHOTO",
        help="Photo file, folder of photos, or - for stdin. The first may be a "
        "model: a run, a .keras file, a SavedModel or a .tflite file; without "
        "one, that which comes with kcolor colours them. Names that begin with "
        "a dash come last, after --.",
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        help="Folder in which each photo keeps its name; for one photo also a "
        "file, or - for stdout (default: NAME-coloured beside the photo or the "
        "folder, coloured for several).",
    )
    add_arguments(parser)
    return parser


def _model_and_sources(words: list[str]) -> tuple[str, list[str]]:
    """Returns which of the words is the model, and the photos.

    Raises:
        UserError: The first word is neither, or there is no photo.
    """
    first, *others = words
    for word in others:
        if _is_model(word):
            raise UserError(f"'{word}' is a model: name it before the photos")
    if not _is_model(first):
        if first and first != "-" and not Path(first).exists():
            raise UserError(
                f"'{first}' is neither a model nor a photo: check the path"
            )
        return PRETRAINED, words
    if not others:
        hint = f", or './{first}'" if first == PRETRAINED else ""
        raise UserError(f"'{first}' is a model: name photos after it{hint}")
    return first, others


def _is_model(word: str) -> bool:
    """Returns whether a word names a model: by names, without TensorFlow."""
    path = Path(word)
    if word == PRETRAINED:
        return True
    if path.is_dir():
        exports = ("saved_model.pb", "*/saved_model.pb")
        return is_run(path) or any(any(path.glob(file)) for file in exports)
    return path.suffix in (".keras", ".tflite")
