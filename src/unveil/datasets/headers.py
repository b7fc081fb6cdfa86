"""Width and height of a picture file from its header alone."""

from __future__ import annotations

import struct
from pathlib import Path

from unveil.errors import UnreadablePicture
from unveil.images import libvips


def read_size(path: Path) -> tuple[int, int]:
    """Width and height as stored, without decoding and without applying an orientation.

    Raises UnreadablePicture for a header that cannot be read.
    """
    if path.suffix.lower() == ".bmp":
        return _read_bmp(path)
    vips = libvips.load()
    try:
        image = vips.Image.new_from_file(str(path), access="sequential")
    except vips.Error as error:
        raise UnreadablePicture(path, f"its header cannot be read ({libvips.reason(error)})") from error
    return int(image.width), int(image.height)


def _read_bmp(path: Path) -> tuple[int, int]:
    # libvips' wheel has no BMP; the size stands behind the file header of 14 bytes (BITMAPINFOHEADER).
    try:
        with path.open("rb") as stream:
            head = stream.read(26)
    except OSError as error:
        raise UnreadablePicture(path, f"cannot be read ({error.strerror or error})") from error
    if len(head) < 26 or head[:2] != b"BM":
        raise UnreadablePicture(path, "is called .bmp and is no BMP file")
    (length,) = struct.unpack_from("<I", head, 14)
    width, height = struct.unpack_from("<HH", head, 18) if length == 12 else struct.unpack_from("<ii", head, 18)
    return int(width), abs(int(height))
