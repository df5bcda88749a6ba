"""Tests for `kcolor.data.photos`."""

import io
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from patterns import PATTERN, png_of, saved
from PIL import Image, ImageCms, ImageFile

from kcolor.data.photos import (
    SUFFIXES,
    BrokenPhoto,
    decode,
    is_near_grey,
    shrink,
)

# The module silences Pillow where it is imported; pytest undoes that.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL.TiffImagePlugin")

GREY = np.asarray(Image.fromarray(PATTERN).convert("L"))
GREY_PATTERN = np.stack([GREY] * 3, axis=-1)

TURNED = {
    1: PATTERN,
    2: PATTERN[:, ::-1],
    3: PATTERN[::-1, ::-1],
    4: PATTERN[::-1],
    5: PATTERN.swapaxes(0, 1),
    6: np.rot90(PATTERN, -1),
    7: PATTERN[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(PATTERN),
}


def saved_tiff(samples, **options):
    """The content of a file that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def with_tag(encoded, code, value):
    """A little-endian TIFF with another value in a tag that holds one."""
    with tifffile.TiffFile(io.BytesIO(encoded)) as file:
        tag = file.pages.first.tags[code]
    value = struct.pack({3: "<H", 4: "<I"}[tag.dtype], value)
    end = tag.valueoffset + len(value)
    return encoded[: tag.valueoffset] + value + encoded[end:]


def pattern_image(mode):
    """The pattern as a Pillow image."""
    if mode == "I;16":
        return Image.fromarray(GREY.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(GREY.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(GREY.astype(np.float32) / 255)
    if mode == "P":
        return Image.fromarray(PATTERN).quantize(6)
    if mode == "1":
        return Image.fromarray(GREY > 127)
    return Image.fromarray(PATTERN).convert(mode)


def pattern_in(mode):
    """What the pattern must decode to."""
    if mode == "1":
        return np.where(GREY_PATTERN > 127, np.uint8(255), np.uint8(0))
    return PATTERN if mode in ("RGB", "RGBA", "P", "CMYK") else GREY_PATTERN


LOSSLESS = [
    (file_format, mode, options)
    for file_format, modes, options in [
        ("PNG", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"], {}),
        ("BMP", ["1", "L", "P", "RGB"], {}),
        ("GIF", ["1", "L", "P", "RGB"], {}),
        ("WEBP", ["RGB", "RGBA"], {"lossless": True, "exact": True}),
        *[
            (
                "TIFF",
                ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"],
                {"compression": compression},
            )
            for compression in (None, "tiff_lzw", "tiff_adobe_deflate")
        ],
    ]
    for mode in modes
]
LOSSY = [
    ("JPEG", "L", {}),
    ("JPEG", "RGB", {"quality": 90}),
    ("JPEG", "RGB", {"quality": 90, "progressive": True}),
    ("JPEG", "CMYK", {"quality": 90}),
    ("WEBP", "RGB", {"quality": 95}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
]
PLANES = np.moveaxis(PATTERN, -1, 0)
TIFFS = {
    "rgb, 16 bits": (PATTERN * np.uint16(257), {"photometric": "rgb"}),
    "rgb, 16 bits, deflated": (
        PATTERN * np.uint16(257),
        {"photometric": "rgb", "compression": "zlib"},
    ),
    "rgb, 16 bits, big-endian": (
        PATTERN * np.uint16(257),
        {"photometric": "rgb", "byteorder": ">"},
    ),
    "rgb, 16 bits, big file, big-endian": (
        PATTERN * np.uint16(257),
        {"photometric": "rgb", "byteorder": ">", "bigtiff": True},
    ),
    "rgb, 8 bits, in planes": (
        PLANES,
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
    "rgb, 16 bits, in planes": (
        PLANES * np.uint16(257),
        {"photometric": "rgb", "planarconfig": "separate"},
    ),
    "rgb, 16 bits, in planes, deflated": (
        PLANES * np.uint16(257),
        {
            "photometric": "rgb",
            "planarconfig": "separate",
            "compression": "zlib",
        },
    ),
    "rgb, 32 bits": (
        PATTERN * np.uint32(16843009),
        {"photometric": "rgb"},
    ),
    "rgb, floats to 1": (
        PATTERN / np.float32(255),
        {"photometric": "rgb"},
    ),
    "rgb, floats to 255": (
        PATTERN.astype(np.float64),
        {"photometric": "rgb"},
    ),
    "grey, 16 bits, big-endian": (
        GREY * np.uint16(257),
        {"photometric": "minisblack", "byteorder": ">"},
    ),
    "grey, 16 bits, 0 is white": (
        65535 - GREY * np.uint16(257),
        {"photometric": "miniswhite"},
    ),
    "grey, 16 bits, 0 is white, big-endian": (
        65535 - GREY * np.uint16(257),
        {"photometric": "miniswhite", "byteorder": ">"},
    ),
    "grey, 8 bits, 0 is white": (255 - GREY, {"photometric": "miniswhite"}),
    "grey, 32 bits to 255": (
        GREY.astype(np.int32),
        {"photometric": "minisblack"},
    ),
    "grey, 32 bits to their end": (
        GREY * np.uint32(16843009),
        {"photometric": "minisblack"},
    ),
    "grey, 32 bits, big-endian": (
        GREY * np.uint32(16843009),
        {"photometric": "minisblack", "byteorder": ">"},
    ),
    "grey, floats to 65535": (
        GREY * np.float32(257),
        {"photometric": "minisblack"},
    ),
    "grey, floats of 64 bits": (
        GREY / 255,
        {"photometric": "minisblack"},
    ),
    "grey, opaque, 16 bits": (
        np.stack(
            [GREY * np.uint16(257), np.full(GREY.shape, 65535)], -1
        ).astype(np.uint16),
        {
            "photometric": "minisblack",
            "planarconfig": "contig",
            "extrasamples": ["unassalpha"],
        },
    ),
}

FLOAT_TIFF = saved_tiff(np.ones((4, 4, 3), np.float32), photometric="rgb")
GREY_TIFF = saved_tiff(np.ones((4, 4), np.uint8), photometric="minisblack")

# One small file of each kind.
FILES = [
    *[
        saved(pattern_image(mode), file_format, **options)
        for file_format, mode, options in LOSSY + LOSSLESS
    ],
    *[saved_tiff(samples, **options) for samples, options in TIFFS.values()],
]


@pytest.mark.parametrize(("file_format", "mode", "options"), LOSSLESS)
def test_lossless_files_decode_exactly(file_format, mode, options):
    photo = decode(saved(pattern_image(mode), file_format, **options))
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, pattern_in(mode))


@pytest.mark.parametrize(("file_format", "mode", "options"), LOSSY)
def test_lossy_files_decode_to_about_the_same(file_format, mode, options):
    photo = decode(saved(pattern_image(mode), file_format, **options))
    np.testing.assert_allclose(
        photo[8::16, 8::16].astype(int),
        pattern_in(mode)[8::16, 8::16].astype(int),
        atol=5,
    )


@pytest.mark.parametrize("kind", TIFFS)
def test_rare_tiffs_decode_exactly(kind):
    samples, options = TIFFS[kind]
    expected = GREY_PATTERN if kind.startswith("grey") else PATTERN
    np.testing.assert_array_equal(
        decode(saved_tiff(samples, **options)), expected
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_pngs_are_scaled_not_clipped(channels):
    samples = np.zeros((1, 256, channels), ">u2")
    samples[..., :] = np.arange(256).reshape(1, 256, 1) * 256 + 128
    if channels in (2, 4):
        samples[..., -1] = 65535
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    encoded = png_of(256, 1, 16, color_type, b"\0" + samples.tobytes())
    levels = np.arange(256)[:, np.newaxis]
    assert np.abs(decode(encoded)[0].astype(int) - levels).max() <= 1


def test_12_bit_scans_reach_white():
    # Three bytes are two samples, 4095 and 0.
    samples = np.frombuffer(b"\xff\xf0\x00", np.uint8).reshape(1, 3)
    encoded = saved_tiff(samples, photometric="minisblack")
    encoded = with_tag(with_tag(encoded, 256, 2), 258, 12)
    assert decode(encoded)[0].tolist() == [[255] * 3, [0] * 3]


def test_floats_above_white_dim_the_photo_rather_than_clip():
    samples = np.array([[0, 0.3, 1.2]], np.float32)
    encoded = saved_tiff(samples, photometric="minisblack")
    assert decode(encoded)[0, :, 0].tolist() == [0, 64, 255]


def test_floats_that_are_no_numbers_are_black():
    samples = np.array([[np.nan, np.inf, -1, 1, 0.5]], np.float32)
    encoded = saved_tiff(samples, photometric="minisblack")
    assert decode(encoded)[0, :, 0].tolist() == [0, 0, 0, 255, 128]


def test_black_floats_decode():
    encoded = saved_tiff(np.zeros((4, 4), np.float32), photometric="minisblack")
    assert not decode(encoded).any()


def test_lab_tiffs_decode():
    lab = ImageCms.profileToProfile(
        Image.fromarray(PATTERN),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    np.testing.assert_allclose(
        decode(saved(lab, "TIFF")).astype(int), PATTERN.astype(int), atol=8
    )


@pytest.mark.parametrize(
    ("file_format", "mode", "options"),
    [
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
        ("WEBP", "RGBA", {"lossless": True, "exact": True}),
        ("TIFF", "RGBA", {}),
        ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
        ("TIFF", "LA", {}),
    ],
)
def test_transparent_pixels_are_laid_on_white(file_format, mode, options):
    image = Image.new(mode, (3, 1))
    for x, alpha in enumerate([0, 128, 255]):
        colour = (100,) * (len(image.getbands()) - 1)
        image.putpixel((x, 0), (*colour, alpha))
    photo = decode(saved(image, file_format, **options))
    np.testing.assert_allclose(
        photo[0, :, 0].astype(int), [255, 177, 100], atol=1
    )


def test_grey_multiplied_by_alpha_is_laid_on_white():
    samples = np.array([[[0, 0], [50, 128], [100, 255]]], np.uint8)
    encoded = saved_tiff(
        samples,
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["assocalpha"],
    )
    np.testing.assert_allclose(
        decode(encoded)[0, :, 0].astype(int), [255, 177, 100], atol=1
    )


@pytest.mark.parametrize("extrasample", ["unassalpha", "assocalpha"])
def test_transparent_tiffs_of_rare_kinds_are_laid_on_white(extrasample):
    alphas = np.array([[0, 0.5, 1]], np.float32)
    colours = np.full((1, 3, 3), 0.4, np.float32)
    if extrasample == "assocalpha":
        colours = colours * alphas[..., np.newaxis]
    encoded = saved_tiff(
        np.concatenate([colours, alphas[..., np.newaxis]], -1),
        photometric="rgb",
        extrasamples=[extrasample],
    )
    np.testing.assert_allclose(
        decode(encoded)[0, :, 0].astype(int), [255, 178, 102], atol=1
    )


@pytest.mark.parametrize(
    ("file_format", "mode", "transparency"),
    [
        ("PNG", "P", 0),
        ("PNG", "P", bytes([0, 255])),
        ("PNG", "L", 0),
        ("PNG", "RGB", (0, 0, 0)),
        ("GIF", "P", 0),
    ],
)
def test_a_transparent_colour_is_laid_on_white(file_format, mode, transparency):
    image = Image.new(mode, (2, 1))
    if mode == "P":
        image.putpalette([0, 0, 0, 90, 90, 90])
    image.putpixel((1, 0), {"P": 1, "L": 90, "RGB": (90, 90, 90)}[mode])
    encoded = saved(image, file_format, transparency=transparency)
    assert decode(encoded)[0].tolist() == [[255] * 3, [90] * 3]


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {"quality": 90}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_photos_are_turned_upright(file_format, options, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    photo = decode(
        saved(Image.fromarray(PATTERN), file_format, exif=exif, **options)
    )
    expected = TURNED[orientation]
    assert photo.shape == expected.shape
    np.testing.assert_allclose(
        photo[8::16, 8::16].astype(int),
        expected[8::16, 8::16].astype(int),
        atol=5 if file_format == "JPEG" else 0,
    )


@pytest.mark.parametrize("orientation", TURNED)
def test_rare_tiffs_are_turned_upright(orientation):
    encoded = saved_tiff(
        PATTERN / np.float32(255),
        photometric="rgb",
        extratags=[(274, 3, 1, orientation, True)],
    )
    np.testing.assert_array_equal(decode(encoded), TURNED[orientation])


def test_damaged_exif_is_ignored():
    encoded = saved(
        Image.fromarray(PATTERN), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff"
    )
    np.testing.assert_array_equal(decode(encoded), PATTERN)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("GIF", {"save_all": True}),
        ("TIFF", {"save_all": True}),
        ("PNG", {"save_all": True}),
        ("WEBP", {"save_all": True, "lossless": True}),
    ],
)
def test_the_first_frame_is_decoded(file_format, options):
    second = Image.new("RGB", (48, 32), "red")
    encoded = saved(
        Image.fromarray(PATTERN),
        file_format,
        append_images=[second],
        **options,
    )
    np.testing.assert_array_equal(decode(encoded), PATTERN)


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


def red_ink_profile():
    """A CMYK profile of a press with white paper on which each ink is red."""

    def lab(lightness, a, b):
        return bytes([round(lightness * 2.55), a + 128, b + 128])

    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(np.eye(3, dtype=int) << 16).ravel())
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + 4 * ramp
    table += lab(100, 0, 0) + 14 * lab(54, 81, 70) + lab(0, 0, 0)
    table += 3 * ramp
    white = struct.pack(">4s4x3i", b"XYZ ", 63190, 65536, 54061)
    name = b"desc\0\0\0\0" + struct.pack(">I", 4) + b"ink\0" + bytes(79)
    tags = {b"A2B0": table, b"wtpt": white, b"desc": name}

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
        b"prtr",
        b"CMYK",
        b"Lab ",
        b"acsp",
        63190,
        65536,
        54061,
    )
    return header + index + bodies


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_photos_in_srgb_stay_as_they_are(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    image = Image.fromarray(PATTERN)
    encoded = saved(image, file_format, icc_profile=srgb_profile(), **options)
    np.testing.assert_array_equal(decode(encoded), PATTERN)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_photos_in_other_profiles_become_srgb(file_format, mode):
    image = pattern_image(mode)
    encoded = saved(image, file_format, icc_profile=swapped_profile())
    np.testing.assert_allclose(
        decode(encoded).astype(int), PATTERN[..., ::-1].astype(int), atol=1
    )


def test_rare_tiffs_in_other_profiles_become_srgb():
    encoded = saved_tiff(
        PATTERN / np.float32(255),
        photometric="rgb",
        iccprofile=swapped_profile(),
    )
    np.testing.assert_allclose(
        decode(encoded).astype(int), PATTERN[..., ::-1].astype(int), atol=1
    )


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_photos_are_converted_by_their_profile(file_format):
    paper_and_cyan = Image.new("CMYK", (64, 32))
    paper_and_cyan.paste((255, 0, 0, 0), (32, 0, 64, 32))
    profile = red_ink_profile()
    photo = decode(saved(paper_and_cyan, file_format, icc_profile=profile))
    np.testing.assert_allclose(
        photo[16, [16, 48]].astype(int),
        [[255, 255, 255], [255, 0, 0]],
        atol=12,
    )


@pytest.mark.parametrize(
    "profile", [b"", b"garbage", srgb_profile()[:200], red_ink_profile()]
)
def test_profiles_that_are_damaged_or_of_other_colours_are_ignored(profile):
    encoded = saved(Image.fromarray(PATTERN), "TIFF", icc_profile=profile)
    np.testing.assert_array_equal(decode(encoded), PATTERN)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "empty file"),
        (b"\0", "not a picture"),
        (b"hello, world" * 100, "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (FILES[1][:-40], "cut short"),
        (saved(Image.fromarray(PATTERN), "PNG")[:-60], "cut short"),
        (with_tag(FLOAT_TIFF, 256, 0), "no pixels"),
        (b"II*\0" + bytes(100), "damaged"),
        (
            saved_tiff(PATTERN / 255, photometric="rgb")[:-2000],
            "damaged",
        ),
    ],
)
def test_a_broken_file_is_named_for_what_it_is(encoded, reason):
    with pytest.raises(BrokenPhoto, match=f"^{reason}$"):
        decode(encoded)


def photo_or_broken(encoded):
    """Decodes what may be damaged; any error but BrokenPhoto fails the test."""
    try:
        photo = decode(encoded)
    except BrokenPhoto:
        return
    assert photo.dtype == np.uint8
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert photo.size


@pytest.mark.parametrize("encoded", FILES)
def test_a_file_cut_anywhere_is_a_photo_or_broken(encoded):
    for length in {*range(0, 300, 7), *range(0, len(encoded), 97)}:
        photo_or_broken(encoded[:length])


@given(encoded=st.sampled_from(FILES), data=st.data())
def test_a_file_with_wrong_bytes_is_a_photo_or_broken(encoded, data):
    encoded = bytearray(encoded)
    places = st.integers(0, len(encoded) - 1)
    wrong_bytes = st.dictionaries(places, st.integers(0, 255), max_size=8)
    for place, byte in data.draw(wrong_bytes).items():
        encoded[place] = byte
    # So that a wrong size does not fill the memory.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
        photo_or_broken(bytes(encoded))


@given(start=st.sampled_from([file[:8] for file in FILES]), rest=st.binary())
def test_garbage_after_a_good_start_is_broken(start, rest):
    with pytest.raises(BrokenPhoto):
        decode(start + rest)


def too_large_bmp():
    encoded = saved(Image.new("RGB", (1, 1)), "BMP")
    return encoded[:18] + struct.pack("<ii", 60_000, 60_000) + encoded[26:]


def too_large_gif():
    encoded = saved(Image.new("P", (1, 1)), "GIF")
    return encoded[:6] + struct.pack("<HH", 60_000, 60_000) + encoded[10:]


TOO_LARGE = {
    "png": png_of(60_000, 60_000, 8, 2),
    "gif": too_large_gif(),
    "bmp": too_large_bmp(),
    "tiff": with_tag(with_tag(GREY_TIFF, 256, 60_000), 257, 60_000),
    "rare tiff": with_tag(with_tag(FLOAT_TIFF, 256, 60_000), 257, 60_000),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_too_many_pixels_are_refused_before_they_are_decoded(kind, monkeypatch):
    def fail(*args, **kwargs):
        pytest.fail("the pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    with pytest.raises(BrokenPhoto, match="^larger than 179 megapixels$"):
        decode(TOO_LARGE[kind])


def test_the_limit_is_twice_that_of_pillow(monkeypatch):
    square = saved(Image.new("RGB", (100, 100)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    with pytest.warns(Image.DecompressionBombWarning):
        assert decode(square).shape == (100, 100, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4999)
    with pytest.raises(BrokenPhoto, match="larger than"):
        decode(square)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode(square).shape == (100, 100, 3)


def test_large_and_odd_photos_decode_without_a_word():
    # In a process of its own, since pytest has its own filters for warnings.
    program = """
import io
from PIL import Image
from kcolor.data.photos import decode

Image.MAX_IMAGE_PIXELS = 100
for options in [{"exif": b"Exif\\0\\0MM\\0*\\0\\0\\0\\x08\\0\\x09"}, {}]:
    file = io.BytesIO()
    Image.new("RGB", (12, 12)).save(file, "JPEG", **options)
    assert decode(file.getvalue()).shape == (12, 12, 3)
"""
    result = subprocess.run(
        [sys.executable, "-W", "always", "-c", program],
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_many_threads_decode_alike():
    alone = [decode(encoded) for encoded in FILES]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(decode, FILES * 4))
    for index, photo in enumerate(together):
        np.testing.assert_array_equal(photo, alone[index % len(FILES)])


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("shrink_to", [1, 32, 100, 149, 150, 151, 1000])
def test_a_hint_makes_jpegs_smaller_but_never_too_small(mode, shrink_to):
    image = pattern_image(mode).resize((903, 602))
    encoded = saved(image, "JPEG", quality=90)
    whole, photo = decode(encoded), decode(encoded, shrink_to=shrink_to)
    short = min(photo.shape[:2])
    assert short >= min(2 * shrink_to, 602)
    assert short < 4 * shrink_to or short == 76  # an eighth is the least
    difference = shrink(photo, 30).astype(int) - shrink(whole, 30)
    assert np.abs(difference).mean() < 2


def test_a_hint_leaves_other_files_alone():
    encoded = saved(Image.fromarray(PATTERN), "PNG")
    np.testing.assert_array_equal(decode(encoded, shrink_to=2), PATTERN)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_is_of_a_format_that_decodes(suffix):
    file_format = Image.registered_extensions()[suffix]
    encoded = saved(Image.new("RGB", (2, 2), "white"), file_format)
    assert decode(encoded).min() > 250


@pytest.mark.parametrize(
    ("height", "width", "short_side", "shape"),
    [
        (32, 48, 16, (16, 24, 3)),
        (48, 32, 16, (24, 16, 3)),
        (32, 48, 64, (64, 96, 3)),
        (30, 31, 7, (7, 7, 3)),
        (2000, 3000, 20, (20, 30, 3)),
        (1, 500, 1, (1, 500, 3)),
    ],
)
def test_shrinking_sets_the_short_side(height, width, short_side, shape):
    pixels = np.full((height, width, 3), [10, 120, 230], np.uint8)
    resized = shrink(pixels, short_side)
    assert resized.shape == shape
    assert resized.dtype == np.uint8
    assert (resized == [10, 120, 230]).all()


def test_shrinking_to_the_same_size_returns_the_same_array():
    assert shrink(PATTERN, 32) is PATTERN


def test_shrinking_takes_views():
    view = PATTERN[::-1, 4:36]
    np.testing.assert_array_equal(shrink(view, 16), shrink(view.copy(), 16))


def noisy_grey(sigma):
    random = np.random.default_rng(0)
    ramp = np.linspace(20, 235, 64 * 64).reshape(64, 64, 1)
    return (ramp + random.normal(0, sigma, (64, 64, 3))).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "near_grey"),
    [
        (GREY_PATTERN, True),
        (noisy_grey(1), True),
        (
            decode(saved(Image.fromarray(noisy_grey(1)), "JPEG", quality=50)),
            True,
        ),
        (np.uint8(noisy_grey(0) * [1, 0.85, 0.6]), False),  # sepia
        (PATTERN, False),
        (np.full((2, 2, 3), [100, 100, 103], np.uint8), True),
        (np.full((2, 2, 3), [100, 100, 104], np.uint8), False),
        (np.full((2, 2, 3), [255, 0, 128], np.uint8), False),
    ],
    ids=["grey", "noise", "jpeg", "sepia", "colour", "3", "4", "255"],
)
def test_near_grey_is_grey_but_for_noise(pixels, near_grey):
    assert is_near_grey(pixels) is near_grey
