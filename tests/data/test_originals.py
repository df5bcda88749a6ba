"""Tests for `kcolor.data.originals`."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from patterns import BLOCKS, PATTERN, png_of, saved
from PIL import ExifTags, Image, ImageCms, ImageOps

from kcolor.data import photos
from kcolor.data.originals import (
    WRITABLE,
    Original,
    encode,
    read,
    suffix_for,
)
from kcolor.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:::PIL.TiffImagePlugin")

GREY = np.asarray(Image.fromarray(PATTERN).convert("L"))[..., np.newaxis]
ALPHA = np.linspace(0, 255, GREY.size).astype(np.uint8).reshape(GREY.shape)

# Samples of 16 bits whose lower bytes are not their higher ones.
NOISE = np.random.default_rng(0).integers(0, 2**16, (32, 48, 4), np.uint16)
DEEP = {
    "grey": NOISE[..., :1],
    "grey and alpha": NOISE[..., :2],
    "rgb": NOISE[..., :3],
    "rgb and alpha": NOISE,
}


def saved_tiff(samples, **options):
    """The content of a file that tifffile writes."""
    bands = samples.shape[-1]
    if bands in (2, 4):
        options = {"extrasamples": ["unassalpha"], **options}
    if bands == 1:
        samples = samples[..., 0]
        options = {**options, "planarconfig": None}
    elif options.get("planarconfig") == "separate":
        samples = np.moveaxis(samples, -1, 0)
    else:
        options = {**options, "planarconfig": "contig"}
    photometric = "rgb" if bands > 2 else "minisblack"
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **{"photometric": photometric, **options})
    return file.getvalue()


def saved_png(samples, *chunks):
    """The content of a PNG of 16 bits, and of other chunks."""
    height, width, bands = samples.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png_of(width, height, 16, colour_type, rows, *chunks)


def coloured(original):
    """The samples as RGB, as if a network had coloured them."""
    samples = original.samples
    return samples.repeat(3, -1) if samples.shape[-1] == 1 else samples


def rewritten(encoded, suffix):
    """The content of a file written of another that was read."""
    original = read(encoded)
    return encode(coloured(original), original, suffix)


def assert_samples(original, expected):
    """Compares samples and alpha with bands of which the last may be alpha."""
    bands = expected.shape[-1]
    colours = expected[..., : bands - 1 + bands % 2]
    assert original.samples.dtype == expected.dtype
    np.testing.assert_array_equal(original.samples, colours)
    if bands % 2:
        assert original.alpha is None
    else:
        assert original.alpha.dtype == expected.dtype
        np.testing.assert_array_equal(original.alpha, expected[..., -1])


# === Depth and transparency ===


@pytest.mark.parametrize("kind", DEEP)
def test_pngs_of_16_bits_are_read_exactly(kind):
    original = read(saved_png(DEEP[kind]))
    assert original.format == "PNG"
    assert_samples(original, DEEP[kind])


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "zlib", "byteorder": ">", "predictor": True},
        {"compression": "zlib", "bigtiff": True},
        {"rowsperstrip": 7},
        {"tile": (16, 16)},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "zlib"},
    ],
    ids=str,
)
def test_tiffs_of_16_bits_are_read_exactly(kind, options):
    original = read(saved_tiff(DEEP[kind], **options))
    assert original.format == "TIFF"
    assert_samples(original, DEEP[kind])


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("TIFF", "L"),
        ("TIFF", "LA"),
        ("TIFF", "RGB"),
        ("TIFF", "RGBA"),
        ("BMP", "L"),
        ("BMP", "RGB"),
        ("GIF", "RGB"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
    ],
)
def test_files_of_8_bits_are_read_exactly(file_format, mode):
    bands = [GREY] if mode.startswith("L") else [PATTERN]
    samples = np.dstack(bands + [ALPHA] * mode.endswith("A"))
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    image = Image.fromarray(samples.squeeze())
    original = read(saved(image, file_format, **options))
    assert original.format == file_format
    assert_samples(original, samples)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.float32([0, 0.25, 1]), [0, 16384, 65535]),
        (np.float64([0, 0.25, 1]), [0, 16384, 65535]),
        (np.float32([0, 10000, 65535]), [0, 10000, 65535]),
        (np.uint32([0, 2**30, 2**32 - 1]), [0, 16384, 65535]),
        (np.int32([0, 51, 255]), [0, 13107, 65535]),
    ],
    ids=str,
)
def test_samples_of_other_depths_become_16_bits_with_white_as_white(
    samples, expected
):
    for bands in (1, 3):
        encoded = saved_tiff(
            samples[np.newaxis, :, np.newaxis].repeat(bands, 2)
        )
        read_samples = read(encoded).samples
        assert read_samples.dtype == np.uint16
        assert read_samples[0].tolist() == [
            [level] * bands for level in expected
        ]


def test_scans_in_which_0_is_white_are_no_negatives():
    white_and_black = np.uint16([0, 65535]).reshape(1, 2, 1)
    encoded = saved_tiff(white_and_black, photometric="miniswhite")
    assert read(encoded).samples.ravel().tolist() == [65535, 0]


@given(
    data=st.data(),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    has_alpha=st.booleans(),
    suffix=st.sampled_from([".png", ".tif", ".tiff", ".PNG"]),
)
@settings(max_examples=60, deadline=None)
def test_lossless_files_give_back_what_was_written(
    data, dtype, shape, has_alpha, suffix
):
    rgb = data.draw(arrays(dtype, (*shape, 3)))
    alpha = data.draw(arrays(dtype, shape)) if has_alpha else None
    original = Original(rgb, alpha, None, None, "PNG")
    again = read(encode(rgb, original, suffix))
    assert_samples(again, rgb if alpha is None else np.dstack([rgb, alpha]))
    assert again.exif is again.dpi is None


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_suffix_is_written_in_its_format(suffix, dtype):
    white = np.iinfo(dtype).max // 255
    rgb = PATTERN * dtype(white)
    original = Original(rgb, None, None, None, "JPEG")
    again = read(encode(rgb, original, suffix))
    assert again.format == Image.registered_extensions()[suffix]
    is_deep = dtype == np.uint16 and suffix in (".png", ".tif", ".tiff")
    assert again.samples.dtype == (np.uint16 if is_deep else np.uint8)
    np.testing.assert_allclose(
        again.samples[8::16, 8::16] / np.iinfo(again.samples.dtype).max,
        BLOCKS / 255,
        atol=0.01,
    )


def test_16_bits_become_the_nearest_of_8():
    levels = np.arange(2**16, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    original = Original(levels, None, None, None, "PNG")
    np.testing.assert_array_equal(
        read(encode(levels, original, ".bmp")).samples, np.rint(levels / 257)
    )


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_written_in_the_depth_of_the_colours(suffix):
    alpha = np.uint16([[0, 257, 65535]])
    rgb = np.full((1, 3, 3), 100, np.uint8)
    original = Original(rgb, alpha, None, None, "PNG")
    assert read(encode(rgb, original, suffix)).alpha.tolist() == [[0, 1, 255]]


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_formats_without_transparency_show_it_on_white(suffix):
    image = Image.new("RGBA", (48, 16), (100, 100, 100, 255))
    image.paste((0, 0, 0, 0), (0, 0, 16, 16))
    image.paste((100, 100, 100, 128), (16, 0, 32, 16))
    again = read(rewritten(saved(image, "PNG"), suffix))
    assert again.alpha is None
    np.testing.assert_allclose(
        again.samples[8, 8::16, 0].astype(int), [255, 177, 100], atol=2
    )


def test_the_colours_that_transparency_hides_are_kept():
    image = Image.fromarray(np.dstack([PATTERN, np.zeros_like(GREY)]))
    encoded = saved(image, "PNG")
    for suffix in (".png", ".tif", ".webp"):
        samples = read(rewritten(encoded, suffix)).samples
        np.testing.assert_allclose(
            samples[8::16, 8::16].astype(int), BLOCKS.astype(int), atol=5
        )


@pytest.mark.parametrize(
    ("mode", "transparency"), [("P", 0), ("P", bytes([0, 255])), ("L", 0)]
)
def test_a_transparent_colour_of_8_bits_becomes_alpha(mode, transparency):
    image = Image.new(mode, (2, 1))
    if mode == "P":
        image.putpalette([0, 0, 0, 90, 90, 90])
    image.putpixel((1, 0), {"P": 1, "L": 90}[mode])
    original = read(saved(image, "PNG", transparency=transparency))
    assert original.alpha.tolist() == [[0, 255]]
    assert original.samples[0, :, 0].tolist() == [0, 90]


@pytest.mark.parametrize("bands", [1, 3])
def test_a_transparent_colour_of_16_bits_becomes_alpha(bands):
    # The second differs from it in the lower byte alone.
    samples = np.uint16([[[500] * bands, [501] * bands]])
    colour = struct.pack(f">{bands}H", *[500] * bands)
    original = read(saved_png(samples, (b"tRNS", colour)))
    np.testing.assert_array_equal(original.samples, samples)
    assert original.alpha.tolist() == [[0, 65535]]


@pytest.mark.parametrize("bands", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colours_multiplied_by_alpha_are_divided_by_it(
    bands, dtype, compression
):
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    samples = np.array([[[0.2] * (bands - 1) + [0.5], [1] * bands]])
    encoded = saved_tiff(
        (samples * white).astype(dtype),
        extrasamples=["assocalpha"],
        compression=compression,
    )
    original = read(encoded)
    white = np.iinfo(original.samples.dtype).max
    assert white == (255 if dtype == np.uint8 else 65535)
    np.testing.assert_allclose(
        original.samples[0, :, 0] / white, [0.4, 1], atol=1 / 100
    )
    np.testing.assert_allclose(original.alpha[0] / white, [0.5, 1], atol=0.01)


@pytest.mark.parametrize(
    ("file_format", "mode", "bands"),
    [
        ("JPEG", "CMYK", 3),
        ("TIFF", "CMYK", 3),
        ("TIFF", "LAB", 3),
        ("JPEG", "L", 1),
        ("PNG", "1", 1),
        ("TIFF", "1", 1),
        ("PNG", "P", 3),
        ("GIF", "P", 3),
    ],
)
def test_other_colours_become_rgb_or_grey_as_photos_are_decoded(
    file_format, mode, bands
):
    image = Image.fromarray(PATTERN)
    if mode == "LAB":
        image = ImageCms.profileToProfile(
            image,
            ImageCms.createProfile("sRGB"),
            ImageCms.createProfile("LAB"),
            outputMode="LAB",
        )
    encoded = saved(image.convert(mode), file_format)
    original = read(encoded)
    assert original.samples.shape == (32, 48, bands)
    np.testing.assert_array_equal(coloured(original), photos.decode(encoded))


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_frame_is_read(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    encoded = saved(
        Image.fromarray(PATTERN),
        file_format,
        save_all=True,
        append_images=[Image.new("RGB", (48, 32), "red")],
        **options,
    )
    np.testing.assert_array_equal(read(encoded).samples, PATTERN)


def test_a_photo_with_a_preview_beside_it_is_a_jpeg():
    preview = Image.new("RGB", (12, 8))
    encoded = saved(
        Image.fromarray(PATTERN), "MPO", save_all=True, append_images=[preview]
    )
    original = read(encoded)
    assert original.format == "JPEG"
    assert original.samples.shape == PATTERN.shape


def test_jpegs_keep_the_colour_of_every_pixel():
    encoded = encode(
        PATTERN, Original(PATTERN, None, None, None, "JPEG"), ".jpg"
    )
    layers = Image.open(io.BytesIO(encoded)).layer
    assert {sampling[1:3] for sampling in layers} == {(1, 1)}


# === Orientation and EXIF ===


def exif_of(orientation=6, thumbnail=b"\xff\xd8 a thumbnail \xff\xd9"):
    """EXIF as a camera writes it, the thumbnail at its end."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Zeiss"
    exif[ExifTags.Base.Model] = "Ikon"
    exif[ExifTags.Base.DateTime] = "1931:05:06 07:08:09"
    exif[ExifTags.Base.Copyright] = "Ada"
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: "1931:05:06 07:08:09",
            ExifTags.Base.ExposureTime: 0.008,
            ExifTags.Base.MakerNote: b"a note\0of the camera",
            ExifTags.Base.ExifImageWidth: 48,
            ExifTags.Base.ExifImageHeight: 32,
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N",
            ExifTags.GPS.GPSLatitude: (48.0, 8.0, 14.5),
        }
    )
    block = bytearray(exif.tobytes()[6:])
    order = {b"II": "<", b"MM": ">"}[bytes(block[:2])]
    (count,) = struct.unpack_from(order + "H", block, 8)
    end = 8 + 2 + 12 * count
    struct.pack_into(order + "I", block, end, len(block))
    start = len(block) + 2 + 2 * 12 + 4
    block += struct.pack(order + "H", 2)
    for tag, value in ((0x201, start), (0x202, len(thumbnail))):
        block += struct.pack(order + "HHII", tag, 4, 1, value)
    return b"Exif\0\0" + bytes(block) + bytes(4) + thumbnail


def tags_of(encoded):
    """The EXIF tags of a file by Pillow: IFD0, and those below it."""
    exif = Image.open(io.BytesIO(encoded)).getexif()
    return (
        exif,
        exif.get_ifd(ExifTags.IFD.Exif),
        exif.get_ifd(ExifTags.IFD.GPSInfo),
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photos_are_upright_once(file_format, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Zeiss"
    options = {"lossless": True} if file_format == "WEBP" else {}
    encoded = saved(Image.fromarray(PATTERN), file_format, exif=exif, **options)
    upright = np.asarray(
        ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    )
    original = read(encoded)
    np.testing.assert_array_equal(original.samples, upright)
    for suffix in WRITABLE:
        again = encode(original.samples, original, suffix)
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(again)))
        np.testing.assert_allclose(
            np.asarray(image)[8::16, 8::16].astype(int),
            upright[8::16, 8::16].astype(int),
            atol=6,
        )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_photos_of_16_bits_are_upright_once(bands, orientation):
    samples = NOISE[..., :bands]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    # Where each pixel goes, told by pictures of rows and of columns.
    rows, columns = np.indices((32, 48), dtype=np.uint8)
    places = []
    for indices in (rows, columns):
        image = Image.fromarray(indices)
        image.info["exif"] = exif.tobytes()
        places.append(np.asarray(ImageOps.exif_transpose(image)))
    expected = samples[tuple(places)]

    extratags = [(274, 3, 1, orientation, True)]
    for encoded in (
        saved_png(samples, (b"eXIf", exif.tobytes()[6:])),
        saved_tiff(samples, extratags=extratags),
        saved_tiff(samples, extratags=extratags, compression="zlib"),
        saved_tiff(samples, extratags=extratags, planarconfig="separate"),
    ):
        original = read(encoded)
        assert_samples(original, expected)
        again = read(rewritten(encoded, ".png"))
        np.testing.assert_array_equal(again.samples, coloured(original))
        np.testing.assert_array_equal(again.alpha, original.alpha)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize(
    "file_format", ["JPEG", "PNG", "WEBP", "TIFF", "PNG of 16 bits"]
)
def test_camera_date_and_place_survive(file_format, suffix):
    exif = exif_of()
    if file_format == "PNG of 16 bits":
        encoded = saved_png(DEEP["rgb"], (b"eXIf", exif[6:]))
    else:
        encoded = saved(Image.fromarray(PATTERN), file_format, exif=exif)
    tags, camera, place = tags_of(rewritten(encoded, suffix))
    assert tags[ExifTags.Base.Make] == "Zeiss"
    assert tags[ExifTags.Base.Copyright] == "Ada"
    assert tags[ExifTags.Base.DateTime] == "1931:05:06 07:08:09"
    assert tags[ExifTags.Base.Orientation] == 1
    assert camera[ExifTags.Base.DateTimeOriginal] == "1931:05:06 07:08:09"
    assert float(camera[ExifTags.Base.ExposureTime]) == pytest.approx(0.008)
    assert camera[ExifTags.Base.MakerNote] == b"a note\0of the camera"
    assert place[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert [float(angle) for angle in place[ExifTags.GPS.GPSLatitude]] == [
        48,
        8,
        14.5,
    ]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF"])
def test_sizes_in_exif_are_those_of_the_upright_photo(file_format):
    encoded = saved(Image.fromarray(PATTERN), file_format, exif=exif_of(6))
    _, camera, _ = tags_of(rewritten(encoded, ".jpg"))
    assert camera[ExifTags.Base.ExifImageWidth] == 32
    assert camera[ExifTags.Base.ExifImageHeight] == 48


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("rest", [b"", b"more of the camera's notes"])
def test_the_grey_thumbnail_does_not_survive(suffix, rest):
    exif = exif_of() + rest
    encoded = saved(Image.fromarray(PATTERN), "JPEG", exif=exif)
    assert b"thumbnail" in encoded
    again = rewritten(encoded, suffix)
    assert b"thumbnail" not in again
    image = Image.open(io.BytesIO(again))
    if suffix != ".tif":
        assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
        assert rest in again


def test_nothing_in_exif_moves():
    # A camera's notes point into the whole, and no one else can rewrite them.
    exif = exif_of(thumbnail=b"")
    encoded = saved(Image.fromarray(PATTERN), "JPEG", exif=exif)
    kept = read(encoded).exif
    assert len(kept) == len(exif)
    note = b"a note\0of the camera"
    assert kept.index(note) == exif.index(note)
    # The orientation, two sides and the way to the thumbnail.
    assert sum(a != b for a, b in zip(kept, exif, strict=True)) < 16


def test_exif_that_a_png_holds_as_text_is_kept():
    exif = exif_of()
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n"
    encoded = saved_png(
        DEEP["rgb"], (b"tEXt", b"Raw profile type exif\0" + text.encode())
    )
    original = read(encoded)
    assert original.samples.shape == (48, 32, 3)
    tags, _, place = tags_of(encode(original.samples, original, ".png"))
    assert tags[ExifTags.Base.Make] == "Zeiss"
    assert place[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_exif_too_long_for_a_jpeg_is_left_out_of_it():
    exif = exif_of(thumbnail=b"") + bytes(70_000)
    original = read(saved(Image.fromarray(PATTERN), "PNG", exif=exif))
    assert len(original.exif) > 70_000
    assert not tags_of(encode(original.samples, original, ".jpg"))[0]
    assert tags_of(encode(original.samples, original, ".png"))[0]


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_exif_harms_no_photo(data):
    exif = bytearray(exif_of(orientation=1))
    places = st.integers(6, len(exif) - 1)
    wrong_bytes = st.dictionaries(places, st.integers(0, 255), max_size=9)
    for place, byte in data.draw(wrong_bytes).items():
        exif[place] = byte
    cut = data.draw(st.integers(0, len(exif)))
    image = Image.new("RGB", (3, 2))
    for damaged in (exif, exif[:cut]):
        original = read(saved(image, "JPEG", exif=bytes(damaged)))
        for suffix in (".jpg", ".tif"):
            again = read(encode(original.samples, original, suffix))
            assert again.samples.shape == original.samples.shape


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "BMP"])
def test_the_resolution_survives(file_format, suffix):
    encoded = saved(Image.fromarray(PATTERN), file_format, dpi=(300, 600))
    original = read(rewritten(encoded, suffix))
    assert original.dpi == pytest.approx((300, 600), abs=0.1)


@pytest.mark.parametrize("unit", ["inch", "centimeter"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_the_resolution_of_tiffs_survives_in_inches(unit, planarconfig):
    encoded = saved_tiff(
        DEEP["rgb"],
        resolution=(200, 100),
        resolutionunit=unit,
        planarconfig=planarconfig,
    )
    factor = 2.54 if unit == "centimeter" else 1
    expected = pytest.approx((200 * factor, 100 * factor), abs=0.1)
    assert read(encoded).dpi == expected
    for suffix in (".tif", ".png"):
        assert read(rewritten(encoded, suffix)).dpi == expected


# === Profiles ===


def srgb_profile():
    profile = ImageCms.createProfile("sRGB")
    return ImageCms.ImageCmsProfile(profile).tobytes()


def swapped_profile():
    """A profile of another name whose red is sRGB's blue, and vice versa."""
    return (
        srgb_profile()
        .replace("sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be"))
        .replace(b"rXYZ", b"tXYZ")
        .replace(b"bXYZ", b"rXYZ")
        .replace(b"tXYZ", b"bXYZ")
    )


def grey_profile(gamma):
    """A profile of grey whose light is the samples to a power."""
    white = struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061)
    tags = {
        b"kTRC": struct.pack(">4s4xIH", b"curv", 1, round(256 * gamma)),
        b"wtpt": white,
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(79),
    }
    offset = 128 + 4 + 12 * len(tags)
    index, bodies = struct.pack(">I", len(tags)), b""
    for signature, body in tags.items():
        position = offset + len(bodies)
        index += struct.pack(">4sII", signature, position, len(body))
        bodies += body + bytes(-len(body) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x",
        offset + len(bodies),
        0x02400000,
        b"mntr",
        b"GRAY",
        b"XYZ ",
        b"acsp",
        63190,
        65536,
        54061,
    )
    return header + index + bodies


def deep_with_profile(file_format, samples, profile):
    if file_format == "PNG":
        body = b"name\0\0" + zlib.compress(profile)
        return saved_png(samples, (b"iCCP", body))
    compression = "zlib" if file_format == "deflated TIFF" else None
    return saved_tiff(samples, iccprofile=profile, compression=compression)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photos_of_8_bits_become_srgb(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    image = Image.fromarray(PATTERN)
    encoded = saved(
        image, file_format, icc_profile=swapped_profile(), **options
    )
    original = read(encoded)
    np.testing.assert_allclose(
        original.samples[8::16, 8::16].astype(int),
        BLOCKS[..., ::-1].astype(int),
        atol=6 if file_format == "JPEG" else 1,
    )
    for suffix in WRITABLE:
        image = Image.open(io.BytesIO(rewritten(encoded, suffix)))
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "deflated TIFF"])
def test_rgb_of_16_bits_is_brought_to_srgb(file_format):
    for kind in ("rgb", "rgb and alpha"):
        given = DEEP[kind]
        original = read(
            deep_with_profile(file_format, given, swapped_profile())
        )
        assert original.samples.dtype == np.uint16
        # A level and a half, of 255, by the transform of 8 bits.
        np.testing.assert_allclose(
            original.samples.astype(int),
            given[..., 2::-1].astype(int),
            atol=1.5 * 257,
        )
        if given.shape[-1] == 4:
            np.testing.assert_array_equal(original.alpha, given[..., 3])


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    "profile",
    [srgb_profile(), b"garbage", swapped_profile()[:200], "of other colours"],
    ids=["srgb", "garbage", "cut", "other"],
)
def test_profiles_that_say_nothing_of_the_samples_are_left_out(
    kind, file_format, profile
):
    if profile == "of other colours":
        is_grey = kind.startswith("grey")
        profile = swapped_profile() if is_grey else grey_profile(1.8)
    original = read(deep_with_profile(file_format, DEEP[kind], profile))
    assert_samples(original, DEEP[kind])


def srgb_of(light):
    return np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )


@pytest.mark.parametrize("gamma", [1, 1.8, 2.2])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_brought_to_the_curve_of_srgb(file_format, gamma):
    levels = np.arange(2**16, dtype=np.uint16).reshape(256, 256, 1)
    original = read(deep_with_profile(file_format, levels, grey_profile(gamma)))
    curve = original.samples.ravel().astype(float)
    assert (np.diff(curve) >= 0).all()
    expected = 65535 * srgb_of(
        (levels.ravel() / 65535) ** (round(256 * gamma) / 256)
    )
    # A third of one of 255 levels, where 8 bits would be half of one off.
    assert np.abs(curve - expected).max() < 257 / 3
    assert np.abs(curve - expected).mean() < 10


def test_grey_of_8_bits_is_brought_to_the_curve_of_srgb():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    encoded = saved(
        Image.fromarray(levels), "PNG", icc_profile=grey_profile(1.8)
    )
    original = read(encoded)
    assert original.samples.shape == (16, 16, 1)
    expected = 255 * srgb_of((levels / 255) ** 1.8)
    np.testing.assert_allclose(original.samples[..., 0], expected, atol=2)


# === Files ===


def test_pngs_of_16_bits_are_valid():
    original = Original(
        NOISE[..., :3], NOISE[..., 3], exif_of(1), (300, 300), "PNG"
    )
    encoded = encode(NOISE[..., :3], original, ".png")
    assert encoded[24:26] == bytes([16, 6])  # bits, colour type
    image = Image.open(io.BytesIO(encoded))
    image.verify()  # the checksums
    assert image.size == (48, 32)
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert image.getexif()[ExifTags.Base.Make] == "Zeiss"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 70_000), (900, 300)])
def test_tiffs_are_read_by_others(dtype, shape):
    rgba = np.random.default_rng(0).integers(
        0, np.iinfo(dtype).max, (*shape, 4), dtype
    )
    original = Original(
        rgba[..., :3], rgba[..., 3], exif_of(1), (300, 300), "TIFF"
    )
    encoded = encode(rgba[..., :3], original, ".tif")
    with tifffile.TiffFile(io.BytesIO(encoded)) as file:
        page = file.pages.first
        np.testing.assert_array_equal(page.asarray(), rgba)
        assert page.tags["Make"].value == "Zeiss"
        assert page.tags["ExifTag"].value["ExposureTime"] == 0.008
        assert page.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
    image = Image.open(io.BytesIO(encoded))
    assert image.mode == "RGBA"
    image.load()


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("a.jpg", ".jpg"),
        ("family/b.JPEG", ".JPEG"),
        ("c.d.png", ".png"),
        ("smile.gif", ".png"),
        ("smile.GIF", ".png"),
        ("scan", ".png"),
    ],
)
def test_a_coloured_photo_has_the_suffix_of_its_original(path, suffix):
    assert suffix_for(path) == suffix


def test_every_photo_that_is_found_has_a_suffix_that_can_be_written():
    for suffix in photos.SUFFIXES:
        assert suffix_for("photo" + suffix) in WRITABLE


def test_an_unknown_suffix_is_named_with_those_that_are_known():
    original = Original(PATTERN, None, None, None, "PNG")
    with pytest.raises(UserError, match=r"'\.gif'.*\.jpg.*\.png"):
        encode(PATTERN, original, ".gif")


@pytest.mark.parametrize(
    ("suffix", "side"), [(".jpg", 65_501), (".webp", 16_384)]
)
def test_a_photo_too_large_for_a_format_is_refused_in_words(suffix, side):
    rgb = np.zeros((1, side, 3), np.uint8)
    original = Original(rgb, None, None, None, "PNG")
    with pytest.raises(UserError, match=f"{side}: write a .png"):
        encode(rgb, original, suffix)
    fits = rgb[:, :-1]
    assert read(encode(fits, original, suffix)).samples.shape == fits.shape


# === Broken files ===

FILES = {
    "jpeg": saved(Image.fromarray(PATTERN), "JPEG", exif=exif_of()),
    "cmyk jpeg": saved(Image.fromarray(PATTERN).convert("CMYK"), "JPEG"),
    "png": saved(
        Image.fromarray(PATTERN), "PNG", icc_profile=swapped_profile()
    ),
    "palette png": saved(Image.fromarray(PATTERN).quantize(6), "PNG"),
    "webp": saved(Image.fromarray(PATTERN), "WEBP", exif=exif_of()),
    "gif": saved(Image.fromarray(PATTERN), "GIF"),
    "bmp": saved(Image.fromarray(PATTERN), "BMP"),
    "tiff": saved(Image.fromarray(PATTERN), "TIFF", exif=exif_of()),
    "float tiff": saved_tiff(PATTERN.astype(np.float32)),
    **{
        f"{kind} png": saved_png(
            DEEP[kind][:4, :6], (b"eXIf", exif_of()[6:]), (b"tRNS", b"ab" * 3)
        )
        for kind in DEEP
    },
    **{
        f"{kind} tiff, {compression}, {planarconfig}": saved_tiff(
            DEEP[kind][:4, :6],
            compression=compression,
            planarconfig=planarconfig,
            iccprofile=grey_profile(1.8),
        )
        for kind in DEEP
        for compression in (None, "zlib")
        for planarconfig in ("contig", "separate")
    },
}


def assert_broken_alike(encoded):
    """Whether a file is broken, and why, is decided once for all."""
    try:
        expected = photos.decode(encoded)
    except photos.BrokenPhoto as error:
        with pytest.raises(photos.BrokenPhoto, match=f"^{error}$"):
            read(encoded)
        return
    original = read(encoded)
    height, width, bands = original.samples.shape
    assert (height, width, 3) == expected.shape
    assert bands in (1, 3)
    assert original.samples.dtype in (np.uint8, np.uint16)
    if original.alpha is not None:
        assert original.alpha.shape == (height, width)
        assert original.alpha.dtype == original.samples.dtype


@pytest.mark.parametrize("kind", FILES)
def test_what_is_decoded_is_what_is_read(kind):
    original = read(FILES[kind])
    expected = photos.decode(FILES[kind])
    if original.alpha is None:
        samples = coloured(original).astype(int)
        if original.samples.dtype == np.uint16:
            samples = samples >> 8
        assert np.abs(samples - expected).max() <= 2
    assert_broken_alike(FILES[kind])


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_anywhere_is_read_or_broken(kind):
    for length in range(0, len(FILES[kind]), 50):
        assert_broken_alike(FILES[kind][:length])


@given(kind=st.sampled_from(sorted(FILES)), data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_file_with_wrong_bytes_is_read_or_broken(kind, data):
    encoded = bytearray(FILES[kind])
    places = st.integers(0, len(encoded) - 1)
    wrong_bytes = st.dictionaries(places, st.integers(0, 255), max_size=8)
    for place, byte in data.draw(wrong_bytes).items():
        encoded[place] = byte
    # So that a wrong size does not fill the memory.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
        assert_broken_alike(bytes(encoded))


def test_too_many_pixels_are_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    for kind in ("jpeg", "png", "tiff", "float tiff"):
        with pytest.raises(photos.BrokenPhoto, match="^larger than"):
            read(FILES[kind])


def test_planes_that_only_pillow_can_read_have_8_bits(monkeypatch):
    def fail(encoded):
        raise ValueError("a compression that needs another package")

    monkeypatch.setattr(photos.RareTiff, "read", fail)
    encoded = FILES["rgb tiff, zlib, separate"]
    np.testing.assert_array_equal(
        read(encoded).samples, DEEP["rgb"][:4, :6] >> 8
    )


def test_a_tiff_with_fewer_bands_than_its_colours_is_broken():
    encoded = bytearray(saved_tiff(np.ones((4, 6, 2), np.float32)))
    with tifffile.TiffFile(io.BytesIO(encoded)) as file:
        place = file.pages.first.tags["PhotometricInterpretation"].valueoffset
    encoded[place : place + 2] = struct.pack("<H", 2)  # RGB
    with pytest.raises(photos.BrokenPhoto, match="^damaged$"):
        photos.decode(bytes(encoded))
    assert_broken_alike(bytes(encoded))


@pytest.mark.parametrize("encoded", [b"", b"hello", b"II*\0" + bytes(99)])
def test_what_is_no_photo_is_broken(encoded):
    assert_broken_alike(encoded)
