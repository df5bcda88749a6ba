"""Photo files read with all that is to be kept, and written again in colour.

Whoever has a photo coloured wants it back as it was but for the colours: its
depth, its transparency, when and where it was taken. What a photo looks like is
decided in `photos.py`; here stands what else there is to a file.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from kcolor.data import metadata, photos
from kcolor.errors import UserError, unknown
from kcolor.late import tf

# The suffixes of files that can be written, and what they hold.
WRITABLE = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}

# The most pixels a side that a format can hold.
_LONGEST_SIDES = {"JPEG": 65_500, "WEBP": 16_383}

_DEEP_FORMATS = ("PNG", "TIFF")

# No difference from the colours that were meant is to be seen.
_QUALITY = 95

# zlib's own 6 makes a photo a tenth smaller in three times the time.
_COMPRESS_LEVEL = 3

# Levels, of 255, between the colours that a transform is asked for.
_LATTICE_STEP = 5

# Of a TIFF's strips, before they are compressed.
_STRIP_BYTES = 2**18

_JPEGS_MOST_EXIF_BYTES = 65_533

# Pillow's names of byte orders, little, big and native, and of their opposites.
_OPPOSITES = {
    "L": "B",
    "B": "L",
    "N": "B" if sys.byteorder == "little" else "L",
}


# Samples and alpha of an `Original`.
_Picture = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Original:
    """A photo file with all of it that is to be kept.

    Args:
        samples: uint8 or uint16, (H, W, 1) grey or (H, W, 3) sRGB, upright.
        alpha: (H, W) of the same type, 0 where it is transparent; None where
            the file knows no transparency. The samples are not multiplied by
            it.
        exif: The file's EXIF, made true of the samples: its orientation is
            upright, its thumbnail gone.
        dpi: Pixels per inch across and down, in the file as it lay.
        format: What the file was: `"JPEG"`, `"PNG"`, `"WEBP"`, `"BMP"`,
            `"GIF"` or `"TIFF"`.
    """

    samples: np.ndarray
    alpha: np.ndarray | None
    exif: bytes | None
    dpi: tuple[float, float] | None
    format: str


def read(encoded: bytes) -> Original:
    """Reads one photo file, whatever its name.

    It looks as `photos.decode` has it look, but grey stays grey, transparency
    is kept apart, and more than 8 bits become 16, white staying white. CMYK,
    Lab and palettes become RGB of 8 bits. Colours are brought from their
    profile to sRGB.

    Args:
        encoded: Content of a JPEG, PNG, WebP, BMP, GIF or TIFF file.

    Raises:
        BrokenPhoto: For what `photos.decode` calls broken.

    Example:

    >>> file = io.BytesIO()
    >>> Image.new("LA", (3, 2), (90, 255)).save(file, "PNG")
    >>> original = read(file.getvalue())
    >>> original.format, original.samples.shape, original.alpha.shape
    ('PNG', (2, 3, 1), (2, 3))
    """
    with photos.naming_faults():
        image = photos.open_image(encoded)
        if isinstance(image, photos.RareTiff) and image.depth <= 8:
            image = image.in_8_bits()
        if isinstance(image, photos.RareTiff):
            samples, alpha = _from_rare_tiff(image)
        else:
            samples, alpha = _from_image(encoded, image)
        exif, dpi = metadata.of(encoded, image, samples.shape[:2])
    # A JPEG with others behind it, e.g. its preview, is another to Pillow.
    file_format = "JPEG" if image.format == "MPO" else image.format
    return Original(samples, alpha, exif, dpi, file_format)


def encode(rgb: np.ndarray, original: Original, suffix: str) -> bytes:
    """Writes a photo that was coloured, with what its original had besides.

    PNG and TIFF take 16 bits, the others 8. JPEG and BMP know no transparency:
    there the photo is laid on white. JPEG and WebP lose what no one sees.

    EXIF is written as it was read, but left out of a JPEG where it is larger
    than 64 KiB, and of every BMP. A TIFF gets the tags of authors, camera, its
    settings, dates and place.

    Args:
        rgb: uint8 or uint16 (H, W, 3) sRGB, upright.
        original: What was read.
        suffix: One of `WRITABLE`, in small or capital letters.

    Returns:
        The content of the file.

    Raises:
        UserError: The format cannot be written, or holds no photo so large.

    Example:

    >>> grey = np.full((2, 3, 1), 99, np.uint8)
    >>> original = Original(grey, None, None, (300, 300), "JPEG")
    >>> file = encode(grey.repeat(3, -1), original, ".png")
    >>> read(file).samples[0, 0].tolist()
    [99, 99, 99]
    """
    file_format = WRITABLE.get(suffix.lower())
    if file_format is None:
        raise unknown("suffix of a picture", suffix, WRITABLE)
    longest = _LONGEST_SIDES.get(file_format, math.inf)
    if max(rgb.shape) > longest:
        raise UserError(
            f"{file_format} holds at most {longest} pixels a side, this photo "
            f"has {max(rgb.shape)}: write a .png or .tif"
        )
    if file_format not in _DEEP_FORMATS:
        rgb = _in_type(rgb, np.uint8)
    alpha = original.alpha
    if alpha is not None:
        alpha = _in_type(alpha, rgb.dtype)
    if file_format == "TIFF":
        return _tiff(rgb, alpha, original)
    if rgb.dtype == np.uint16:
        return _deep_png(rgb, alpha, original)
    return _shallow(rgb, alpha, original, file_format)


def suffix_for(path: str | Path) -> str:
    """Returns the suffix of a file for the coloured photo of another.

    That file's own, or .png for a GIF, whose 256 colours are too few.

    Example:

    >>> suffix_for("family/1931.JPG"), suffix_for("smile.gif")
    ('.JPG', '.png')
    """
    suffix = Path(path).suffix
    return suffix if suffix.lower() in WRITABLE else ".png"


# === Pixels ===


def _from_rare_tiff(tiff: photos.RareTiff) -> _Picture:
    samples, alpha = tiff.levels(np.uint16)
    return _upright(samples, alpha, tiff.icc, tiff.orientation)


def _from_image(encoded: bytes, image: Image.Image) -> _Picture:
    rawmode = _deep_rawmode(image)
    image.load()
    orientation = photos.orientation(image)
    profile = image.info.get("icc_profile")
    if rawmode and _is_in_planes(image):
        # Of planes, Pillow tells 8 bits and no others.
        try:
            return _from_rare_tiff(photos.RareTiff.read(encoded))
        except photos.FAULTS:
            rawmode = None
    if rawmode:
        samples, alpha = _deep_colours(encoded, image, rawmode)
        return _upright(samples, alpha, profile, orientation)
    if photos.is_deep_grey(image):
        samples = photos.deep_grey(image, np.uint16)[..., np.newaxis]
        alpha = _transparency(samples, image)
        return _upright(samples, alpha, profile, orientation)

    colours, alpha = photos.colours_and_alpha(image)
    turn = photos.TURNS.get(orientation)
    if turn is not None:
        colours = colours.transpose(turn)
        alpha = alpha and alpha.transpose(turn)
    samples = np.asarray(colours)
    if samples.ndim == 2:
        samples = samples[..., np.newaxis]
    return samples, None if alpha is None else np.asarray(alpha)


def _deep_rawmode(image: Image.Image) -> str | None:
    """Returns Pillow's name of how a file holds colours of 16 bits.

    Args:
        image: Opened, not yet loaded.

    Returns:
        E.g. `"RGB;16B"`; None where the file holds 8 bits, or grey alone.
    """
    if image.format not in _DEEP_FORMATS or not getattr(image, "tile", None):
        return None
    arguments = image.tile[0].args
    rawmode = arguments if isinstance(arguments, str) else arguments[0]
    is_deep = re.fullmatch("(LA|RGB|RGBX|RGBA|RGBa);16[LBN]", rawmode)
    return rawmode if is_deep else None


def _is_in_planes(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return tags.get(ExifTags.Base.PlanarConfiguration) == 2


def _deep_colours(
    encoded: bytes, image: Image.Image, rawmode: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decodes colours of 16 bits, of which Pillow keeps the higher 8.

    Args:
        encoded: Content of the file.
        image: The same, loaded.
        rawmode: Pillow's name of how the file holds them.

    Returns:
        uint16 (H, W, 1) or (H, W, 3), and alpha (H, W) or None.
    """
    if rawmode.startswith("LA"):  # a pixel has four bytes, as RGBA has
        samples = _decoded(encoded, "RGBA").view(">u2").astype(np.uint16)
    else:
        # Who mistakes the order of two bytes takes the lower for the higher.
        higher = rawmode.replace("a", "A")
        lower = higher[:-1] + _OPPOSITES[higher[-1]]
        samples = _decoded(encoded, higher).astype(np.uint16)
        samples <<= 8
        samples |= _decoded(encoded, lower)
    if samples.shape[-1] == 3:
        return samples, _transparency(samples, image)
    colours, alpha = samples[..., :-1], samples[..., -1]
    if "a" in rawmode:
        colours = photos.divide_by_alpha(colours, alpha)
    return colours, alpha


def _decoded(encoded: bytes, rawmode: str) -> np.ndarray:
    """Decodes a file as if it held its samples in another way.

    Returns:
        uint8 (H, W, B).
    """
    image = photos.open_image(encoded)
    image.tile = [
        tile._replace(
            args=rawmode
            if isinstance(tile.args, str)
            else (rawmode, *tile.args[1:])
        )
        for tile in image.tile
    ]
    image.load()
    return np.asarray(image)


def _transparency(samples: np.ndarray, image: Image.Image) -> np.ndarray | None:
    """Returns the alpha of a PNG that has one colour that is transparent."""
    colour = image.info.get("transparency")
    if colour is None:
        return None
    is_opaque = (samples != np.array(colour, np.uint16)).any(-1)
    return is_opaque * np.uint16(2**16 - 1)


def _upright(
    samples: np.ndarray,
    alpha: np.ndarray | None,
    profile: bytes | None,
    orientation: int,
) -> _Picture:
    """Turns samples of 16 bits, and brings them to sRGB."""
    source = photos.foreign_profile(profile)
    space = None
    with contextlib.suppress(AttributeError, ValueError):  # none, damaged
        space = source.profile.xcolor_space.strip()
    if samples.shape[-1] == 1 and space == "GRAY":
        samples = _grey_curve(source)[samples]
    elif samples.shape[-1] == 3 and space == "RGB":
        samples = _through_lattice(samples, source)

    turn = photos.TURNS.get(orientation)
    if turn is not None:
        # By Pillow, whose images of 16 bits have one band.
        bands = [*np.moveaxis(samples, -1, 0)]
        if alpha is not None:
            bands.append(alpha)
        turned = [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(band)).transpose(turn)
            )
            for band in bands
        ]
        if alpha is not None:
            alpha = turned.pop()
        samples = np.dstack(turned)
    return samples, alpha


def _grey_curve(source: ImageCms.ImageCmsProfile) -> np.ndarray:
    """Returns what each of a grey profile's 65536 levels is in sRGB.

    The transform gives 8 bits of 16: where it steps from one level to the next,
    the curve is half-way between the two.

    Returns:
        uint16 (65536,).
    """
    levels = np.arange(2**16, dtype=np.uint16)
    try:
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            "I;16",
            "RGB",
            # Else the curve is one of few points, and a level off.
            flags=ImageCms.Flags.NOOPTIMIZE,
        )
        image = Image.fromarray(levels.reshape(256, 256))
        curve = np.asarray(transform.apply(image))[..., 1].ravel().astype(int)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return levels
    steps = np.flatnonzero(np.diff(curve))
    positions = [0, *(steps + 0.5), levels[-1]]
    heights = [curve[0], *(curve[steps] + curve[steps + 1]) / 2, curve[-1]]
    return np.rint(257 * np.interp(levels, positions, heights)).astype(
        np.uint16
    )


def _through_lattice(
    samples: np.ndarray, source: ImageCms.ImageCmsProfile
) -> np.ndarray:
    """Brings colours of 16 bits from a profile to sRGB.

    The transform knows 8 bits only. It is asked for a lattice of colours, and
    what lies between them is interpolated.

    Args:
        samples: uint16 (H, W, 3).
        source: Their profile.
    """
    from scipy.ndimage import map_coordinates  # rarely needed

    levels = np.arange(0, 256, _LATTICE_STEP, dtype=np.uint8)
    side = len(levels)
    lattice = np.stack(np.meshgrid(*[levels] * 3, indexing="ij"), axis=-1)
    try:
        image = ImageCms.profileToProfile(
            Image.fromarray(lattice.reshape(side, side**2, 3)),
            source,
            ImageCms.createProfile("sRGB"),
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return samples
    known = np.asarray(image).reshape(lattice.shape) * np.float32(257)
    found = np.empty_like(samples)
    for row, part in enumerate(samples):  # not the whole photo in floats
        places = part.T / np.float32(257 * _LATTICE_STEP)
        for band in range(3):
            values = map_coordinates(known[..., band], places, order=1)
            found[row, :, band] = np.rint(values)
    return found


def _in_type(samples: np.ndarray, dtype: type) -> np.ndarray:
    """Scales from uint8 or uint16 to either."""
    if samples.dtype == dtype:
        return samples
    if dtype == np.uint16:
        return samples * np.uint16(257)
    # To the nearest, without a wider type on the way.
    levels, rest = np.divmod(samples, np.uint16(257))
    return (levels + (rest > 128)).astype(np.uint8)


# === Files ===


def _shallow(
    rgb: np.ndarray,
    alpha: np.ndarray | None,
    original: Original,
    file_format: str,
) -> bytes:
    """Writes 8 bits as JPEG, PNG, WebP or BMP."""
    image = Image.fromarray(rgb)
    mask = None if alpha is None else Image.fromarray(alpha)
    options = {"exif": original.exif}
    if file_format == "PNG":
        options["compress_level"] = _COMPRESS_LEVEL
    elif file_format == "WEBP":
        # Exact in the colours, too, of what is transparent.
        options |= {"quality": _QUALITY, "method": 4, "exact": True}
    elif file_format == "JPEG":
        options |= {"quality": _QUALITY, "subsampling": 0}
        if len(original.exif or b"") > _JPEGS_MOST_EXIF_BYTES:
            del options["exif"]
    else:
        options = {}

    if mask and file_format in ("PNG", "WEBP"):
        image.putalpha(mask)
    else:
        image = photos.on_white(image, mask)
    options["dpi"] = original.dpi
    file = io.BytesIO()
    given = {
        name: value for name, value in options.items() if value is not None
    }
    image.save(file, file_format, **given)
    return file.getvalue()


def _deep_png(
    rgb: np.ndarray, alpha: np.ndarray | None, original: Original
) -> bytes:
    """Writes 16 bits, which Pillow cannot, nor TensorFlow the metadata."""
    samples = rgb if alpha is None else np.dstack([rgb, alpha])
    png = tf.io.encode_png(samples, compression=_COMPRESS_LEVEL).numpy()
    chunks = b""
    if original.dpi:
        per_metre = [round(side / 0.0254) for side in original.dpi]
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    if original.exif:
        chunks += _chunk(
            b"eXIf", original.exif.removeprefix(metadata.EXIF_START)
        )
    end_of_header = 8 + 12 + 13
    return png[:end_of_header] + chunks + png[end_of_header:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    length = len(body)
    return struct.pack(">I", length) + kind + body + struct.pack(">I", checksum)


def _tiff(
    rgb: np.ndarray, alpha: np.ndarray | None, original: Original
) -> bytes:
    """Writes 8 or 16 bits, deflated.

    Pillow writes no 16 bits, nor EXIF beside deflated samples; tifffile writes
    no EXIF. So the strips are made here, and Pillow writes the tags.
    """
    samples = rgb if alpha is None else np.dstack([rgb, alpha])
    height, width, bands = samples.shape
    rows = max(1, _STRIP_BYTES // samples[0].nbytes)
    strips = [
        _strip(samples[top : top + rows]) for top in range(0, height, rows)
    ]
    lengths = [len(strip) for strip in strips]

    tags = ExifTags.Base
    ifd = ImageFileDirectory_v2(prefix=b"II")
    ifd[tags.ImageWidth] = width
    ifd[tags.ImageLength] = height
    ifd[tags.BitsPerSample] = (8 * samples.itemsize,) * bands
    ifd[tags.Compression] = 8  # deflate
    ifd[tags.PhotometricInterpretation] = 2  # RGB
    ifd[tags.Orientation] = 1
    ifd[tags.SamplesPerPixel] = bands
    ifd[tags.RowsPerStrip] = rows
    # From the end of the tags on, which is added to them.
    ifd[tags.StripOffsets] = tuple(np.cumsum([0, *lengths[:-1]]).tolist())
    ifd[tags.StripByteCounts] = tuple(lengths)
    ifd[tags.PlanarConfiguration] = 1  # pixel by pixel
    ifd[tags.Predictor] = 2  # differences along the rows
    if alpha is not None:
        ifd[tags.ExtraSamples] = 2  # alpha that colours are not multiplied by
    if original.dpi:
        ifd[tags.ResolutionUnit] = 2  # inches
        ifd[tags.XResolution], ifd[tags.YResolution] = original.dpi

    head = io.BytesIO()
    ifd.save(head)
    if original.exif:
        # Which a camera may have written in a way that cannot be repeated.
        with contextlib.suppress(*photos.FAULTS):
            exif = Image.Exif()
            exif.load(original.exif)
            for tag, value in metadata.described(exif).items():
                ifd[tag] = value
            longer_head = io.BytesIO()
            ifd.save(longer_head)
            head = longer_head
    return b"".join([head.getvalue(), *strips])


def _strip(rows: np.ndarray) -> bytes:
    """Deflates rows of samples as differences from the sample to the left."""
    differences = np.array(rows, rows.dtype.newbyteorder("<"), order="C")
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences, _COMPRESS_LEVEL)
