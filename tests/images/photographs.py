"""Small synthetic photographs, and the metadata that real ones carry."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from unveil.images import libvips

DATA = Path(__file__).parent / "data"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """Red 4x, green 5y, blue 2(x + y): the picture inside the HEIC files."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 4, y * 5, (x + y) * 2], axis=-1).astype(np.uint8)


def gradient16(height: int = 48, width: int = 64) -> np.ndarray:
    """Like `gradient`, with values that need all 16 bits."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 1021, y * 1361 + 3, 65535 - (x + y) * 577], axis=-1).astype(np.uint16)


def exif_block(orientation: int = 1, *, thumbnail: bool = False) -> bytes:
    """A block as cameras write it: make, GPS, a maker note, a tag that nobody knows; for a 64 x 48 picture."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Synthetic", "Camera 1", orientation
    exif[0x011A], exif[0x011B], exif[0x0128] = 240.0, 240.0, 2
    details = exif.get_ifd(0x8769)
    details[0x829A], details[0x9003] = 0.01, "2024:05:06 07:08:09"
    details[0x927C], details[0xC0DE] = b"MakerNote" + bytes(range(50)), "unknown to everybody"
    details[0xA002], details[0xA003] = 64, 48
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (50.0, 30.0, 12.5)
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    return _with_thumbnail(block) if thumbnail else block


def _with_thumbnail(block: bytes) -> bytes:
    order = "<" if block[:2] == b"II" else ">"
    first = struct.unpack_from(order + "I", block, 4)[0]
    link = first + 2 + 12 * struct.unpack_from(order + "H", block, first)[0]
    jpeg, at = b"\xff\xd8" + b"thumb" * 40 + b"\xff\xd9", len(block)
    entries = ((0x0201, 4, 1, at + 30), (0x0202, 4, 1, len(jpeg)))
    table = struct.pack(order + "H", 2) + b"".join(struct.pack(order + "HHII", *entry) for entry in entries) + bytes(4)
    return block[:link] + struct.pack(order + "I", at) + block[link + 4 :] + table + jpeg


def grey_profile(gamma: float) -> bytes:
    """An ICC profile for grey with a power law as its tone curve."""
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(gamma * 256))})


def table_profile(*names: bytes) -> bytes:
    """An ICC profile for RGB by tables, as of a device that sees no colours, only lightness: the mean of the channels.

    names: its tables: A2B0 (perceptual) and A2B1 (relative) lead to L*a*b*, B2A0 and B2A1 back.
    """
    corners = [[at >> 2, at >> 1 & 1, at & 1] for at in range(8)]
    into = [[round(255 * sum(corner) / 3), 128, 128] for corner in corners]
    back = [[255 * corner[0]] * 3 for corner in corners]
    head = b"mft1" + bytes(4) + bytes((3, 3, 2, 0)) + struct.pack(">9i", *(65536 * (at % 4 == 0) for at in range(9)))
    curves = bytes(range(256)) * 3
    made = {name: head + curves + bytes(np.uint8(into if name[:1] == b"A" else back)) + curves for name in names}
    return _profile(b"RGB ", b"Lab ", made)


def _profile(space: bytes, connection: bytes, ways: dict[bytes, bytes]) -> bytes:
    parts = [
        (b"desc", b"desc" + bytes(4) + struct.pack(">I", 5) + b"ours\0" + bytes(78)),
        (b"wtpt", b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)),
        *ways.items(),
        (b"cprt", b"text" + bytes(4) + b"none\0\0\0\0"),
    ]
    table, body, start = struct.pack(">I", len(parts)), b"", 128 + 4 + 12 * len(parts)
    for name, part in parts:
        table += name + struct.pack(">II", start + len(body), len(part))
        body += part + bytes(-len(part) % 4)
    head = struct.pack(
        ">I4xI4s4s4s12x4s", 128 + len(table) + len(body), 0x02100000, b"mntr", space, connection, b"acsp"
    )
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def known_profile(name: str) -> bytes:
    """A profile that comes with libvips: "p3", "srgb" or "cmyk"."""
    return bytes(libvips.load().Operation.call("profile_load", name))


def pillow_file(image: Image.Image, form: str, **options: object) -> bytes:
    """A file as Pillow writes it."""
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()
