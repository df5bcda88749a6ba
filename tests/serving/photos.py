"""Photos, and what is sent in their place."""

import io
import math
import struct
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def pixels(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Returns smooth colours, (height, width, 3) uint8."""
    random = np.random.default_rng(seed)
    blobs = random.integers(0, 256, (3, 3, 3), np.uint8)
    return np.array(Image.fromarray(blobs).resize((width, height)))


def encoded(photo: np.ndarray, kind="PNG", mode: str = "RGB", **options):
    """Returns a photo as a file's bytes."""
    file = io.BytesIO()
    Image.fromarray(photo).convert(mode).save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """Returns a PNG's pixels."""
    with Image.open(io.BytesIO(data)) as photo:
        assert photo.format == "PNG"
        return np.array(photo.convert("RGB"))


def size_of(data: bytes) -> tuple[int, int]:
    """Returns width and height of what is in a PNG."""
    height, width = decoded(data).shape[:2]
    return width, height


def chunk(name: bytes, data: bytes, crc: int | None = None) -> bytes:
    """Returns a part of a PNG file, with a checksum that may be wrong."""
    if crc is None:
        crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def png(
    width: int,
    height: int,
    rows: bytes,
    *,
    depth: int = 8,
    kind: int = 2,
    crcs: tuple[int | None, int | None] = (None, None),
) -> bytes:
    """Returns a PNG file part by part.

    Args:
        width: int, as its header says.
        height: int, as its header says.
        rows: bytes, the rows, compressed.
        depth: int, bits.
        kind: int, PNG's colour type: 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA.
        crcs: The checksums of the header and of the rows, None the right one.
    """
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        SIGNATURE
        + chunk(b"IHDR", header, crcs[0])
        + chunk(b"IDAT", rows, crcs[1])
        + chunk(b"IEND", b"")
    )


def plain_rows(width: int, height: int, bytes_per_pixel: float) -> bytes:
    """Returns rows of one grey that compress to next to nothing."""
    row = b"\0" + b"\x7f" * math.ceil(width * bytes_per_pixel)
    compress = zlib.compressobj(9)
    return b"".join(
        [*(compress.compress(row) for _ in range(height)), compress.flush()]
    )


GOOD = encoded(pixels(20, 13))
GOOD_JPEG = encoded(pixels(24, 17), "JPEG")
_ROWS = plain_rows(20, 13, 3)


_BROKEN_EXIF = (
    b"",
    b"II*\0",
    b"II*\0\xff\xff\xff\xff",
    b"MM\0*\xff\xff\xff\xff\xff\xff",
    b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\xff\xff" * 9,
)


def _turned(photo: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo, "JPEG", exif=exif.tobytes())


def _unusual() -> dict[str, tuple[bytes, tuple[int, int]]]:
    photo = pixels(20, 13, seed=1)
    alpha = Image.fromarray(photo).convert("RGBA")
    alpha.putalpha(90)
    return {
        "1x1": (encoded(pixels(1, 1)), (1, 1)),
        "1 wide": (encoded(pixels(1, 40)), (1, 40)),
        "1 high": (encoded(pixels(300, 1), "JPEG"), (300, 1)),
        "grey": (encoded(photo, mode="L"), (20, 13)),
        "grey and alpha": (encoded(photo, mode="LA"), (20, 13)),
        "RGBA": (encoded(np.array(alpha), mode="RGBA"), (20, 13)),
        "palette": (encoded(photo, mode="P"), (20, 13)),
        "1 bit": (encoded(photo, mode="1"), (20, 13)),
        "16 bits": (
            png(20, 13, plain_rows(20, 13, 6), depth=16),
            (20, 13),
        ),
        "16 bits of grey": (
            png(20, 13, plain_rows(20, 13, 2), depth=16, kind=0),
            (20, 13),
        ),
        "16 bits of RGBA": (
            png(20, 13, plain_rows(20, 13, 8), depth=16, kind=6),
            (20, 13),
        ),
        "JPEG": (GOOD_JPEG, (24, 17)),
        "grey JPEG": (encoded(photo, "JPEG", "L"), (20, 13)),
        "CMYK JPEG": (encoded(photo, "JPEG", "CMYK"), (20, 13)),
        "progressive JPEG": (
            encoded(photo, "JPEG", progressive=True),
            (20, 13),
        ),
        "JPEG on its side": (_turned(photo, 6), (13, 20)),
        "JPEG upside down": (_turned(photo, 3), (20, 13)),
        "JPEG turned as nobody knows": (_turned(photo, 99), (20, 13)),
        **{
            f"JPEG with broken EXIF {number}": (
                encoded(photo, "JPEG", exif=b"Exif\0\0" + exif),
                (20, 13),
            )
            for number, exif in enumerate(_BROKEN_EXIF)
        },
        "JPEG of 9000 comments": (
            GOOD_JPEG[:2] + 9000 * b"\xff\xfe\0\2" + GOOD_JPEG[2:],
            (24, 17),
        ),
        "PNG and more behind it": (GOOD + b"more", (20, 13)),
    }


def _broken() -> dict[str, bytes]:
    photo = pixels(20, 13, seed=2)
    header, rows = len(SIGNATURE) + 25, 60
    flipped = bytearray(GOOD)
    flipped[header + 12 : header + 16] = b"\xff\x00\xff\x00"
    return {
        "nothing": b"",
        "text": b"A photo of a cat.",
        "zeros": bytes(1000),
        "the signature alone": SIGNATURE,
        "JPEG's first bytes alone": b"\xff\xd8\xff\xe0",
        **{
            f"{name} cut at {part:.0%}": data[: int(part * len(data))]
            for name, data in (("PNG", GOOD), ("JPEG", GOOD_JPEG))
            for part in (0.02, 0.2, 0.5, 0.9)
        },
        "PNG without its rows": png(20, 13, b""),
        "PNG with too few rows": png(20, 13, plain_rows(20, 5, 3)),
        "PNG with a wrong checksum of its header": png(
            20, 13, _ROWS, crcs=(1, None)
        ),
        "PNG with a wrong checksum of its rows": png(
            20, 13, _ROWS, crcs=(None, 1)
        ),
        "PNG with broken zlib": bytes(flipped),
        "PNG with rows that are not zlib": png(20, 13, b"rows" * rows),
        "PNG of no size": png(0, 0, _ROWS),
        "PNG that says 60000x60000": png(60000, 60000, _ROWS),
        "PNG that says the largest there is": png(2**31 - 1, 2**31 - 1, _ROWS),
        "JPEG that says 65000x65000": _enlarged(GOOD_JPEG),
        "GIF": encoded(photo, "GIF", "P"),
        "BMP": encoded(photo, "BMP"),
        "WebP": encoded(photo, "WEBP"),
        "TIFF": encoded(photo, "TIFF"),
    }


def _enlarged(jpeg: bytes) -> bytes:
    """Returns a JPEG whose header says 65000 x 65000."""
    frame = jpeg.index(b"\xff\xc0")
    size = struct.pack(">HH", 65000, 65000)
    return jpeg[: frame + 5] + size + jpeg[frame + 9 :]


# Name: the file, and the width and height of the answer.
UNUSUAL = _unusual()
# Name: the file, which is refused.
BROKEN = _broken()


def bomb() -> bytes:
    """Returns a whole PNG of 20000x20000 that is small as a file."""
    side = 20000
    return png(side, side, plain_rows(side, side, 1 / 8), depth=1, kind=0)
