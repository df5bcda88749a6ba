"""Settings: the fields of a dataclass that a user sets, and their types."""

import dataclasses
import numbers
from typing import Literal, get_args, get_origin, get_type_hints

from jsonargparse.typing import restricted_number_type

from kcolor.errors import UserError

# What NumPy takes as a seed.
Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
# What float32 still holds: no infinity, and no number that becomes one.
LARGEST = 1e38
NonNegative = restricted_number_type(
    "NonNegative", float, [(">=", 0), ("<=", LARGEST)]
)
Positive = restricted_number_type(
    "Positive", float, [(">", 0), ("<=", LARGEST)]
)
# Parts of a network or a distribution: no machine holds more.
Count = restricted_number_type("Count", int, [(">=", 1), ("<=", 4096)])
# Times that a network halves the photo: at 12 it must have 4,096 pixels.
Depth = restricted_number_type("Depth", int, [(">=", 1), ("<=", 12)])
# A factor on numbers of filters: no machine holds four times a paper's network.
Width = restricted_number_type("Width", float, [(">", 0), ("<=", 4)])
# Of hyperband: what does not grow is no rung.
Factor = restricted_number_type("Factor", int, [(">=", 2), ("<=", 100)])
Rungs = restricted_number_type("Rungs", int, [(">=", 1), ("<=", 8)])
# From 0 to below 1.
Share = restricted_number_type("Share", float, [(">=", 0), ("<", 1)])


class Checked:
    """Refuses settings that are not what their types say.

    As the command line does, for parts that are made in Python.
    """

    def __post_init__(self):
        types = get_type_hints(type(self))
        for field in settings(type(self)):
            value = getattr(self, field.name)
            if not is_of(value, types[field.name]):
                raise UserError(
                    f"{field.name} of {self.name} cannot be {value!r}"
                )


def is_of(value, type_: type) -> bool:
    """Returns whether a value is of a type, and in its range."""
    if get_origin(type_) is Literal:
        return any(
            value == choice and type(value) is type(choice)
            for choice in get_args(type_)
        )
    if get_args(type_):
        return any(is_of(value, part) for part in get_args(type_))
    if type_ is bool:
        return isinstance(value, bool)
    if issubclass(type_, int) and not isinstance(value, numbers.Integral):
        return False
    try:
        return type_(value) == value
    except (TypeError, ValueError):
        return False


def settings(kind: type) -> list[dataclasses.Field]:
    """Returns the fields that a user sets.

    Fields marked `metadata={"setting": False}` are what a part has learnt.
    """
    return [
        field
        for field in dataclasses.fields(kind)
        if field.metadata.get("setting", True)
    ]
