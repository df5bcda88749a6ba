"""From an encoded picture file to an RGB photo.

A folder of photos holds what cameras, scanners and the web left there: pictures
of any depth and colour space, turned, transparent, cut short. Each becomes what
a viewer would show of it, or a `BrokenPhoto`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import ExifTags, Image, ImageCms

# The file suffixes that a scan of a folder looks at.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
)

# Mean distance of a pixel's highest from its lowest channel, of 255 levels.
NEAR_GREY_LEVELS = 4

# Not all that Pillow knows: some of its other decoders start programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What decoders raise. OSError, SyntaxError and ValueError they mean to; a wrong
# length or offset, which they do not look for, ends in any of the others.
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# How a viewer turns a picture of each EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# White in pictures whose samples have no white of their own, being floats or
# integers of 32 bits.
_CUSTOMARY_WHITES = np.array([1, 2**8 - 1, 2**16 - 1, 2**32 - 1])

# Profiles that are sRGB by their exact names. "sRGB" is part of many names, of
# linear ones too.
_SRGB_NAMES = {"sRGB", "sRGB IEC61966-2.1", "sRGB built-in"}

# Both decoders tell of odd metadata, which harms no photo, and Pillow of sizes,
# which are checked here. Silenced once: `warnings.catch_warnings` is not
# thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


class BrokenPhoto(ValueError):
    """A file that holds no usable picture. Its text is the reason."""


def decode(encoded: bytes, shrink_to: int | None = None) -> np.ndarray:
    """Decodes one picture file, whatever its name.

    The first frame or page is decoded, turned as its EXIF orientation says,
    converted from its colour profile to sRGB, and scaled from its depth to 8
    bits. Where it is transparent it is laid on white, since pages and viewers
    are white: what lies hidden under full transparency is often black or noise.

    Args:
        encoded: Content of a JPEG, PNG, WebP, BMP, GIF or TIFF file.
        shrink_to: The short side, in pixels, that the caller will shrink the
            photo to. Large JPEGs then decode several times faster, to a
            smaller photo whose short side is at least twice that. Defaults to
            None, the full size.

    Returns:
        uint8 (H, W, 3), sRGB.

    Raises:
        BrokenPhoto: The bytes are no such picture, damaged, cut short, or
            declare more pixels than twice `PIL.Image.MAX_IMAGE_PIXELS`.

    Example:

    >>> file = io.BytesIO()
    >>> Image.new("RGB", (3, 2), "red").save(file, "PNG")
    >>> photo = decode(file.getvalue())
    >>> photo.shape, photo[0, 0].tolist()
    ((2, 3, 3), [255, 0, 0])
    >>> decode(b"")
    Traceback (most recent call last):
        ...
    kcolor.data.photos.BrokenPhoto: empty file
    """
    with naming_faults():
        image = open_image(encoded)
        if isinstance(image, RareTiff):
            image = image.in_8_bits()
        if shrink_to:
            image.draft(None, (2 * shrink_to, 2 * shrink_to))
        image.load()
        turn = TURNS.get(orientation(image))
        if is_deep_grey(image):
            image = _shallow_grey(image)
        rgb = on_white(*colours_and_alpha(image))
        return np.asarray(rgb if turn is None else rgb.transpose(turn))


def shrink(pixels: np.ndarray, short_side: int) -> np.ndarray:
    """Resizes a photo, up or down, to a short side; its aspect is kept.

    Args:
        pixels: uint8 (H, W, 3).
        short_side: The lesser of height and width wanted, in pixels.

    Returns:
        uint8 (H', W', 3); `pixels` itself where nothing is to be done.

    Example:

    >>> shrink(np.zeros((30, 20, 3), np.uint8), 10).shape
    (15, 10, 3)
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short == short_side:
        return pixels
    size = [round(side * short_side / short) for side in (width, height)]
    resized = Image.fromarray(pixels).resize(
        size,
        Image.Resampling.LANCZOS,
        reducing_gap=3.0,  # much faster from many pixels to few, and as good
    )
    return np.asarray(resized)


def is_near_grey(pixels: np.ndarray) -> bool:
    """Whether a photo has next to no colour, so nothing to learn colour from.

    A pixel's highest less its lowest channel is 0 in a grey pixel. Below a mean
    of `NEAR_GREY_LEVELS` a photo is a grey one, give or take the noise that
    JPEG or a colour scanner adds. Sepia and other tints are well above.

    Args:
        pixels: uint8 (H, W, 3).

    Example:

    >>> grey = np.full((2, 2, 3), 100, np.uint8)
    >>> is_near_grey(grey), is_near_grey(grey + np.uint8([40, 20, 0]))
    (True, False)
    """
    red, green, blue = np.moveaxis(pixels, -1, 0)  # faster than along the axis
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return bool((highest - lowest).mean() < NEAR_GREY_LEVELS)


@contextlib.contextmanager
def naming_faults() -> Iterator[None]:
    """Makes a `BrokenPhoto` with a reason of whatever decoders raise in it.

    Example:

    >>> with naming_faults():
    ...     raise EOFError
    Traceback (most recent call last):
        ...
    kcolor.data.photos.BrokenPhoto: cut short
    """
    try:
        yield
    except BrokenPhoto:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # The warning is raised only where a program made errors of warnings.
        raise BrokenPhoto(_too_large()) from None
    except FAULTS as error:
        raise BrokenPhoto(_reason(error)) from error


@dataclass(frozen=True)
class RareTiff:
    """A TIFF that Pillow cannot read: of floats, of planes, big-endian.

    Args:
        samples: Integers or floats (H, W, B) with grey or RGB first, then any
            other bands.
        white: The sample that is white; None where it must be guessed.
        depth: Bits of a sample.
        photometric: What the bands are: grey, grey whose 0 is white, or RGB.
        extras: What the other bands are, e.g. transparency.
        icc: The colour profile.
        orientation: As in EXIF, 1 to 8.
    """

    format: ClassVar[str] = "TIFF"

    samples: np.ndarray
    white: int | None
    depth: int
    photometric: int
    extras: tuple[int, ...]
    icc: bytes | None
    orientation: int

    @classmethod
    def read(cls, encoded: bytes) -> RareTiff:
        """Reads the first page, after a check of the size it declares."""
        import tifffile  # rarely needed

        with tifffile.TiffFile(io.BytesIO(encoded)) as file:
            page = file.pages.first
            _check_size(page.imagewidth, page.imagelength)
            # Nor may it hold a stack of slices or hundreds of bands.
            _check_size(page.size, 1 / 4)
            kinds = tifffile.PHOTOMETRIC
            if page.axes not in ("YX", "YXS", "SYX") or (
                page.photometric
                not in (kinds.MINISWHITE, kinds.MINISBLACK, kinds.RGB)
            ):
                raise BrokenPhoto("a kind of tiff that cannot be read")
            samples = page.asarray(maxworkers=1)
            tags = {tag.code: tag.value for tag in page.tags}

        if page.axes == "SYX":
            samples = np.moveaxis(samples, 0, -1)
        elif page.axes == "YX":
            samples = samples[..., np.newaxis]
        is_unsigned = samples.dtype.kind == "u" and samples.dtype.itemsize < 4
        return cls(
            samples,
            white=2**page.bitspersample - 1 if is_unsigned else None,
            depth=page.bitspersample,
            photometric=page.photometric,
            extras=page.extrasamples,
            icc=tags.get(ExifTags.Base.InterColorProfile),
            orientation=tags.get(ExifTags.Base.Orientation, 1),
        )

    def levels(self, dtype: type) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns colours and transparency in uint8 or uint16.

        Returns:
            (H, W, 1) grey or (H, W, 3) RGB, not multiplied by alpha, and alpha
            (H, W) or None.
        """
        from tifffile import EXTRASAMPLE, PHOTOMETRIC

        levels = scale(self.samples, self.white, dtype)
        bands = 3 if self.photometric == PHOTOMETRIC.RGB else 1
        if levels.shape[-1] < bands:
            raise BrokenPhoto("damaged")
        colours, alpha = levels[..., :bands], None
        if self.photometric == PHOTOMETRIC.MINISWHITE:
            colours = np.iinfo(dtype).max - colours
        if self.extras and self.extras[0]:  # it is transparency
            alpha = levels[..., bands]
            if self.extras[0] == EXTRASAMPLE.ASSOCALPHA:
                colours = divide_by_alpha(colours, alpha)
        return colours, alpha

    def in_8_bits(self) -> Image.Image:
        """Returns the picture with its profile and orientation."""
        bands, alpha = self.levels(np.uint8)
        if alpha is not None:
            bands = np.dstack([bands, alpha])
        if bands.shape[-1] == 1:
            bands = bands[..., 0]
        image = Image.fromarray(np.ascontiguousarray(bands))
        image.format = self.format
        image.info["icc_profile"] = self.icc
        image.getexif()[ExifTags.Base.Orientation] = self.orientation
        return image


def open_image(encoded: bytes) -> Image.Image | RareTiff:
    """Reads the header of a picture file, and checks the size it declares.

    Returns:
        An image whose pixels are not yet decoded, or, where Pillow cannot read
        the file, a TIFF whose pixels are.
    """
    if not encoded:
        raise BrokenPhoto("empty file")
    try:
        image = Image.open(io.BytesIO(encoded), formats=_FORMATS)
    except Image.UnidentifiedImageError:
        if encoded.startswith(_TIFF_STARTS):
            return RareTiff.read(encoded)
        raise
    _check_size(*image.size)
    if image.format == "TIFF" and _is_garbled(image):
        return RareTiff.read(encoded)
    return image


def _is_garbled(image: Image.Image) -> bool:
    """Whether Pillow would take the bytes of wide samples for samples.

    It does in uncompressed TIFFs that hold one plane after the other.
    """
    tags = image.tag_v2
    return (
        image.info["compression"] == "raw"
        and tags.get(ExifTags.Base.PlanarConfiguration) == 2
        and max(tags[ExifTags.Base.BitsPerSample]) > 8
    )


def _check_size(width: float, height: float) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > 2 * limit:
        raise BrokenPhoto(_too_large())
    if not width * height:
        raise BrokenPhoto("no pixels")


def _too_large() -> str:
    return f"larger than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} megapixels"


def _reason(error: BaseException) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return "cut short"
    if isinstance(error, MemoryError):
        return "larger than the free memory"
    return "damaged"


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of a decoded image, 1 if it has none."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except FAULTS:
        return 1  # a photo is not worse for broken EXIF


def colours_and_alpha(
    image: Image.Image,
) -> tuple[Image.Image, Image.Image | None]:
    """Separates the colours of a picture of 8 bits from its transparency.

    Returns:
        The colours in sRGB, of mode L where the picture is a grey one, else
        RGB; the transparency of mode L, None where it has none.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "La":  # multiplied by alpha, which has no way to RGBA
        image = image.convert("LA")
    alpha = None
    is_grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode != "CMYK":
        # Grey stays grey until its profile, one of grey, is applied.
        image = _in_mode(image, "L" if is_grey else "RGB")
    return in_srgb(image, profile), alpha


def on_white(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Returns an L or RGB image as RGB, on white where it is transparent."""
    image = _in_mode(image, "RGB")
    if alpha is None:
        return image
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=alpha)
    return page


def divide_by_alpha(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Undoes the multiplication of colours by their alpha.

    Args:
        colours: uint8 or uint16 (H, W, B).
        alpha: The same type, (H, W).

    Returns:
        As `colours`; 0 where they are 0.

    Example:

    >>> divide_by_alpha(np.uint8([[[50]]]), np.uint8([[128]])).item()
    100
    """
    white = np.iinfo(colours.dtype).max
    factors = np.float32(white) / np.maximum(alpha, 1)
    colours = np.rint(colours * factors[..., np.newaxis])
    return np.minimum(colours, white).astype(alpha.dtype)


def foreign_profile(
    profile: bytes | None,
) -> ImageCms.ImageCmsProfile | None:
    """Parses a colour profile; None where it is none, damaged or sRGB."""
    if not profile:
        return None
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(parsed).strip()
    except (ImageCms.PyCMSError, OSError, TypeError):
        return None
    return None if name in _SRGB_NAMES else parsed


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts L to L, RGB or CMYK to RGB, as a profile says."""
    is_grey = image.mode == "L"
    source = foreign_profile(profile)
    if source is not None:
        # A profile of another colour space than the picture's is an error.
        # Without its profile a photo is a little off, and still a photo.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            image = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
    return _in_mode(image, "L" if is_grey else "RGB")


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    # Pillow copies an image that is in it already.
    return image if image.mode == mode else image.convert(mode)


def is_deep_grey(image: Image.Image) -> bool:
    """Whether an image is grey, of integers of more than 8 bits or floats."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def deep_grey(image: Image.Image, dtype: type) -> np.ndarray:
    """Scales a decoded grey image of more than 8 bits to uint8 or uint16.

    Returns:
        (H, W), 0 is black.
    """
    tags = getattr(image, "tag_v2", {})
    samples = np.asarray(image)
    white = None
    if image.mode.startswith("I;16"):
        white = 2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
    elif image.mode == "I" and tags.get(ExifTags.Base.SampleFormat) != (2,):
        # Pillow has no unsigned integers of 32 bits.
        samples = samples.view(np.uint32)
    levels = scale(samples, white, dtype)
    # Pillow inverts 0-is-white pictures of up to 8 bits, deeper ones not.
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        levels = np.iinfo(dtype).max - levels
    return levels


def _shallow_grey(image: Image.Image) -> Image.Image:
    levels = Image.fromarray(deep_grey(image, np.uint8))
    levels.info["icc_profile"] = image.info.get("icc_profile")
    return levels


def scale(samples: np.ndarray, white: int | None, dtype: type) -> np.ndarray:
    """Scales samples so that white is the highest of a type.

    Args:
        samples: Integers or floats.
        white: None to guess: the customary white nearest to the brightest
            sample, or that sample itself where it is brighter, so that
            nothing is clipped.
        dtype: uint8 or uint16.

    Returns:
        Of that type and the samples' shape.

    Example:

    >>> scale(np.array([0.0, 0.5, 1.0]), None, np.uint8).tolist()
    [0, 128, 255]
    """
    highest = np.iinfo(dtype).max
    if samples.dtype == dtype and white == highest:
        return samples
    with np.errstate(over="ignore"):  # to infinity, which counts as black
        samples = samples.astype(np.float32)
    samples = np.where(np.isfinite(samples), np.maximum(samples, 0), 0)
    if white is None:
        brightest = max(samples.max(), np.finfo(np.float32).tiny)
        ratios = np.abs(np.log(_CUSTOMARY_WHITES / brightest))
        white = max(_CUSTOMARY_WHITES[ratios.argmin()], brightest)
    return np.rint(samples * np.float32(highest / white)).astype(dtype)
