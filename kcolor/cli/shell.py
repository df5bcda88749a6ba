"""What all commands share: how they end."""

import argparse
import functools
import os
import signal
import sys
from collections.abc import Callable

import kcolor
from kcolor.errors import Interrupted, UserError
from kcolor.quiet import quietly


def shell(command: Callable[[list[str]], None]) -> Callable[[], None]:
    """Makes a function of the command line's words into a console script.

    A `UserError`, a full disk or an unwritable folder is one line on stderr and
    exit code 2, an interruption 128 and the signal's number; a bug shows its
    traceback.
    """

    @functools.wraps(command)
    def main() -> None:
        argv = sys.argv[1:]
        if sys.stderr is None:  # closed: what goes there goes nowhere
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        if argv == ["--version"]:
            print(f"kcolor {kcolor.__version__}")
            return
        # Only errors of TensorFlow's native code, set before it is loaded.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        try:
            command(argv)
        except UserError as error:
            _fail(str(error))
        except OSError as error:
            if error.filename is None and error.errno is None:
                raise
            where = f" '{error.filename}'" if error.filename else ""
            _fail(f"cannot write or read{where}: {error.strerror}")
        except Interrupted as error:
            print(f"{_name()}: {error}", file=sys.stderr)
            sys.exit(128 + error.number)
        except KeyboardInterrupt:
            sys.exit(130)

    return main


class Parser(argparse.ArgumentParser):
    """A parser of flags whose errors are one line."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str):
        raise UserError(f"{message}: see --help")

    @staticmethod
    def whole_number(word: str) -> int:
        """Returns the whole number above 0 that a word is."""
        if not word.isdecimal() or int(word) == 0:
            raise argparse.ArgumentTypeError(
                f"'{word}' is not allowed: give a whole number above 0"
            )
        return int(word)


def end_on_sigterm(then: str) -> None:
    """Has SIGTERM end as SIGINT does: with it goes what is half made.

    Args:
        then: What to do to go on.
    """

    def end(number: int, _) -> None:
        raise Interrupted(number, then)

    signal.signal(signal.SIGTERM, end)


def load_tensorflow() -> None:
    """Imports TensorFlow without its notes on start.

    Should the import fail, they are shown.
    """
    with quietly():
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.get_logger().setLevel("ERROR")


def _fail(line: str) -> None:
    print(f"{_name()}: {line}", file=sys.stderr)
    sys.exit(2)


def _name() -> str:
    return os.path.basename(sys.argv[0])
