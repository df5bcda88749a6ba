"""The answers of a study's participants, in SQLite as they come."""

from __future__ import annotations

import contextlib
import math
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from kcolor.errors import UserError
from kcolor.study.design import KINDS, SIDES, TEST, Side
from kcolor.study.folder import Study

VISIONS = ("normal", "deficient", "unknown")
# How far the time that a pair was seen may be from the one it is to be seen: a
# share, or a frame, of at most so many milliseconds.
OFF, LONGEST_FRAME = 0.25, 50.0
# What a browser's clock may be ahead of ours: a share, and milliseconds.
AHEAD, SLACK = 0.02, 100.0

_TABLES = """
CREATE TABLE study (id TEXT NOT NULL);
CREATE TABLE participants (
    number INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    joined TEXT NOT NULL,
    vision TEXT NOT NULL
);
CREATE TABLE trials (
    participant INTEGER NOT NULL REFERENCES participants,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    pair TEXT NOT NULL,
    mirrored INTEGER NOT NULL,
    shown TEXT,
    answered TEXT,
    chosen TEXT,
    shown_ms REAL,
    frame_ms REAL,
    reaction_ms REAL,
    PRIMARY KEY (participant, number)
) WITHOUT ROWID;
"""
# Of trials, those that `read` gives.
_COLUMNS = (
    *("participant", "number", "kind", "pair", "mirrored", "answered"),
    *("chosen", "shown_ms", "frame_ms", "reaction_ms"),
)

# Why a browser is refused, as HTTP has it: what it says is no sense, it is
# nobody's, comes when it may not, is of another study, or cannot be true.
SENSELESS, NOBODY, UNTIMELY, OTHER_STUDY, UNTRUE = 400, 403, 409, 410, 422


class Refused(Exception):
    """What a browser asks for is not allowed, and nothing was written.

    Args:
        status: Of HTTP.
        reason: One line.
    """

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What a browser says of one trial.

    Attributes:
        number: The trial's.
        chosen: The side that was taken for the fake.
        shown_ms: How long the photos were to be seen, by the browser's frames,
            in milliseconds.
        frame_ms: How long a frame takes, in milliseconds.
        reaction_ms: From the end of that to the answer, in milliseconds.

    Raises:
        Refused: It is none.
    """

    number: int
    chosen: Side
    shown_ms: float
    frame_ms: float
    reaction_ms: float

    def __post_init__(self):
        _check_number(self.number)
        if self.chosen not in SIDES:
            raise Refused(SENSELESS, "chosen is neither left nor right")
        for name in ("shown_ms", "frame_ms", "reaction_ms"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float)
            if isinstance(value, bool) or not is_number or not 0 <= value < 1e9:
                raise Refused(SENSELESS, f"{name} is no number of milliseconds")

    @classmethod
    def of(cls, said) -> Answer:
        """Returns the answer in what a browser sent."""
        names = list(cls.__dataclass_fields__)
        if not isinstance(said, dict) or sorted(said) != sorted(names):
            raise Refused(SENSELESS, f"an answer has {', '.join(names)}")
        return cls(**said)


@dataclass(frozen=True)
class Session:
    """Where a participant stands.

    Attributes:
        left: The trials that were not yet shown: number, kind, pair, mirrored.
        found: How many recoloured photos were found, of those in test trials.
        answered: How many of these were answered.
    """

    left: list[sqlite3.Row]
    found: int
    answered: int


class Answers:
    """The answers to a study.

    What a method has returned of is on the disk, whatever becomes of the
    process. All may be called by several threads at once.

    Args:
        study: The study.
        path: The file; by default the study's own.
        clock: Gives seconds, never less than before.

    Raises:
        UserError: The file holds the answers to another study, or none.
    """

    def __init__(
        self,
        study: Study,
        path: Path | str | None = None,
        clock=time.monotonic,
    ):
        self._study, self._clock = study, clock
        self._began: dict[tuple[int, int], float] = {}
        self._lock = threading.Lock()
        self._base = _connected(path or study.answers)
        try:
            with self._changing() as base:
                known = base.execute(
                    "SELECT count(*) FROM sqlite_master"
                ).fetchone()[0]
                if not known:
                    for statement in _TABLES.split(";"):
                        base.execute(statement)
                    base.execute("INSERT INTO study VALUES (?)", (study.id,))
                # Better now than when somebody answers.
                base.execute("UPDATE study SET id = id")
            _check_study(self._base, study)
        except sqlite3.DatabaseError as error:
            raise _unusable(study.answers, error) from error

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._base.close()

    def join(self, vision: str) -> str:
        """Adds a participant, and returns the token that stands for them.

        Args:
            vision: What they say of their colour vision, one of `VISIONS`.
        """
        if vision not in VISIONS:
            raise Refused(SENSELESS, f"vision is one of {', '.join(VISIONS)}")
        token = secrets.token_urlsafe(16)
        with self._changing() as base:
            number = base.execute(
                "INSERT INTO participants (token, joined, vision) "
                "VALUES (?, ?, ?)",
                (token, _now(), vision),
            ).lastrowid
            base.executemany(
                "INSERT INTO trials (participant, number, kind, pair, mirrored)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        number,
                        trial.number,
                        trial.kind,
                        pair.file,
                        trial.mirrored,
                    )
                    for trial, pair in self._study.plan(number)
                ],
            )
        return token

    def session(self, token: str) -> Session:
        """Returns where a participant stands.

        Raises:
            Refused: There is no such participant.
        """
        with self._changing() as base:
            trials = base.execute(
                "SELECT * FROM trials WHERE participant = ? ORDER BY number",
                (_participant(base, token),),
            ).fetchall()
        counted = [
            self._is_found(trial)
            for trial in trials
            if trial["answered"] and trial["kind"] == TEST
        ]
        left = [trial for trial in trials if not trial["shown"]]
        return Session(left, sum(counted), len(counted))

    def show(self, token: str, number: int) -> None:
        """Notes that a participant is about to see a pair.

        From then on it counts as seen, whatever becomes of the browser.

        Raises:
            Refused: It is not their next one.
        """
        _check_number(number)
        with self._changing() as base:
            participant = _participant(base, token)
            (following,) = base.execute(
                "SELECT min(number) FROM trials "
                "WHERE participant = ? AND shown IS NULL",
                (participant,),
            ).fetchone()
            if number != following:
                raise Refused(UNTIMELY, f"pair {number} is not the next one")
            base.execute(
                "UPDATE trials SET shown = ? "
                "WHERE participant = ? AND number = ?",
                (_now(), participant, number),
            )
            self._began[participant, number] = self._clock()

    def answer(self, token: str, answer: Answer, timed: bool = True) -> bool:
        """Keeps an answer, and returns whether the fake was found.

        Args:
            token: The participant's.
            answer: The answer.
            timed: Whether photos are shown for the study's time.

        Raises:
            Refused: The pair was never shown or is answered already, or the
                times cannot be true.
        """
        with self._changing() as base:
            participant = _participant(base, token)
            trial = base.execute(
                "SELECT * FROM trials WHERE participant = ? AND number = ?",
                (participant, answer.number),
            ).fetchone()
            if trial is None or not trial["shown"]:
                raise Refused(UNTIMELY, f"pair {answer.number} was never shown")
            if trial["answered"]:
                raise Refused(
                    UNTIMELY, f"pair {answer.number} is answered already"
                )
            if timed:
                self._check_times(participant, answer)
            base.execute(
                "UPDATE trials SET answered = ?, chosen = ?, shown_ms = ?, "
                "frame_ms = ?, reaction_ms = ? "
                "WHERE participant = ? AND number = ?",
                (
                    _now(),
                    answer.chosen,
                    answer.shown_ms,
                    answer.frame_ms,
                    answer.reaction_ms,
                    participant,
                    answer.number,
                ),
            )
            self._began.pop((participant, answer.number), None)
        return answer.chosen == self._fake_side(trial)

    def _check_times(self, participant: int, answer: Answer) -> None:
        due = 1000 * self._study.design.seconds
        frame = min(answer.frame_ms, LONGEST_FRAME)
        if abs(answer.shown_ms - due) > max(OFF * due, frame):
            raise Refused(
                UNTRUE,
                f"shown for {answer.shown_ms:.0f} ms instead of {due:.0f}",
            )
        began = self._began.get((participant, answer.number))
        if began is None:
            return  # this process did not see it begin
        passed = 1000 * (self._clock() - began)
        claimed = answer.shown_ms + answer.reaction_ms
        if claimed * (1 - AHEAD) > passed + SLACK:
            raise Refused(
                UNTRUE,
                f"answered after {claimed:.0f} ms, of which {passed:.0f} have "
                "passed",
            )

    def _is_found(self, trial: sqlite3.Row) -> bool:
        return trial["chosen"] == self._fake_side(trial)

    def _fake_side(self, trial: sqlite3.Row) -> Side:
        return self._study.fake_side(trial["pair"], bool(trial["mirrored"]))

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Yields the base in a transaction, which an exception takes back."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                # SQLite itself has taken back what found the disk full.
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise


def read(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the participants and all trials that were shown to them.

    Trials have what is known of their pair beside what was answered: `method`,
    `photo`, `fake`, the side of the recoloured photo, and `fooled`, whether the
    true photo was taken for it.

    Raises:
        UserError: Nobody has taken part yet, or the file is not the study's.
    """
    if not study.answers.exists():
        raise UserError(
            f"nobody has taken part in '{study.path}' yet: let people do so "
            "with kcolor-study serve"
        )
    try:
        with contextlib.closing(_reading(study.answers)) as base:
            _check_study(base, study)
            base.execute("BEGIN")  # both tables as they are now
            participants = pd.read_sql_query(
                "SELECT number, joined, vision FROM participants", base
            )
            trials = pd.read_sql_query(
                f"SELECT {', '.join(_COLUMNS)} FROM trials "
                "WHERE shown IS NOT NULL",
                base,
            )
    except (sqlite3.DatabaseError, pd.errors.DatabaseError) as error:
        raise _unusable(study.answers, error) from error
    _check_rows(study, participants, trials)
    pairs = [study.pairs[file] for file in trials["pair"]]
    trials["method"] = [pair.method for pair in pairs]
    trials["photo"] = [pair.photo for pair in pairs]
    trials["fake"] = [
        study.fake_side(file, bool(mirrored))
        for file, mirrored in zip(
            trials["pair"], trials["mirrored"], strict=True
        )
    ]
    trials["fooled"] = trials["chosen"] != trials["fake"]
    return participants, trials


def _connected(path: Path | str) -> sqlite3.Connection:
    try:
        base = sqlite3.connect(
            path, timeout=60, isolation_level=None, check_same_thread=False
        )
        base.row_factory = sqlite3.Row
        tables = base.execute("SELECT name FROM sqlite_master").fetchall()
        if tables and "study" not in [table["name"] for table in tables]:
            # Before anything is written to what is another program's.
            base.close()
            raise sqlite3.DatabaseError("it has other tables")
        # A power cut may not take what was acknowledged, either.
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from error
    return base


def _reading(path: Path) -> sqlite3.Connection:
    """Opens a base that may lie where nothing can be written."""
    address = path.resolve().as_uri()
    base = sqlite3.connect(f"{address}?mode=ro", timeout=60, uri=True)
    try:
        base.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        base.close()
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            # Some answers are there alone.
            raise UserError(
                f"'{path}' cannot be read where nothing can be written "
                f"({error}): copy it with '{log.name}' to another folder"
            ) from error
        base = sqlite3.connect(f"{address}?immutable=1", uri=True)
    base.row_factory = sqlite3.Row
    return base


def _check_study(base: sqlite3.Connection, study: Study) -> None:
    found = base.execute("SELECT id FROM study").fetchone()
    if found is None or found["id"] != study.id:
        raise UserError(
            f"'{study.answers}' holds answers to another study: this one was "
            "made anew, so move them away"
        )


def _check_rows(
    study: Study, participants: pd.DataFrame, trials: pd.DataFrame
) -> None:
    """Refuses what this program cannot have written."""
    answered = trials[trials["answered"].notna()]
    times = answered[["shown_ms", "frame_ms", "reaction_ms"]]
    is_time = times.map(lambda ms: isinstance(ms, float) and 0 <= ms < math.inf)
    is_written = (
        trials["participant"].isin(participants["number"]).all()
        and participants["vision"].isin(VISIONS).all()
        and trials["pair"].isin(study.pairs).all()
        and trials["kind"].isin(KINDS).all()
        and trials["mirrored"].isin([0, 1]).all()
        and answered["chosen"].isin(SIDES).all()
        and is_time.all(axis=None)
    )
    if not is_written:
        raise UserError(
            f"'{study.answers}' was changed by hand or is damaged: it holds "
            "what no participant can have said"
        )


def _unusable(path: Path | str, error: Exception) -> UserError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL")):
        return UserError(f"'{path}' cannot be written ({error})")
    return UserError(f"'{path}' holds no answers of a study ({error})")


def _participant(base: sqlite3.Connection, token: str) -> int:
    found = base.execute(
        "SELECT number FROM participants WHERE token = ?", (token,)
    ).fetchone()
    if found is None:
        raise Refused(NOBODY, "no such participant")
    return found["number"]


def _check_number(number) -> None:
    if not isinstance(number, int) or not 0 < number < 2**31 or number is True:
        raise Refused(SENSELESS, "number is no whole number above 0")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
