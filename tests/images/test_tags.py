"""Directories of tags: whatever they say, reading them takes bounded time and memory."""

from __future__ import annotations

import io
import struct
import time

import pytest
from photographs import exif_block, gradient

from unveil import images
from unveil.images import Picture, exif, metadata, tags

# What one value of each kind is to struct: TIFF 6.0 section 2, its supplement (13) and BigTIFF (16 to 18).
KINDS = dict(enumerate(["B", "B", "H", "I", "II", "b", "B", "h", "i", "ii", "f", "d", "I"], 1)) | {
    16: "Q",
    17: "q",
    18: "Q",
}
BIG = b"MM\0+\0\x08\0\0" + struct.pack(">Q", 16) + struct.pack(">Q", 0) + bytes(8)


def block(entries, *, order="<", behind=b""):
    table = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "H", len(entries)) + table + bytes(4) + behind


def read(data, **options):
    stream = io.BytesIO(data)
    header = tags.read_header(stream)
    return tags.read_directory(stream, header, header.first, **options)[0]


def test_the_same_bytes_are_not_taken_a_thousand_times():
    length = 4 << 20
    data = block([(0x9000 + index, 1, length, 20_000) for index in range(1000)]).ljust(20_000 + length, b"\1")
    found = read(data)
    assert 1 <= len(found) <= 8
    with pytest.raises(tags.TagsError, match="more than 32 MiB"):
        read(data, strict=True)


def test_directories_that_point_at_themselves_come_to_an_end():
    started = time.process_time()
    found = read(block([(tags.EXIF, 4, 1, 8)] * 4000))
    assert time.process_time() - started < 3
    assert set(found) <= {tags.EXIF}


def test_the_entries_of_all_directories_are_counted():
    assert len(read(block([(0x9000 + index % 4000, 3, 1, 7) for index in range(4096)]))) == 4000
    with pytest.raises(tags.TagsError, match="a directory of 4097 tags"):
        read(block([(1, 3, 1, 7)] * 4097))


@pytest.mark.parametrize("first", [2**63, 2**64 - 1, 2**40])
def test_a_place_that_no_file_has_is_an_error_of_its_own(first, tmp_path):
    data = b"II+\0\x08\0\0\0" + struct.pack("<Q", first) + bytes(40)
    with pytest.raises(tags.TagsError):
        read(data)
    path = tmp_path / "far.tif"
    path.write_bytes(data)
    with path.open("rb") as stream, pytest.raises(tags.TagsError):
        tags.read_directory(stream, tags.read_header(stream), first)


@pytest.mark.parametrize("mark", [b"II\x29\0", b"MM\0\x2c", b"MM*\0", b"XX*\0"])
def test_what_is_neither_tiff_nor_bigtiff_is_an_error_of_its_own(mark):
    with pytest.raises(tags.TagsError, match=r"instead of 42|no byte order"):
        tags.read_header(io.BytesIO(mark + bytes(40)))


def test_a_value_of_more_than_16_mib_is_left_out():
    assert not read(block([(0x9000, 1, (1 << 24) + 1, 50)], behind=bytes(1 << 24) + bytes(100)))
    assert read(block([(0x9000, 1, 1 << 24, 50)], behind=bytes(1 << 24) + bytes(100)))


def test_a_block_written_as_bigtiff_is_neither_turned_nor_carried():
    with pytest.raises(tags.TagsError, match="BigTIFF"):
        exif.upright(BIG, sides_swapped=False)
    picture = Picture(gradient(), exif=BIG)
    assert metadata.without_position(BIG) is None or metadata.has_position(picture)


def test_an_orientation_of_an_odd_type_is_left_as_it_is():
    for entry in ((tags.ORIENTATION, 4, 1, 6), (tags.ORIENTATION, 3, 2, 6)):
        data = block([entry])
        assert exif.upright(data, sides_swapped=False) == data


def test_sides_are_swapped_only_where_both_are_said_in_one_way():
    for details, swapped in (
        ([(tags.PIXEL_WIDTH, 4, 1, 64), (tags.PIXEL_HEIGHT, 4, 1, 48)], (48, 64)),
        ([(tags.PIXEL_WIDTH, 3, 1, 64), (tags.PIXEL_HEIGHT, 4, 1, 48)], (64, 48)),
        ([(tags.PIXEL_WIDTH, 4, 1, 64)], (64, None)),
    ):
        inner = struct.pack("<H", len(details)) + b"".join(struct.pack("<HHII", *entry) for entry in details) + bytes(4)
        turned = exif.upright(block([(tags.EXIF, 4, 1, 26)], behind=inner), sides_swapped=True)
        found = read(turned)[tags.EXIF]
        assert (tags.number(found, tags.PIXEL_WIDTH, "<"), tags.number(found, tags.PIXEL_HEIGHT, "<")) == swapped


@pytest.mark.parametrize(
    ("unit", "entry", "wanted"),
    [
        (2, (5, 1), (240.0, 240.0)),
        (3, (5, 1), (609.6, 609.6)),
        (1, (5, 1), None),
        (2, (4, 1), None),
        (2, (5, 2), None),
    ],
)
def test_resolution_is_read_in_inches_and_centimetres_only(unit, entry, wanted):
    kind, count = entry
    entries = [(tags.X_RESOLUTION, kind, count, 50), (tags.Y_RESOLUTION, kind, count, 50)]
    data = block([*entries, (tags.RESOLUTION_UNIT, 3, 1, unit)], behind=struct.pack("<IIII", 240, 1, 240, 1))
    found = exif.resolution(data)
    assert found is None if wanted is None else found == pytest.approx(wanted)


def test_a_resolution_of_nothing_is_none():
    entries = [(tags.X_RESOLUTION, 5, 1, 38), (tags.Y_RESOLUTION, 5, 1, 38)]
    for above, below in ((0, 1), (72, 0)):
        assert exif.resolution(block(entries, behind=struct.pack("<II", above, below))) is None
    assert exif.resolution(b"no block") is None


def test_nothing_is_stripped_where_nothing_was_asked():
    picture = Picture(gradient(), exif=exif_block())
    assert metadata.strip(picture, "none") is picture
    assert metadata.strip(picture, "all").exif is None


def test_exif_does_not_go_into_a_bigtiff():
    with pytest.raises(tags.TagsError, match="BigTIFF"):
        exif.into_tiff(BIG, exif_block())
    with pytest.warns(images.PictureWarning, match="left out of the TIFF"):
        images.encode(Picture(gradient(), exif=b"no block"), "tiff")


@pytest.mark.parametrize(("kind", "value"), [(1, 200), (3, 40_000), (4, 3_000_000_000), (13, 9)])
def test_whole_numbers_of_every_size_are_read(kind, value):
    found = read(block([(0x9000, kind, 1, value)]))
    assert tags.number(found, 0x9000, "<") == value
    assert tags.number(found, 0x9001, "<") is None
    assert tags.numbers(read(block([(0x9000, 2, 1, 65)])), 0x9000, "<") == ()


def values_of(kind, count):
    """So many values as bytes, little endian first and then big endian."""
    form = KINDS[kind] * count
    data = bytes(range(1, 1 + struct.calcsize("<" + form)))
    return data, struct.pack(">" + form, *struct.unpack("<" + form, data))


def in_bigtiff(tag, kind, count, value, behind):
    table = struct.pack("<HHQ", tag, kind, count) + value + bytes(8)
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1) + table + behind


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_values_of_every_kind_are_read_whole(kind, count):
    value, _ = values_of(kind, count)
    place, behind = (value.ljust(4, b"\0"), b"") if len(value) <= 4 else (struct.pack("<I", 26), value)
    expected = tags.Entry(kind, count, value, 26 if behind else 18)
    assert read(block([(0x9000, kind, count, struct.unpack("<I", place)[0])], behind=behind)) == {0x9000: expected}
    place, behind = (value.ljust(8, b"\0"), b"") if len(value) <= 8 else (struct.pack("<Q", 52), value)
    expected = tags.Entry(kind, count, value, 52 if behind else 36)
    assert read(in_bigtiff(0x9000, kind, count, place, behind)) == {0x9000: expected}


@pytest.mark.parametrize("kind", KINDS)
def test_values_mean_the_same_in_the_other_byte_order(kind):
    little, big = values_of(kind, 3)
    there = tags.reorder({9: {0x9000: tags.Entry(kind, 3, little, 40)}}, "<", ">")
    assert there == ({9: {}} if kind in (16, 17, 18) else {9: {0x9000: tags.Entry(kind, 3, big, 0)}})
    if kind not in (16, 17, 18):
        assert tags.reorder(there, ">", "<") == {9: {0x9000: tags.Entry(kind, 3, little, 0)}}


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_directory_of_every_kind_survives_packing(order):
    packed = {
        0x9000 + 32 * kind + count: tags.Entry(kind, count, values_of(kind, count)[order == ">"], 0)
        for kind in KINDS
        for count in (1, 3)
    }
    made = {**packed, tags.EXIF: packed | {tags.INTEROPERABILITY: packed}, tags.GPS: packed}
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    data = head + tags.pack(made, order, 8)

    def placeless(directory):
        return {
            tag: placeless(value) if isinstance(value, dict) else tags.Entry(value.kind, value.count, value.data, 0)
            for tag, value in directory.items()
        }

    assert placeless(read(data, strict=True)) == made


@pytest.mark.parametrize(("kind", "value"), [(16, 2**40), (18, 2**63)])
def test_whole_numbers_of_a_bigtiff_are_read(kind, value):
    found = read(in_bigtiff(0x9000, kind, 1, struct.pack("<Q", value), b""))
    assert tags.number(found, 0x9000, "<") == value
