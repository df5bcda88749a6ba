"""The folder of a study: its pairs and what is known of them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kcolor.errors import UserError
from kcolor.study.design import (
    LEFT,
    PRACTICE,
    TEST,
    Design,
    Side,
    Trial,
    other,
    plan,
)

FORMAT = 1  # of the folder; goes up when what is in it changes
MANIFEST, PAIRS, ANSWERS = "study.json", "pairs", "answers.sqlite"
# What a manifest that is none makes Python raise.
_FAULTS = (ValueError, KeyError, TypeError, RecursionError, UserError)


@dataclass(frozen=True)
class Pair:
    """A photo twice in one picture, side by side: true, and recoloured.

    One file holds both, so neither has a name or a size of its own.

    Attributes:
        file: Its file's name, which tells nothing.
        photo: The name of the photo.
        method: Whose colours the other half has.
        fake: The half, "left" or "right", that is recoloured.
        use: "practice" or "test".
        sha256: Of the file.
    """

    file: str
    photo: str
    method: str
    fake: Side
    use: str
    sha256: str


@dataclass(frozen=True)
class Study:
    """A study as it was made.

    Attributes:
        path: Its folder.
        id: Tells it from all others.
        made: When, how and by what version it was made.
        design: What a participant is asked.
        methods: Names of what is compared.
        image_size: Height and width of a photo, in pixels.
        pairs: All of them, by their files' names.
    """

    path: Path
    id: str
    made: dict[str, str]
    design: Design
    methods: tuple[str, ...]
    image_size: int
    pairs: dict[str, Pair]

    @classmethod
    def open(cls, path: str | Path) -> Study:
        """Returns the study of a folder, after a look at all its files.

        Raises:
            UserError: It holds none, one of another version, or one that has
                changed since it was made.
        """
        path = Path(path)
        manifest = path / MANIFEST
        if not manifest.is_file():
            raise UserError(
                f"'{path}' holds no study: make one with kcolor-study make"
            )
        try:
            read = json.loads(manifest.read_text(encoding="utf-8"))
            found = read["format"]
            if found == FORMAT:
                identity = read.pop("id")
                is_whole = identity == _identity(read)
                study = cls(
                    path,
                    identity,
                    read["made"],
                    Design(**read["design"]),
                    tuple(read["methods"]),
                    read["image_size"],
                    {pair["file"]: Pair(**pair) for pair in read["pairs"]},
                )
        except _FAULTS as error:
            raise UserError(
                f"'{manifest}' is damaged: make the study again"
            ) from error
        if found != FORMAT:
            raise UserError(
                f"'{path}' is a study of format {found}, this kcolor knows "
                f"{FORMAT}: use the version that made it"
            )
        if not is_whole:
            raise UserError(
                f"'{manifest}' has changed since the study was made: make it "
                "again"
            )
        study._check_pairs()
        return study

    @classmethod
    def write(
        cls,
        path: Path,
        made: dict[str, str],
        design: Design,
        methods: Sequence[str],
        image_size: int,
        pairs: Sequence[Pair],
    ) -> Study:
        """Writes a study whose pairs `write_pair` has written.

        Args:
            path: Its folder.
            made: When, how and by what version it was made.
            design: What a participant is asked.
            methods: Names of what is compared.
            image_size: Height and width of a photo, in pixels.
            pairs: All of them.
        """
        manifest = {
            "format": FORMAT,
            "made": made,
            "design": design.to_dict(),
            "methods": list(methods),
            "image_size": image_size,
            "pairs": [dataclasses.asdict(pair) for pair in pairs],
        }
        text = json.dumps({"id": _identity(manifest), **manifest}, indent=1)
        (path / MANIFEST).write_text(text + "\n", encoding="utf-8")
        return cls.open(path)

    @property
    def answers(self) -> Path:
        """The file of its answers."""
        return self.path / ANSWERS

    def plan(self, participant: int) -> list[tuple[Trial, Pair]]:
        """Returns what one participant sees, in order.

        Args:
            participant: The number of the participant.
        """
        trials = plan(
            self.design, self.methods, len(self._photos[TEST]), participant
        )
        found = []
        for trial in trials:
            use = PRACTICE if trial.kind == PRACTICE else TEST
            photo = self._photos[use][trial.photo]
            found.append((trial, self._pair_of[use, photo, trial.method]))
        return found

    def fake_side(self, file: str, mirrored: bool) -> Side:
        """Returns where the recoloured photo is seen.

        Args:
            file: The pair's.
            mirrored: Whether its halves change places.
        """
        fake = self.pairs[file].fake
        return other(fake) if mirrored else fake

    def halves(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Returns the true and the recoloured photo, uint8 (H, W, 3) each."""
        pixels = np.asarray(Image.open(self.path / PAIRS / pair.file))
        left, right = np.split(pixels, 2, axis=1)
        return (right, left) if pair.fake == LEFT else (left, right)

    @functools.cached_property
    def _photos(self) -> dict[str, list[str]]:
        """The names of the photos of each use, in a fixed order."""
        # A dictionary keeps the order, which a set does not.
        found: dict[str, dict[str, None]] = {PRACTICE: {}, TEST: {}}
        for pair in self.pairs.values():
            found[pair.use][pair.photo] = None
        return {use: list(photos) for use, photos in found.items()}

    @functools.cached_property
    def _pair_of(self) -> dict[tuple[str, str, str], Pair]:
        return {(p.use, p.photo, p.method): p for p in self.pairs.values()}

    def _check_pairs(self) -> None:
        """Refuses files that are not those that were written."""
        for pair in self.pairs.values():
            file = self.path / PAIRS / pair.file
            try:
                content = file.read_bytes()
            except OSError as error:
                raise UserError(
                    f"'{file}' cannot be read ({error.strerror}): make the "
                    "study again"
                ) from error
            if hashlib.sha256(content).hexdigest() != pair.sha256:
                raise UserError(
                    f"'{file}' has changed since the study was made: make it "
                    "again"
                )


def _identity(manifest: dict) -> str:
    """Returns what tells a study from all others: a hash of all of it."""
    text = json.dumps(manifest, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_pair(
    folder: Path,
    name: str,
    true: np.ndarray,
    fake: np.ndarray,
    fake_side: Side,
) -> str:
    """Writes a pair, and returns the sha256 of its file.

    Without loss: what gives the recoloured photo away shall be its colours.

    Args:
        folder: The study's.
        name: The file's.
        true: uint8 (H, W, 3).
        fake: The same in other colours.
        fake_side: Where `fake` stands.
    """
    halves = [fake, true] if fake_side == LEFT else [true, fake]
    path = folder / PAIRS / name
    Image.fromarray(np.concatenate(halves, axis=1)).save(path, "PNG")
    return hashlib.sha256(path.read_bytes()).hexdigest()
