"""Settings: the fields of a dataclass that a user sets, and their types."""

import dataclasses

from jsonargparse.typing import restricted_number_type

# What NumPy takes as a seed.
Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
# Above 0, and no infinity.
Rate = restricted_number_type("Rate", float, [(">", 0), ("<", float("inf"))])
# A factor on numbers of filters: no machine holds four times a paper's network.
Width = restricted_number_type("Width", float, [(">", 0), ("<=", 4)])
# From 0 to below 1.
Share = restricted_number_type("Share", float, [(">=", 0), ("<", 1)])


def settings(kind: type) -> list[dataclasses.Field]:
    """Returns the fields that a user sets.

    Fields marked `metadata={"setting": False}` are what a part has learnt.
    """
    return [
        field
        for field in dataclasses.fields(kind)
        if field.metadata.get("setting", True)
    ]
