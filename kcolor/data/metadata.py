"""What a photo file says beside its pixels: EXIF and resolution."""

from __future__ import annotations

import contextlib
import io
import re
import struct

from PIL import ExifTags, Image

from kcolor.data import photos

EXIF_START = b"Exif\0\0"

# Tags that say something of the photo, rather than how a file holds it.
DESCRIPTIVE_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Rating,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
    ExifTags.Base.Copyright,
)


def of(
    encoded: bytes,
    image: Image.Image | photos.RareTiff,
    size: tuple[int, int],
) -> tuple[bytes | None, tuple[float, float] | None]:
    """Returns EXIF and resolution; None for what is missing or broken.

    Args:
        encoded: Content of the file.
        image: The same, loaded.
        size: Height and width of the upright photo.
    """
    exif = dpi = None
    with contextlib.suppress(*photos.FAULTS):
        if image.format == "TIFF":
            tags = Image.Exif()
            tags.load_from_fp(io.BytesIO(encoded))
            exif = _exif_of_tags(tags, size)
            dpi = _dpi_of_tags(tags)
        elif image.info.get("exif"):
            exif = _upright_exif(image.info["exif"], size)
        else:  # a PNG can have it as text
            exif = _exif_of_tags(image.getexif(), size)
    with contextlib.suppress(*photos.FAULTS):
        dpi = tuple(float(side) for side in dpi or image.info["dpi"])
        # A file that knows none says 0, or 1.
        if not all(1 < side < 2**16 for side in dpi):
            dpi = None
    return exif, dpi


def _upright_exif(exif: bytes, size: tuple[int, int]) -> bytes:
    """Makes EXIF true of an upright photo without a thumbnail.

    Nothing in it moves: the notes of cameras, which only their makers can
    rewrite, point to places in the whole.

    Args:
        exif: As a file has it.
        size: Height and width of the upright photo.
    """
    block = bytearray(re.sub(rb"^(Exif\0\0)+", b"", exif))
    order = {b"II": "<", b"MM": ">"}[bytes(block[:2])]

    def number(place: int) -> int:
        return struct.unpack_from(order + "I", block, place)[0]

    def directory(start: int) -> tuple[dict[int, int], int]:
        """Returns the place of each tag's entry, and their end."""
        (count,) = struct.unpack_from(order + "H", block, start)
        end = start + 2 + 12 * count
        places = range(start + 2, end, 12)
        tags = [struct.unpack_from(order + "H", block, at)[0] for at in places]
        return dict(zip(tags, places, strict=True)), end

    def replace(places: dict[int, int], tag: int, kind: str, value: int):
        if tag in places:
            code = {"H": 3, "I": 4}[kind]
            entry = struct.pack(order + "HHI" + kind, tag, code, 1, value)
            block[places[tag] : places[tag] + 12] = entry.ljust(12, b"\0")

    places, end = directory(number(4))
    replace(places, ExifTags.Base.Orientation, "H", 1)
    with contextlib.suppress(struct.error):
        if ExifTags.IFD.Exif in places:
            inner, _ = directory(number(places[ExifTags.IFD.Exif] + 8))
            height, width = size
            replace(inner, ExifTags.Base.ExifImageWidth, "I", width)
            replace(inner, ExifTags.Base.ExifImageHeight, "I", height)
    with contextlib.suppress(struct.error, KeyError):
        thumbnail, _ = directory(number(end))
        block[end : end + 4] = bytes(4)
        start = number(thumbnail[ExifTags.Base.JpegIFOffset] + 8)
        length = number(thumbnail[ExifTags.Base.JpegIFByteCount] + 8)
        if not block.startswith(b"\xff\xd8", start):
            pass  # no JPEG: who knows what lies there
        elif start + length >= len(block):
            del block[start:]
        else:
            block[start : start + length] = bytes(length)
    return EXIF_START + bytes(block)


def described(tags: Image.Exif) -> dict:
    """Returns the tags that hold for a photo in whatever file."""
    described = {tag: tags[tag] for tag in DESCRIPTIVE_TAGS if tag in tags}
    for group in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if inner := dict(tags.get_ifd(group)):
            # A place in the old file, of nothing about the photo.
            inner.pop(ExifTags.IFD.Interop, None)
            described[group] = inner
    return described


def _exif_of_tags(tags: Image.Exif, size: tuple[int, int]) -> bytes | None:
    """Makes EXIF of a TIFF's tags."""
    exif = Image.Exif()
    for tag, value in described(tags).items():
        exif[tag] = value
    if not exif:
        return None
    exif[ExifTags.Base.Orientation] = 1
    inner = exif.get(ExifTags.IFD.Exif, {})
    for tag, side in zip(
        (ExifTags.Base.ExifImageHeight, ExifTags.Base.ExifImageWidth),
        size,
        strict=True,
    ):
        if tag in inner:
            inner[tag] = side
    return exif.tobytes()


def _dpi_of_tags(tags: Image.Exif) -> tuple[float, float]:
    per_inch = 2.54 if tags.get(ExifTags.Base.ResolutionUnit) == 3 else 1
    return (
        float(tags[ExifTags.Base.XResolution]) * per_inch,
        float(tags[ExifTags.Base.YResolution]) * per_inch,
    )
