"""An EXIF block inside JPEG, PNG and WebP files: where it lies, and that the rest of the file stays what it was."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from photographs import XMP, exif_block, gradient, known_profile, pillow_file
from PIL import Image

from unveil import images
from unveil.images import Picture, PictureWarning, containers

BLOCK = exif_block()
ALPHA = gradient()[..., 0].copy()


def segments(file: bytes) -> list[tuple[int, bytes]]:
    """Marker and payload of every segment of a JPEG before its pixels."""
    found, at = [], 2
    while file[at + 1] != 0xDA:
        length = struct.unpack_from(">H", file, at + 2)[0]
        found.append((file[at + 1], file[at + 4 : at + 2 + length]))
        at += 2 + length
    return found


def chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of every chunk of a WebP."""
    assert struct.unpack_from("<I", file, 4)[0] == len(file) - 8
    found, at = [], 12
    while at < len(file):
        name, length = struct.unpack_from("<4sI", file, at)
        found.append((name, file[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    assert at == len(file)
    return found


def test_a_jpeg_keeps_its_jfif_segment_before_the_exif():
    plain = pillow_file(Image.fromarray(gradient()), "JPEG")
    first, *others = segments(plain)
    assert first[1].startswith(b"JFIF\0")
    assert segments(containers.into_jpeg(plain, BLOCK)) == [first, (0xE1, b"Exif\0\0" + BLOCK), *others]


def test_a_jfif_segment_with_a_thumbnail_stays_whole():
    plain = pillow_file(Image.fromarray(gradient()), "JPEG")
    [(_, jfif), *others] = segments(plain)
    thumbnail = jfif[:12] + bytes((20, 20)) + bytes(range(240)) * 5
    longer = b"\xff\xd8\xff\xe0" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + plain[4 + 2 + len(jfif) :]
    whole = containers.into_jpeg(longer, BLOCK)
    assert segments(whole) == [(0xE0, thumbnail), (0xE1, b"Exif\0\0" + BLOCK), *others]
    assert np.array_equal(images.read(whole).pixels, images.read(plain).pixels)


def test_a_jpeg_without_jfif_begins_with_the_exif():
    plain = images.encode(Picture(gradient()), "jpeg")
    assert segments(plain)[0][0] != 0xE0
    assert segments(containers.into_jpeg(plain, BLOCK)) == [(0xE1, b"Exif\0\0" + BLOCK), *segments(plain)]


def test_the_longest_block_that_fits_a_jpeg_is_kept_and_no_longer_one():
    longest = BLOCK + bytes(65_535 - 2 - 6 - len(BLOCK))
    assert images.read(images.encode(Picture(gradient(), exif=longest), "jpeg")).exif == longest
    with pytest.warns(PictureWarning, match="EXIF block of 65528 bytes does not fit a JPEG"):
        assert images.read(images.encode(Picture(gradient(), exif=longest + b"\0"), "jpeg")).exif is None


def test_a_png_has_its_exif_behind_the_header_with_a_check_sum():
    plain = pillow_file(Image.fromarray(gradient()), "PNG")
    with_block = containers.into_png(plain, BLOCK)
    chunk = b"eXIf" + BLOCK
    assert with_block[33:] == struct.pack(">I", len(BLOCK)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]


@pytest.mark.parametrize(
    ("picture", "flags"),
    [
        (Picture(gradient(), exif=BLOCK), 0x08),
        (Picture(gradient(), ALPHA, exif=BLOCK), 0x18),
        (Picture(gradient(), exif=BLOCK, xmp=XMP), 0x0C),
        (Picture(gradient(), exif=BLOCK, icc=known_profile("p3")), 0x28),
        (Picture(gradient(), ALPHA, exif=BLOCK, xmp=XMP, icc=known_profile("p3")), 0x3C),
    ],
    ids=["exif", "alpha", "xmp", "profile", "all"],
)
def test_the_header_of_a_webp_says_what_is_in_it(picture, flags):
    parts = chunks(images.encode(picture, "webp"))
    name, header = parts[0]
    assert (name, header[:4]) == (b"VP8X", bytes((flags, 0, 0, 0)))
    assert header[4:] == struct.pack("<I", 63)[:3] + struct.pack("<I", 47)[:3]
    behind_pixels = [name for name, _ in parts if name in (b"EXIF", b"XMP ")]
    assert behind_pixels == ([b"EXIF", b"XMP "] if picture.xmp else [b"EXIF"])
    assert dict(parts)[b"EXIF"] == BLOCK


@pytest.mark.parametrize(("alpha", "flags"), [(False, 0x08), (True, 0x18)])
def test_a_webp_without_a_header_gets_one(alpha, flags):
    made = Image.fromarray(np.dstack([gradient(), ALPHA] if alpha else [gradient()]))
    plain = pillow_file(made, "WEBP", lossless=True)
    assert [name for name, _ in chunks(plain)] == [b"VP8L"]
    whole = containers.into_webp(plain, BLOCK, width=64, height=48, alpha=alpha)
    header = bytes((flags, 0, 0, 0, 63, 0, 0, 47, 0, 0))
    assert chunks(whole) == [(b"VP8X", header), *chunks(plain), (b"EXIF", BLOCK)]
    picture = images.read(whole)
    assert picture.exif == BLOCK
    assert (picture.alpha is not None) == alpha


@pytest.mark.parametrize("length", [len(BLOCK), len(BLOCK) + 1])
def test_the_pixels_of_a_webp_stay_what_they_were(length):
    plain = images.encode(Picture(gradient(), xmp=XMP), "webp")
    block = BLOCK.ljust(length, b"\0")
    before, after = chunks(plain), chunks(containers.into_webp(plain, block, width=64, height=48, alpha=False))
    assert [part for part in after if part[0] != b"EXIF"][1:] == before[1:]
    assert dict(after)[b"EXIF"] == block
    with_block = images.read(images.encode(Picture(gradient(), exif=block), "webp"))
    assert np.array_equal(with_block.pixels, images.read(plain).pixels)


def test_chunks_of_every_length_go_along_in_their_order():
    parts = [(b"VP8X", bytes(10)), (b"odd ", b"abc"), (b"long", bytes((1 << 24) + 1)), (b"XMP ", b"x"), (b"none", b"")]
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in parts)
    file = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    whole = chunks(containers.into_webp(file, BLOCK, width=1, height=1, alpha=False))
    assert whole == [(b"VP8X", b"\x08" + bytes(9)), *parts[1:3], (b"EXIF", BLOCK), *parts[3:]]
