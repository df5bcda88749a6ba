"""Files that are either whole or not there."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kcolor.errors import UserError


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yields a temporary path that takes the name `path` once all is written.

    Args:
        path: The file to write. One that is there is replaced in one step.
    """
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Refuses a path where nothing could be written, and leaves no trace.

    To be called before what takes long.

    Raises:
        UserError: It could not.
    """
    folder = next(part for part in path.absolute().parents if part.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"'{path}' cannot be written: {error.strerror}"
        ) from error
