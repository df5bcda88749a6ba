"""Silence about what no user can act on."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps back what native code writes to stderr, unless its block fails.

    TensorFlow writes notes before its log is set up, and its converters by
    means that no switch reaches.
    """
    if sys.stderr is None:  # closed
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        stderr = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except Exception:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
