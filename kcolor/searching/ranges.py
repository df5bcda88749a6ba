"""Ranges: the values that a search may give a setting."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kcolor.errors import UserError

DIGITS = 4  # of a number from a range: as many as a reader can tell apart
FORMS = (
    "write a list of values, 'boolean', {int: [1, 8]} or {float: [0.0, 0.5]}"
)


@dataclass(frozen=True)
class Choice:
    """One of some values.

    Args:
        values: The values, of any type that a setting has.
    """

    values: tuple

    @property
    def ends(self) -> tuple:
        """The values to check before a search, for all the others."""
        return self.values

    def declare(self, ranges, name: str) -> None:
        """Adds the range to the `HyperParameters` of keras-tuner."""
        if set(self.values) == {False, True}:
            ranges.Boolean(name)
        else:
            values = self.encoded(self.values)
            ranges.Choice(name, values, ordered=self._is_ordered)

    def encoded(self, values: Iterable) -> list:
        """Returns values as keras-tuner has them, which are of one type."""
        if set(self.values) == {False, True} or self._is_ordered:
            return list(values)
        return [str(value) for value in values]

    def plain(self, value) -> Any:
        """Returns the setting that keras-tuner's value stands for."""
        if self._is_ordered:  # and perhaps in float32, on its way to a worker
            return min(self.values, key=lambda ours: abs(ours - value))
        return self.values[self.encoded(self.values).index(value)]

    def number(self, setting) -> float:
        """Returns a number for each setting, in the order of the values."""
        return float(self.values.index(setting))

    @property
    def _is_ordered(self) -> bool:
        kinds = {type(value) for value in self.values}
        return len(kinds) == 1 and kinds <= {int, float}

    def written(self) -> dict:
        """Returns what `read_range` makes this of."""
        return {"choice": list(self.values)}


@dataclass(frozen=True)
class Numbers:
    """All numbers between two, both included.

    Args:
        kind: "int" or "float".
        low: The least.
        high: The greatest.
        step: Distance of neighbours; with `log` their ratio; None for all.
        log: Whether each order of magnitude is as likely as the next.
    """

    kind: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def ends(self) -> tuple:
        """The values to check before a search, for all the others."""
        return (self.low, self.high)

    def declare(self, ranges, name: str) -> None:
        """Adds the range to the `HyperParameters` of keras-tuner."""
        add = ranges.Int if self.kind == "int" else ranges.Float
        sampling = "log" if self.log else "linear"
        add(name, self.low, self.high, step=self.step, sampling=sampling)

    def plain(self, value) -> float:
        """Returns the setting that keras-tuner's value stands for.

        Rounded, so that a value is the same whether or not it crossed the
        network in float32, and is read with ease.
        """
        if self.kind == "int":
            return int(value)
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def number(self, setting) -> float:
        """Returns a number for each setting: itself."""
        return float(setting)

    def written(self) -> dict:
        """Returns what `read_range` makes this of."""
        options = {"step": self.step} if self.step is not None else {}
        return {self.kind: [self.low, self.high], **options, "log": self.log}


def read_range(written) -> Choice | Numbers:
    """Returns the range that a space file describes.

    Args:
        written: A list of values, `boolean`, or a mapping: `choice` and a list,
            or `int` or `float` and the least and the greatest, with `step` and
            `log` if wanted.

    Raises:
        UserError: It is none of these, or is empty.

    Example:

    >>> read_range(["l2", "ce"])
    Choice(values=('l2', 'ce'))
    >>> read_range({"float": [1e-4, 1e-2], "log": True})
    Numbers(kind='float', low=0.0001, high=0.01, step=None, log=True)
    """
    if written == "boolean":
        return Choice((False, True))
    if isinstance(written, list):
        return _choice(written)
    if not isinstance(written, Mapping):
        raise UserError(f"'{written}' is no range: {FORMS}")
    kinds = [kind for kind in ("choice", "int", "float") if kind in written]
    if len(kinds) != 1:
        raise UserError(f"{dict(written)} is no range: {FORMS}")
    (kind,) = kinds
    known = {kind} if kind == "choice" else {kind, "step", "log"}
    for key in written:
        if key not in known:
            raise UserError(
                f"a range has no '{key}': beside {kind} there may be "
                f"{' and '.join(sorted(known - {kind}) + ['when'])}"
            )
    if kind == "choice":
        return _choice(written["choice"])
    return _numbers(kind, **{"limits": written[kind], **_options(written)})


def _choice(values) -> Choice:
    if not isinstance(values, list) or not values:
        raise UserError("the choice is empty: name one value at least")
    for number, value in enumerate(values):
        if value is None or isinstance(value, list | dict):
            raise UserError(f"{value} is no value of a setting")
        if value in values[:number]:
            raise UserError(f"'{value}' is there twice: name each value once")
    return Choice(tuple(values))


def _options(written: Mapping) -> dict:
    return {key: written[key] for key in ("step", "log") if key in written}


def _numbers(kind: str, limits, step=None, log=False) -> Numbers:
    wanted = numbers.Integral if kind == "int" else numbers.Real

    def fits(value) -> bool:
        return (
            isinstance(value, wanted)
            and not isinstance(value, bool)
            and math.isfinite(value)
        )

    if not isinstance(limits, list) or len(limits) != 2:
        raise UserError(f"{kind} takes two numbers, the least and the greatest")
    for value in limits:
        if not fits(value):
            what = "whole number" if kind == "int" else "number"
            raise UserError(f"'{value}' is no {what}")
    low, high = limits
    if low > high:
        raise UserError(f"the range from {low} to {high} is empty: swap them")
    if not isinstance(log, bool):
        raise UserError(f"log is true or false, not '{log}'")
    if log and low <= 0:
        raise UserError(f"with log, the least must be above 0, not {low}")
    if step is not None and (not fits(step) or step <= (1 if log else 0)):
        least = "1, as a ratio" if log else "0"
        raise UserError(f"step must be above {least}, not '{step}'")
    if kind == "float":
        low, high = float(low), float(high)
    return Numbers(kind, low, high, step, log)
