"""EXIF blocks: what is cut off, what goes into a TIFF and comes out of it again."""

from __future__ import annotations

import io
import struct

import pytest
from photographs import gradient

from unveil import images
from unveil.images import Picture, exif, tags

# ImageDescription, Make, Model, Software, DateTime, Artist, HostComputer, Rating, RatingPercent, Copyright, and the
# title, comment, author, keywords and subject of Windows.
ABOUT_PHOTOGRAPH = (
    *(0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298),
    *(0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
)
FOREIGN = (0x010D, 0x9C9A, 0x9CA0)
SIDE = 8 + 2 + 4


def block(entries, *, order="<", following=0, behind=b""):
    table = b"".join(struct.pack(order + "HHII", *entry) for entry in sorted(entries))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "H", len(entries)) + table + struct.pack(order + "I", following) + behind


def read(data):
    stream = io.BytesIO(data)
    header = tags.read_header(stream)
    return tags.read_directory(stream, header, header.first)[0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", ABOUT_PHOTOGRAPH)
def test_what_is_said_of_the_photograph_goes_through_a_tiff(tag, order):
    text = struct.unpack(order + "I", b"abc\0")[0]
    said = block([(entry, 2, 4, text) for entry in (tag, *FOREIGN)], order=order)
    carried = images.read(images.encode(Picture(gradient(4, 4), exif=said), "tiff")).exif
    assert carried is not None
    found = read(carried)
    assert isinstance(found[tag], tags.Entry)
    assert found[tag].data == b"abc\0"
    assert not set(found) & (set(ABOUT_PHOTOGRAPH) | set(FOREIGN)) - {tag}


def test_a_tiff_that_says_nothing_of_its_photograph_has_no_block():
    assert images.read(images.encode(Picture(gradient(4, 4)), "tiff")).exif is None
    assert images.read(images.encode(Picture(gradient(4, 4), exif=block([(0x0112, 3, 1, 1)])), "tiff")).exif is None


def second(entries, behind):
    """A block whose second directory, at byte 14, has these tags, and bytes behind it."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return block([], following=SIDE, behind=struct.pack("<H", len(entries)) + table + bytes(4) + behind)


PLACED = SIDE + 2 + 2 * 12 + 4


@pytest.mark.parametrize("rest", range(5))
def test_a_thumbnail_that_lies_last_is_cut_off(rest):
    entries = [(tags.THUMBNAIL_OFFSET, 4, 1, PLACED), (tags.THUMBNAIL_LENGTH, 4, 1, 50)]
    data = second(entries, b"t" * 50 + bytes(rest))
    left = exif.upright(data, sides_swapped=False)
    assert left == data[:10] + bytes(4) + data[14:PLACED]
    assert b"t" not in left


@pytest.mark.parametrize(
    ("entries", "behind"),
    [
        ([], b""),
        ([(tags.THUMBNAIL_OFFSET, 4, 1, SIDE + 18)], b"t" * 50),
        ([(tags.THUMBNAIL_LENGTH, 4, 1, 50)], b"t" * 50),
        ([(tags.THUMBNAIL_OFFSET, 4, 1, PLACED), (tags.THUMBNAIL_LENGTH, 4, 1, 50)], b"t" * 50 + b"notes"),
        ([(tags.THUMBNAIL_OFFSET, 4, 1, SIDE), (tags.THUMBNAIL_LENGTH, 4, 1, 5000)], b"t" * 50),
        ([(tags.THUMBNAIL_OFFSET, 4, 1, PLACED + 51), (tags.THUMBNAIL_LENGTH, 4, 1, 50)], b"t" * 50),
        ([(tags.EXIF, 4, 1, SIDE)], b""),
    ],
    ids=["says nothing", "no length", "no place", "not last", "over its directory", "beyond the end", "in a ring"],
)
def test_a_thumbnail_that_cannot_be_cut_off_is_only_no_longer_pointed_at(entries, behind):
    data = second(entries, behind)
    assert exif.upright(data, sides_swapped=False) == data[:10] + bytes(4) + data[14:]


def test_a_directory_of_thumbnails_that_is_not_there_is_no_longer_pointed_at():
    data = block([], following=5000)
    assert exif.upright(data, sides_swapped=False) == block([])


def test_resolution_may_differ_from_side_to_side():
    entries = [(tags.X_RESOLUTION, 5, 1, 38), (tags.Y_RESOLUTION, 5, 1, 46)]
    data = block(entries, behind=struct.pack("<IIII", 508, 20, 508, 10))
    assert exif.resolution(data) == (25.4, 50.8)
    assert images.read(images.encode(Picture(gradient(), exif=data), "png")).resolution == pytest.approx((25.4, 50.8))


@pytest.mark.parametrize("more", [0, 1])
def test_the_new_directory_of_a_tiff_begins_at_an_even_place(more):
    plain = images.encode(Picture(gradient()), "tiff")
    plain = plain.ljust(len(plain) + len(plain) % 2 + more, b"\0")
    whole = exif.into_tiff(plain, block([(0x010F, 2, 4, struct.unpack("<I", b"abc\0")[0])]))
    at = struct.unpack_from("<I", whole, 4)[0]
    assert at == len(plain) + more
    assert (whole[8 : len(plain)], whole[len(plain) : at]) == (plain[8:], bytes(more))
    picture = images.read(whole)
    assert picture.exif is not None
    assert read(picture.exif)[0x010F].data == b"abc\0"
