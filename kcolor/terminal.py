"""Words for a terminal, and for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

LINE_EVERY = 60.0  # seconds between lines where there is no terminal


def progress(
    items: Iterable, total: int, what: str, unit: str = " files"
) -> Iterator:
    """Yields the items, and shows how far they are.

    A bar on a terminal, elsewhere a line to stderr now and then.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, what, total, leave=False, unit=unit)
        return
    began = spoke = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - spoke > LINE_EVERY:
            spoke = now
            left = duration((total - done) * (now - began) / done)
            line = f"{what}: {done} of {total}{unit}, {left} left"
            print(line, file=sys.stderr, flush=True)


def say(line: str) -> None:
    """Prints a line at once, so that a log can be followed."""
    print(line, flush=True)


def duration(seconds: float) -> str:
    """Returns a span of time as people say it.

    Example:

    >>> duration(42), duration(200), duration(4000)
    ('42 s', '3 min', '1 h 07 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def aligned(rows: list[list[str]]) -> str:
    """Returns rows whose first column stands left, all others right.

    Example:

    >>> print(aligned([["", "size"], ["net", "2 MB"]]))
           size
    net    2 MB
    """
    first, *others = (max(map(len, c)) + 2 for c in zip(*rows, strict=True))
    return "\n".join(
        f"{name:{first}}"
        + "".join(
            f"{cell:>{width}}"
            for cell, width in zip(cells, others, strict=True)
        )
        for name, *cells in rows
    )
