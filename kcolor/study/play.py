"""Name that fake, in a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from kcolor.study.design import LEFT, RIGHT, TEST
from kcolor.study.folder import PAIRS, Study

HALF_BLOCK = "▀"  # its ink is one pixel, the paper the one below
WORDS = {"l": LEFT, "left": LEFT, "r": RIGHT, "right": RIGHT}
QUIT = ("q", "quit")
MARGIN = 4  # rows of the terminal that are not for the photos
# A method may be called what rich takes for markup.
_PLAIN = {"markup": False, "emoji": False, "highlight": False}


def play(
    path: str | Path,
    rounds: int,
    console: Console | None = None,
    ask: Callable[[str], str] = input,
    seed: int | None = None,
) -> tuple[int, int]:
    """Shows pairs, asks which photo was recoloured, and tells.

    Args:
        path: The study's folder.
        rounds: How many pairs; as many as there are photos at most.
        console: The terminal.
        ask: Asks a question, and returns the answer.
        seed: Which pairs.

    Returns:
        How many were found, and of how many.

    Raises:
        UserError: There is no study.
    """
    study = Study.open(path)
    console = console or Console()
    random = np.random.default_rng(seed)
    by_photo: dict[str, list] = {}
    for pair in study.pairs.values():
        # Shuffled colours are no fun.
        if pair.use == TEST and pair.method in study.methods:
            by_photo.setdefault(pair.photo, []).append(pair)
    photos = random.permutation(list(by_photo))[:rounds]
    found = 0
    for number, photo in enumerate(photos):
        pairs = by_photo[photo]
        pair = pairs[random.integers(len(pairs))]
        console.print(picture(study.path / PAIRS / pair.file, console))
        chosen = None
        while chosen is None:
            try:
                said = (
                    ask(
                        f"{number + 1} of {len(photos)}: which is recoloured"
                        ", left or right? [l/r/q] "
                    )
                    .strip()
                    .lower()
                )
            except EOFError:
                said = QUIT[0]
            if said in QUIT:
                console.print(_score(found, number), **_PLAIN)
                return found, number
            chosen = WORDS.get(said)
        is_right = chosen == pair.fake
        found += is_right
        told = "right" if is_right else f"no, the {pair.fake} one"
        console.print(f"{told}: {pair.method}\n", **_PLAIN)
    console.print(_score(found, len(photos)), **_PLAIN)
    return found, len(photos)


def picture(file: Path, console: Console) -> Segments:
    """Returns a pair as coloured characters, two pixels each.

    Args:
        file: The pair's.
        console: The terminal, which it fits in.
    """
    image = Image.open(file).convert("RGB")
    wide = image.width + image.height // 8  # with a gap
    room = min(
        console.width / wide, 2 * (console.height - MARGIN) / image.height
    )
    side = max(2, int(image.height * min(room, 1))) // 2 * 2
    halves = [
        np.asarray(
            image.crop((left, 0, left + image.width // 2, image.height)).resize(
                (side, side), Image.Resampling.LANCZOS
            )
        )
        for left in (0, image.width // 2)
    ]
    parts = []
    for row in range(0, side, 2):
        for place, half in enumerate(halves):
            if place:
                parts.append(Segment(" " * (side // 4)))
            for upper, lower in zip(half[row], half[row + 1], strict=True):
                style = Style(
                    color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)
                )
                parts.append(Segment(HALF_BLOCK, style))
        parts.append(Segment.line())
    return Segments(parts)


def _score(found: int, of: int) -> str:
    return f"{found} of {of} found"
