"""The command `kcolor-colorize-archive`."""

import argparse
import importlib.util
import logging
import signal
import sys
import threading
from typing import NoReturn

from kcolor.cli.colouring import add_arguments, chosen, tell
from kcolor.cli.shell import Parser, load_tensorflow, shell
from kcolor.errors import Interrupted, not_installed

DESCRIPTION = """Colours the photos of an archive as kcolor-colorize does, by a
pipeline of Apache Beam: on this machine by several processes, or on many by the
runner that --runner names. Photos are files, folders, which are searched for
photos, or patterns, in which * stands for any part of a name and ** for
folders, too; paths of this machine, or URLs such as gs:// that Beam knows. What
cannot be coloured is listed in OUT/failed.csv."""

EXAMPLES = """All other options, as --name=value, are Beam's, among them:
  --runner=NAME               who runs it (default: DirectRunner, this machine)
  --direct_running_mode=MODE  in_memory, multi_threading or multi_processing
  --direct_num_workers=N      threads or processes, 0 for one per core

examples:
  kcolor-colorize-archive runs/mine archive/ -o coloured/
  kcolor-colorize-archive runs/mine 'archive/19*/**.jpg' -o coloured/ \\
    --direct_running_mode=multi_processing --direct_num_workers=0
  kcolor-colorize-archive runs/mine gs://ours/archive -o gs://ours/coloured \\
    --skip-existing --runner=DataflowRunner --project=ours ..."""

LOCAL = (None, "DirectRunner", "FnApiRunner")


@shell
def main(argv: list[str]) -> None:
    """Colours what the command line names."""
    options, flags = _parser().parse_known_args(argv)
    if importlib.util.find_spec("apache_beam") is None:
        raise not_installed("an archive needs Apache Beam", "beam")
    # Beam tells much of itself. On another machine, that is all one sees of it.
    is_local = not any(
        flag.startswith("--runner=") and flag[9:] not in LOCAL for flag in flags
    )
    logging.basicConfig(
        level=logging.ERROR if is_local else logging.INFO,
        format="%(levelname)s: %(message)s",
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    load_tensorflow()
    from kcolor.colorizing.beam import colorize_archive

    words = chosen(vars(options))
    try:
        outcome = colorize_archive(flags=flags, tell=tell, **words)
    except Exception:
        if _ends:  # Beam makes an error of its own of it
            raise _ends[0] from None
        raise
    tell(str(outcome))
    if outcome.failed:
        sys.exit(1)


_ends: list[Interrupted] = []


def _end(number: int, _) -> NoReturn:
    """Ends the pipeline, and with it the processes that it has begun."""
    import psutil

    # Each thread of Beam would tell that another one has gone.
    logging.disable(logging.CRITICAL)
    threading.excepthook = lambda _: None
    for process in psutil.Process().children(recursive=True):
        process.kill()
    _ends.append(Interrupted(number, "go on with --skip-existing"))
    raise _ends[0]


def _parser() -> Parser:
    parser = Parser(
        prog="kcolor-colorize-archive",
        usage="%(prog)s MODEL PHOTOS [PHOTOS ...] -o OUT [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="Run, .keras file, SavedModel or .tflite file, where each worker "
        "finds it; or pretrained, which comes with kcolor.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="PHOTOS",
        help="Photo file, folder of photos, or pattern.",
    )
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="OUT",
        help="Folder in which each photo keeps its name and its place.",
    )
    add_arguments(parser)
    return parser
