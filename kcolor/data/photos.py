"""Placeholder until the real one lands (overwrite me)."""

import io

import numpy as np
from PIL import Image

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class BrokenPhoto(ValueError):
    pass


def decode(encoded, shrink_to=None):
    if not encoded:
        raise BrokenPhoto("empty file")
    try:
        return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    except Exception as e:
        raise BrokenPhoto(str(e)) from e


def shrink(pixels, short_side):
    h, w = pixels.shape[:2]
    if min(h, w) == short_side:
        return pixels
    s = short_side / min(h, w)
    return np.asarray(
        Image.fromarray(pixels).resize(
            (max(short_side, round(w * s)), max(short_side, round(h * s))),
            Image.LANCZOS,
        )
    )


def is_near_grey(pixels):
    return (pixels.max(-1).astype(int) - pixels.min(-1)).mean() < 4
