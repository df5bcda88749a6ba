"""Figures as JSON, which knows no nan."""

from __future__ import annotations

import json
import math


def to_json(figures: dict) -> str:
    """Returns figures as JSON, null where one is no number.

    Example:

    >>> print(to_json({"psnr": float("nan"), "n": [2]}), end="")
    {
      "psnr": null,
      "n": [
        2
      ]
    }
    """

    def plain(part):
        if isinstance(part, dict):
            return {name: plain(value) for name, value in part.items()}
        if isinstance(part, list):
            return [plain(value) for value in part]
        is_number = not isinstance(part, float) or math.isfinite(part)
        return part if is_number else None

    return json.dumps(plain(figures), indent=2, allow_nan=False) + "\n"
