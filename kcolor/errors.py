"""Errors that a user can mend, and the words to do it with."""

import difflib
import re
import signal
import textwrap
from collections.abc import Iterable


class UserError(Exception):
    """A mistake a user can mend.

    Its text is one line that names the thing, says what is wrong and what to
    do. Commands print it to stderr and exit with code 2.
    """


class WorkerLost(UserError):
    """Another machine of a training is gone; started again, all go on."""


class Interrupted(BaseException):
    """A signal asked to end, and all that was done is saved.

    As `KeyboardInterrupt`, no `Exception`: what it comes up in does not take it
    for an error of its own.

    Commands end with exit code 128 and the signal's number.

    Args:
        number: The signal's.
        then: What to do to go on.
    """

    def __init__(self, number: int, then: str):
        super().__init__(f"stopped by {signal.Signals(number).name}: {then}")
        self.number = number


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Returns the error for a name that is not one of the known ones.

    Args:
        kind: What the name should have named, e.g. `"architecture"`.
        name: The name as the user wrote it.
        known: The names that exist.

    Returns:
        A `UserError` with the nearest right name, or all of them.

    Example:

    >>> print(unknown("loss", "smoothl1", ["l2", "smooth_l1"]))
    unknown loss 'smoothl1': did you mean 'smooth_l1'? Known: l2, smooth_l1
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return UserError(
        f"unknown {kind} '{name}':{hint} Known: {', '.join(known)}"
    )


def not_installed(what: str, extra: str) -> UserError:
    """Returns the error for what one of kcolor's extras brings.

    Args:
        what: What is missing, in words.
        extra: The extra's name.

    Example:

    >>> print(not_installed("this needs Beam", "beam"))
    this needs Beam: pip install "kcolor[beam]", in a clone ".[beam]"
    """
    return UserError(
        f'{what}: pip install "kcolor[{extra}]", in a clone ".[{extra}]"'
    )


def first_line(error: Exception) -> str:
    """Returns the reason that an error of a library gives, in one short line.

    Example:

    >>> text = "{{function_node Save}} step-7.data; No space left [Op:Save]"
    >>> first_line(OSError(text))
    'No space left'
    """
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # TensorFlow puts the operation before, and the file before the reason.
    text = re.sub(r"\{\{.*?\}\} ?| \[Op:\w+\].*", "", text)
    return textwrap.shorten(text.rpartition("; ")[2], 120, placeholder=" ...")
