"""The directories of tags inside TIFF files and EXIF blocks (TIFF 6.0 section 2; BigTIFF; EXIF 2.32 section 4.5).

Reading never trusts an offset or a count, and takes bounded time and memory however directories overlap; a damaged
structure raises TagsError.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

BITS, COMPRESSION, PHOTOMETRIC, SUB_DIRECTORIES = 0x0102, 0x0103, 0x0106, 0x014A
SAMPLE_FORMAT = 0x0153
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
ORIENTATION = 0x0112
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
DNG_VERSION = 0xC612

_POINTERS = frozenset({EXIF, GPS, INTEROPERABILITY})
# Bytes of one value and of the unit in which its byte order is swapped, by type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNITS = {**_SIZES, 5: 4, 10: 4}
_SIGNS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_BIG_ONLY = frozenset({16, 17, 18})
_MOST_ENTRIES = 4096
_LARGEST = 1 << 24
# Honest directories share nothing, but a small hostile block can name the same bytes, or the same directory, thousands
# of times.
_MOST_BYTES = 1 << 25
_MOST_ENTRIES_IN_ALL = 1 << 14


class TagsError(ValueError):
    """Raised when a structure of tags is cut off or contradicts itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag: its type, how many values, their bytes in the directory's byte order, and where they lie in the
    file.
    """

    kind: int
    count: int
    data: bytes
    position: int


Directory: TypeAlias = "dict[int, Entry | Directory]"


@dataclass(frozen=True, slots=True)
class Header:
    """`order` is struct's sign for the byte order, `first` the offset of the first directory."""

    order: str
    big: bool
    first: int


@dataclass(slots=True)
class _Source:
    """What one reading of a directory may take from a stream."""

    stream: BinaryIO
    bytes_left: int = _MOST_BYTES
    entries_left: int = _MOST_ENTRIES_IN_ALL

    def take(self, offset: int, length: int) -> bytes:
        if length > self.bytes_left:
            raise TagsError(f"its tags hold more than {_MOST_BYTES >> 20} MiB")
        self.bytes_left -= length
        return _take(self.stream, offset, length)

    def count(self, entries: int) -> None:
        if entries > min(_MOST_ENTRIES, self.entries_left):
            raise TagsError(f"a directory of {entries} tags")
        self.entries_left -= entries


def read_header(stream: BinaryIO) -> Header:
    """The header at the beginning of `stream`."""
    head = _take(stream, 0, 8)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        raise TagsError("no byte order mark")
    version = struct.unpack_from(order + "H", head, 2)[0]
    if version == 42:
        return Header(order, False, struct.unpack_from(order + "I", head, 4)[0])
    if version == 43:
        return Header(order, True, struct.unpack(order + "Q", _take(stream, 8, 8))[0])
    raise TagsError(f"version {version} instead of 42")


def read_directory(
    stream: BinaryIO,
    header: Header,
    offset: int,
    *,
    wanted: Container[int] | None = None,
    depth: int = 2,
    strict: bool = False,
) -> tuple[Directory, int, int]:
    """The tags at `offset` (all, or the `wanted` ones), the offset of the next directory, and where that offset lies.

    Tags that point to further directories come as directories, `depth` levels deep. Values that cannot be read are
    left out, or with `strict` raise TagsError.
    """
    return _read_directory(_Source(stream), header, offset, wanted, depth, strict)


def _read_directory(
    source: _Source, header: Header, offset: int, wanted: Container[int] | None, depth: int, strict: bool
) -> tuple[Directory, int, int]:
    order, big = header.order, header.big
    count = struct.unpack(order + ("Q" if big else "H"), source.take(offset, 8 if big else 2))[0]
    source.count(count)
    start, size, room = (offset + 8, 20, 8) if big else (offset + 2, 12, 4)
    table = source.take(start, count * size + room)
    found: Directory = {}
    for index in range(count):
        at = index * size
        tag, kind = struct.unpack_from(order + "HH", table, at)
        values = struct.unpack_from(order + ("Q" if big else "I"), table, at + 4)[0]
        if (wanted is not None and tag not in wanted) or kind not in _SIZES:
            continue
        length, position = values * _SIZES[kind], start + at + size - room
        if length > room:
            position = struct.unpack_from(order + ("Q" if big else "I"), table, at + size - room)[0]
        try:
            entry = Entry(kind, values, source.take(position, length), position)
            found[tag] = entry
            if tag in _POINTERS:
                target = number(found, tag, order)
                del found[tag]
                if target is not None and depth:
                    found[tag] = _read_directory(source, header, target, None, depth - 1, strict)[0]
        except TagsError:
            if strict:
                raise
    following = struct.unpack_from(order + ("Q" if big else "I"), table, count * size)[0]
    return found, following, start + count * size


def number(directory: Mapping[int, Entry | Directory], tag: int, order: str) -> int | None:
    """The first value of a tag of whole numbers; None where the tag is missing or holds something else."""
    values = numbers(directory, tag, order)
    return values[0] if values else None


def numbers(directory: Mapping[int, Entry | Directory], tag: int, order: str) -> tuple[int, ...]:
    """All values of a tag of whole numbers; none where the tag is missing or holds something else."""
    entry = directory.get(tag)
    if not isinstance(entry, Entry) or entry.kind not in _SIGNS:
        return ()
    return struct.unpack(f"{order}{entry.count}{_SIGNS[entry.kind]}", entry.data)


def pack(directory: Directory, order: str, at: int) -> bytes:
    """A classic directory as bytes to be placed at offset `at` (even), its values and sub-directories behind it."""
    entries = sorted(directory.items())
    tail_at = at + 2 + 12 * len(entries) + 4
    table, tail = struct.pack(order + "H", len(entries)), b""
    for tag, value in entries:
        if isinstance(value, Entry):
            kind, count, data = value.kind, value.count, value.data
        else:
            kind, count, data = 4, 1, pack(value, order, tail_at + len(tail))
        table += struct.pack(order + "HHI", tag, kind, count)
        if isinstance(value, Entry) and len(data) <= 4:
            table += data.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", tail_at + len(tail))
            tail += data + b"\0" * (len(data) % 2)
    return table + struct.pack(order + "I", 0) + tail


def reorder(directory: Directory, before: str, after: str) -> Directory:
    """The same directory in another byte order, without the tags that only BigTIFF can hold."""
    changed: Directory = {}
    for tag, value in directory.items():
        if not isinstance(value, Entry):
            changed[tag] = reorder(value, before, after)
        elif value.kind not in _BIG_ONLY:
            data, unit = value.data, _UNITS[value.kind]
            if before != after and unit > 1:
                data = b"".join(data[index : index + unit][::-1] for index in range(0, len(data), unit))
            changed[tag] = Entry(value.kind, value.count, data, 0)
    return changed


def _take(stream: BinaryIO, offset: int, length: int) -> bytes:
    if length > _LARGEST:
        raise TagsError(f"a value of {length} bytes")
    try:
        stream.seek(offset)
    except (OverflowError, ValueError, OSError) as error:
        raise TagsError(f"a place {offset} bytes away") from error
    data = stream.read(length)
    if len(data) != length:
        raise TagsError("it ends inside its tags")
    return data
