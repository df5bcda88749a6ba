"""What a participant is asked, and whose answers count: fixed beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kcolor.errors import UserError

# What vigilance trials show beside the truth: another photo's colours.
SHUFFLED = "shuffled"
PRACTICE, TEST, VIGILANCE = KINDS = ("practice", "test", "vigilance")
LEFT, RIGHT = SIDES = ("left", "right")
Kind = Literal["practice", "test", "vigilance"]
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Design:
    """What decides a study besides its photos.

    Attributes:
        seed: Of photos, sides and order.
        practice: Trials with feedback, which do not count.
        trials: Trials without, vigilance among them.
        vigilance: Share of the trials that show shuffled colours, which nobody
            who looks takes for true.
        seconds: How long both photos are shown.
        least_vigilance: Who finds a lesser share of these does not count.
        fastest: Answers that take less do not count, in milliseconds after the
            photos are gone.

    Raises:
        UserError: A value is not allowed.

    Reference:
        Zhang, Isola and Efros 2016, "Colorful Image Colorization", section 3.1.
    """

    seed: int
    practice: int = 10
    trials: int = 40
    vigilance: float = 0.1
    seconds: float = 1.0
    least_vigilance: float = 0.75
    fastest: float = 200.0

    def __post_init__(self):
        ranges = {
            "seed": (0, 2**63 - 1),
            "practice": (0, 1000),
            "trials": (1, 1000),
            "vigilance": (0.0, 0.9),
            "seconds": (0.05, 60.0),
            "least_vigilance": (0.0, 1.0),
            "fastest": (0.0, 60_000.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                flag = name.replace("_", "-")
                raise UserError(
                    f"--{flag} {value} is not allowed: give {low} to {high}"
                )
        if self.vigilance and not self.vigilance_trials:
            raise UserError(
                f"--vigilance {self.vigilance} of {self.trials} trials is none:"
                " give more, or 0 to go without"
            )

    @property
    def vigilance_trials(self) -> int:
        """How many of a participant's trials are vigilance trials."""
        return round(self.vigilance * self.trials)

    @property
    def photos(self) -> int:
        """How many photos a participant sees, none of them twice."""
        return self.practice + self.trials

    def to_dict(self) -> dict[str, float]:
        """Returns the fields by name."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Trial:
    """One pair as one participant sees it.

    Attributes:
        number: Its place, from 1.
        kind: "practice", "test" or "vigilance".
        photo: The number of its photo: among those for practice, or among the
            others.
        method: Whose colours stand beside the true ones.
        mirrored: Whether the halves of the pair change places.
    """

    number: int
    kind: Kind
    photo: int
    method: str
    mirrored: bool


def plan(
    design: Design, methods: Sequence[str], photos: int, participant: int
) -> list[Trial]:
    """Returns what one participant sees, in order, the same each time.

    Photo, order and side are random. Each method has as many trials as any
    other, or one more; who has one more goes round the participants.

    Args:
        design: The study's.
        methods: Their names.
        photos: How many there are beside those for practice.
        participant: The number of the participant.

    Example:

    >>> design = Design(seed=0, practice=2, trials=6, vigilance=0.2)
    >>> trials = plan(design, ["one", "two"], photos=9, participant=1)
    >>> [trial.kind for trial in trials].count("vigilance")
    1
    >>> len({trial.photo for trial in trials[2:]})
    6
    """
    random = np.random.default_rng([design.seed, participant])
    watched = design.vigilance_trials
    practice = _dealt(methods, design.practice, participant)
    tests = _dealt(methods, design.trials - watched, participant)
    shown = [(PRACTICE, method) for method in random.permutation(practice)]
    counted = [(TEST, method) for method in tests]
    counted += [(VIGILANCE, SHUFFLED)] * watched
    shown += [counted[row] for row in random.permutation(len(counted))]
    rows = [
        *random.permutation(design.practice),
        *random.permutation(photos)[: design.trials],
    ]
    sides = random.integers(2, size=len(shown))
    return [
        Trial(number, kind, int(row), str(method), bool(side))
        for number, ((kind, method), row, side) in enumerate(
            zip(shown, rows, sides, strict=True), 1
        )
    ]


def other(side: Side) -> Side:
    """Returns the other side.

    Example:

    >>> other("left")
    'right'
    """
    return LEFT if side == RIGHT else RIGHT


def _dealt(methods: Sequence[str], count: int, turn: int) -> list[str]:
    """Returns so many methods, each as often as any other, or once more."""
    each, more = divmod(count, len(methods))
    favoured = [methods[(turn * more + n) % len(methods)] for n in range(more)]
    return [*methods] * each + favoured
