"""Putting an EXIF block, unchanged, into an encoded JPEG, PNG or WebP file.

libvips would take the block apart and write its own version of it: unknown tags lost, made-up ones added.
"""

from __future__ import annotations

import struct
import zlib

from unveil.images import exif

JPEG_ROOM = 65_533 - len(exif.marked(b""))
"""The longest EXIF block that fits a JPEG file, in bytes."""


def into_jpeg(file: bytes, block: bytes) -> bytes:
    """The JPEG file with the block in an APP1 segment, behind the JFIF segment if there is one."""
    at = 2
    if file[2:4] == b"\xff\xe0":
        at += 2 + int.from_bytes(file[4:6], "big")
    payload = exif.marked(block)
    return file[:at] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + file[at:]


def into_png(file: bytes, block: bytes) -> bytes:
    """The PNG file with the block in an eXIf chunk behind the header chunk (PNG third edition, 11.3.4.5)."""
    at = 8 + 12 + 13
    body = b"eXIf" + block
    return file[:at] + struct.pack(">I", len(block)) + body + struct.pack(">I", zlib.crc32(body)) + file[at:]


def into_webp(file: bytes, block: bytes, *, width: int, height: int, alpha: bool) -> bytes:
    """The WebP file with the block in an EXIF chunk behind the pixels (WebP container specification, extended
    format).
    """
    chunks = list(_webp_chunks(file))
    if chunks[0][0] != b"VP8X":
        flags = 0x10 if alpha else 0
        canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks.insert(0, (b"VP8X", bytes((flags, 0, 0, 0)) + canvas))
    extended = chunks[0][1]
    chunks[0] = (b"VP8X", bytes((extended[0] | 0x08,)) + extended[1:])
    before_xmp = next((index for index, (name, _) in enumerate(chunks) if name == b"XMP "), len(chunks))
    chunks.insert(before_xmp, (b"EXIF", block))
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunks(file: bytes):
    at = 12
    while at + 8 <= len(file):
        length = int.from_bytes(file[at + 4 : at + 8], "little")
        yield file[at : at + 4], file[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
