"""Pictures of flat blocks and of blobs, and files that Pillow cannot write."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

# Six flat blocks of 16 x 16, so that lossy formats keep their centres.
BLOCKS = np.array(
    [
        [[255, 255, 255], [200, 30, 40], [20, 160, 60]],
        [[30, 60, 190], [0, 0, 0], [130, 120, 10]],
    ],
    np.uint8,
)
PATTERN = BLOCKS.repeat(16, axis=0).repeat(16, axis=1)


def save_blobs(folder, count, blocks=2, size=(14, 14)):
    """Saves photos of so many coloured blobs along each side."""
    random = np.random.default_rng(0)
    for number in range(count):
        blobs = random.integers(0, 256, (blocks, blocks, 3), np.uint8)
        photo = Image.fromarray(blobs).resize(size, Image.BILINEAR)
        photo.save(folder / f"{number}.png")


def saved(image, file_format, **options):
    """The content of a file that Pillow writes."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png_of(width, height, depth, colour_type, rows=b"", *chunks):
    """The content of a PNG of any kind, or of a header alone."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    encoded = b"\x89PNG\r\n\x1a\n"
    for kind, body in [
        (b"IHDR", header),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        encoded += struct.pack(">I", len(body)) + kind + body + checksum
    return encoded
