"""Leaving out where a picture was taken."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from photographs import exif_block
from PIL import Image

from unveil.images import Picture
from unveil.images.metadata import has_position, strip, without_position

BLOCK = exif_block()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description dc:title="a walk"/></x:xmpmeta>'
PLACE = XMP.replace(b"dc:title", b"exif:GPSLongitude")


def picture(**metadata: bytes) -> Picture:
    return Picture(np.zeros((4, 4, 3), np.uint8), **metadata)  # pyright: ignore[reportArgumentType]


def tags(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return exif


def test_only_the_position_goes():
    left = without_position(BLOCK)
    assert left is not None
    assert not tags(left).get_ifd(0x8825)
    assert tags(left)[0x010F] == "Synthetic"
    assert tags(left).get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    assert b"\x00\x00\x002\x00\x00\x00\x01" not in left


def test_a_block_without_position_stays_as_it_is():
    left = without_position(BLOCK)
    assert left is not None
    assert without_position(left) == left


def directory(entries: list[tuple[int, int, int, int]], *, following: int = 0, order: str = "<") -> bytes:
    table = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(entries))
    return head + table + struct.pack(order + "I", following)


@pytest.mark.parametrize("count", [0, 1, 2, 12, 30])
def test_a_block_without_position_comes_back_byte_for_byte(count):
    # As no other program than its maker's would lay it out; and 0x8825 is no tag where it is the place of a thumbnail.
    block = directory([(0x9000 + tag, 4, 1, 0x8825) for tag in reversed(range(count))], following=0x8825) + b"notes"
    assert without_position(block) == block
    assert not has_position(picture(exif=block))
    assert strip(picture(exif=block), "location").exif == block


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("place", [0, 1, 2, 14, 29])
def test_a_position_goes_wherever_its_tag_stands(place, order):
    for target in (5000, 8 + 2 + 12 * 30 + 4):
        entries = [(0x9000 + tag, 3, 1, 0) for tag in range(30)]
        entries[place] = (0x8825, 4, 1, target)
        block = directory(entries, order=order) + directory([(1, 2, 2, 0x4E)], order=order)[8:]
        assert has_position(picture(exif=block))
        left = without_position(block)
        assert left is not None
        assert sorted(tags(left)) == sorted({tag for tag, *_ in entries} - {0x8825})
        assert not has_position(picture(exif=left))


@pytest.mark.parametrize(
    ("layout", "found", "instead"),
    [
        ("HHI", (0x8825, 4, 1), (0x8825, 7, 1)),
        ("HHI", (0x8825, 4, 1), (0x8825, 99, 1)),
        ("HHI", (2, 5, 3), (2, 5, 0xFFFFFFF)),
    ],
    ids=["pointer", "type", "entry"],
)
def test_a_position_that_we_cannot_read_goes_too(layout, found, instead):
    order = "<" if BLOCK[:2] == b"II" else ">"
    damaged = BLOCK.replace(struct.pack(order + layout, *found), struct.pack(order + layout, *instead))
    assert damaged != BLOCK
    assert has_position(picture(exif=damaged))
    left = without_position(damaged)
    assert left is not None
    assert 0x8825 not in tags(left)
    assert tags(left)[0x010F] == "Synthetic"


@pytest.mark.parametrize("block", [b"", b"II*\0", b"rubbish that is no block", BLOCK[:20], b"II\x29" + bytes(40)])
def test_a_damaged_block_goes_as_a_whole(block):
    assert without_position(block) is None
    assert not has_position(picture(exif=block))


@pytest.mark.parametrize("packet", [PLACE, PLACE.decode().encode("utf-16"), PLACE.decode().encode("utf-32")])
def test_a_packet_that_speaks_of_a_place_goes_as_a_whole(packet):
    assert has_position(picture(xmp=packet))
    assert strip(picture(xmp=packet), "location").xmp is None
    assert strip(picture(xmp=packet), "none").xmp == packet


def test_pictures_without_metadata_have_nothing_to_lose():
    assert not has_position(picture())
    assert not has_position(picture(xmp=XMP))
    assert strip(picture(xmp=XMP), "location").xmp == XMP
    assert has_position(picture(exif=BLOCK))
    assert not has_position(strip(picture(exif=BLOCK), "location"))
