"""Files that somebody made to do harm, or that a fault spoilt: bombs, and metadata that lies."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from odd_case import OddFile
from odd_files import chunk, noise, png, sound, with_jpeg_width
from PIL import Image

from unveil import images
from unveil.errors import PictureTooLarge, UnreadablePicture
from unveil.images import Picture, containers

sys.path.append(str(Path(__file__).parents[1] / "images"))

from photographs import exif_block, known_profile, pillow_file

TIFF_END = 1 << 24


def bombs() -> Iterator[OddFile]:
    group = "Bombs"

    def large(words: str, name: str, make: object) -> OddFile:
        return OddFile(group, words, name, make, PictureTooLarge, "megapixels, the limit is")  # type: ignore[arg-type]

    yield large("PNG of 400 megapixels in 0.4 MB", "bomb.png", deflated_bomb)
    yield large("PNG that says 100000 x 100000", "claim.png", lambda: png((100_000, 100_000, 8, 2), b""))
    yield OddFile(
        group,
        "PNG that says 2147483647 x 2147483647",
        "wild claim.png",
        lambda: png((2**31 - 1, 2**31 - 1, 8, 2), b""),
        UnreadablePicture,
        "cannot be decoded",
    )
    yield large("JPEG that says 65500 x 65500", "claim.jpg", claimed_jpeg)
    yield large("GIF that says 65535 x 65535", "claim.gif", lambda: claimed_gif(65_535))
    yield large("WebP that says 16383 x 16383", "claim.webp", claimed_webp)
    yield large("BMP that says 2147483647 x 2147483647", "claim.bmp", claimed_bmp)
    yield large("TIFF that says 100000 x 100000", "claim.tif", claimed_tiff)
    yield OddFile(
        group,
        "TIFF of a tile of 2^31 x 2^31",
        "tile.tif",
        claimed_tile,
        UnreadablePicture,
        "cannot be decoded",
    )
    yield OddFile(group, "JPEG of 5000 scans", "scans.jpg", many_scans, UnreadablePicture, "cannot be decoded")
    yield OddFile(
        group,
        "PNG with a profile that unpacks to 300 MB",
        "profile bomb.png",
        lambda: png((64, 48, 8, 2), rows(), before=chunk(b"iCCP", b"icc\0\0" + zipped_zeros(300 << 20))),
        None,
        "",
        noise(),
    )
    yield OddFile(
        group,
        "PNG with 20 texts that unpack to 10 MB each",
        "text bomb.png",
        lambda: png((64, 48, 8, 2), rows(), before=chunk(b"zTXt", b"key\0\0" + zipped_zeros(10 << 20)) * 20),
        None,
        "",
        noise(),
    )
    yield OddFile(
        group,
        "EXIF whose 2000 tags are the same 4 MB",
        "tag bomb.png",
        lambda: containers.into_png(sound("png"), overlapping_tags()),
        None,
        "",
        noise(),
    )
    yield OddFile(
        group,
        "EXIF whose directories point at themselves 1000 times",
        "loop bomb.png",
        lambda: containers.into_png(sound("png"), looping_tags()),
        None,
        "",
        noise(),
    )


def rows() -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in noise())


def zipped_zeros(length: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(length >> 20)) + packer.flush()


def deflated_bomb() -> bytes:
    side = 20_000
    packer = zlib.compressobj(9)
    row = bytes(1 + side)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png((side, side, 8, 0), body, compressed=True)


def claimed_jpeg() -> bytes:
    data = with_jpeg_width(sound("jpeg"), 65_500)
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">H", 65_500) + data[at + 2 :]


def claimed_gif(side: int) -> bytes:
    data = bytearray(sound("gif"))
    data[6:10] = struct.pack("<HH", side, side)
    at = data.index(b"\x2c\0\0\0\0")
    data[at + 5 : at + 9] = struct.pack("<HH", side, side)
    return bytes(data)


def claimed_webp() -> bytes:
    data = bytearray(pillow_file(Image.fromarray(noise()), "WEBP", lossless=True))
    at = data.index(b"VP8L") + 9
    data[at : at + 4] = struct.pack("<I", struct.unpack_from("<I", data, at)[0] & ~0xFFFFFFF | 16_382 | 16_382 << 14)
    return bytes(data)


def claimed_bmp() -> bytes:
    side = 2**31 - 1
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(60)


def tiff(entries: list[tuple[int, int, int, int]]) -> bytes:
    """A classic TIFF of one directory of (tag, type, count, value)."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + bytes(400)


def claimed_tiff() -> bytes:
    side = 100_000
    told = [(0x100, 4, 1, side), (0x101, 4, 1, side), (0x102, 3, 1, 8), (0x103, 3, 1, 1), (0x106, 3, 1, 1)]
    return tiff([*told, (0x111, 4, 1, 200), (0x115, 3, 1, 1), (0x116, 4, 1, side), (0x117, 4, 1, 100)])


def claimed_tile() -> bytes:
    side = 2**31
    told = [(0x100, 4, 1, 64), (0x101, 4, 1, 64), (0x102, 3, 1, 8), (0x103, 3, 1, 1), (0x106, 3, 1, 1)]
    return tiff(
        [*told, (0x115, 3, 1, 1), (0x142, 4, 1, side), (0x143, 4, 1, side), (0x144, 4, 1, 200), (0x145, 4, 1, 9)]
    )


def many_scans() -> bytes:
    """A progressive JPEG whose last scan is there thousands of times: small, and endless work for a naive decoder."""
    data = pillow_file(Image.fromarray(noise(64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 5000 + data[-2:]


def overlapping_tags() -> bytes:
    count, length = 2000, 4 << 20
    table = b"".join(struct.pack("<HHII", 0x9000 + index, 1, length, 40_000) for index in range(count))
    return (b"II*\0" + struct.pack("<IH", 8, count) + table + bytes(4)).ljust(40_000 + length, b"\1")


def looping_tags() -> bytes:
    count = 1000
    table = struct.pack("<HHII", 0x8769, 4, 1, 8) * count
    return b"II*\0" + struct.pack("<IH", 8, count) + table + bytes(4)


def metadata() -> Iterator[OddFile]:
    group = "Broken metadata"
    block, left_out = exif_block(), "EXIF block is damaged and left out"
    profile = known_profile("p3")

    plain = images.read(sound("jpeg")).pixels

    def exif(words: str, name: str, spoilt: bytes, said: str = "") -> OddFile:
        return OddFile(group, words, name, lambda: containers.into_jpeg(sound("jpeg"), spoilt), None, said, plain)

    far = block[:4] + b"\xff" * 4 + block[8:]
    big = b"MM\0+\0\x08\0\0" + b"\xff" * 8 + bytes(40)
    yield exif("EXIF of random bytes", "exif random.jpg", np.random.default_rng(1).bytes(400), left_out)
    yield exif("EXIF that ends in its directory", "exif cut.jpg", block[:20], left_out)
    yield exif("EXIF whose first directory is 4 GB away", "exif far.jpg", far, left_out)
    yield exif("EXIF whose values lie outside", "exif values.jpg", block[: len(block) // 2])
    yield exif("EXIF written as BigTIFF, 2^64 bytes away", "exif big.jpg", big, left_out)
    yield OddFile(
        group,
        "BigTIFF whose directory is 2^64 bytes away",
        "big far.tif",
        lambda: b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(40),
        UnreadablePicture,
        "damaged or cut off TIFF",
    )
    for words, name, spoilt in (
        ("ICC profile of random bytes", "icc random.tif", np.random.default_rng(2).bytes(600)),
        ("ICC profile cut off", "icc cut.tif", profile[: len(profile) // 2]),
        ("ICC profile with a wrong length", "icc length.tif", b"\xff\xff\xff\xff" + profile[4:]),
        ("ICC profile of another colour space", "icc cmyk.tif", known_profile("cmyk")),
        ("ICC profile whose tables point outside", "icc tables.tif", with_wild_tables(profile)),
    ):
        yield OddFile(
            group,
            words,
            name,
            lambda spoilt=spoilt: pillow_file(Image.fromarray(noise()), "TIFF", icc_profile=spoilt),
            None,
            "ICC profile is damaged",
            noise(),
        )
    yield OddFile(
        group,
        "XMP of random bytes",
        "xmp random.png",
        lambda: images.encode(Picture(noise(), xmp=np.random.default_rng(4).bytes(300)), "png"),
        pixels=noise(),
    )


def with_wild_tables(profile: bytes) -> bytes:
    changed = bytearray(profile)
    for at in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12):
        struct.pack_into(">II", changed, at + 4, 0xFFFFFF00, 0xFFFFFF)
    return bytes(changed)


def damaged_files() -> list[OddFile]:
    """All of them, in the order of the table."""
    return [*bombs(), *metadata()]
