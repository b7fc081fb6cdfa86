"""Leaving out where a picture was taken, or everything that is known about it."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Literal, TypeAlias

from unveil.images import tags
from unveil.images.picture import Picture

What: TypeAlias = Literal["none", "location", "all"]


def strip(picture: Picture, what: What) -> Picture:
    """The picture without its position (EXIF and XMP), or without EXIF and XMP; the colour profile always stays.

    An XMP packet that speaks of a position is left out whole: there are too many ways to write one. So is an EXIF block
    that cannot be read.
    """
    match what:
        case "none":
            return picture
        case "all":
            return replace(picture, exif=None, xmp=None)
        case "location":
            xmp = picture.xmp
            return replace(
                picture,
                exif=None if picture.exif is None else without_position(picture.exif),
                xmp=None if xmp is None or _speaks_of_place(xmp) else xmp,
            )


def has_position(picture: Picture) -> bool:
    """Whether the picture's metadata say where it was taken."""
    if picture.xmp is not None and _speaks_of_place(picture.xmp):
        return True
    if picture.exif is None:
        return False
    try:
        stream = io.BytesIO(picture.exif)
        header = tags.read_header(stream)
        tags.read_directory(stream, header, header.first)
        return _points_to_position(picture.exif, header)
    except (tags.TagsError, struct.error):
        return False


def without_position(block: bytes) -> bytes | None:
    """An EXIF block without its GPS directory; maker notes may lose inner references. None if it cannot be read."""
    try:
        stream = io.BytesIO(block)
        header = tags.read_header(stream)
        found = tags.read_directory(stream, header, header.first)[0]
    except (tags.TagsError, struct.error):
        return None
    # A directory that we cannot read is not in `found`, and others may make something of it.
    if tags.GPS not in found and not _points_to_position(block, header):
        return block
    found.pop(tags.GPS, None)
    mark = b"II" if header.order == "<" else b"MM"
    return mark + struct.pack(header.order + "HI", 42, 8) + tags.pack(found, header.order, 8)


def _points_to_position(block: bytes, header: tags.Header) -> bool:
    """Whether the first directory of a block that `tags` has read has the tag, whatever it leads to."""
    if header.big:
        return True
    count = struct.unpack_from(header.order + "H", block, header.first)[0]
    places = range(header.first + 2, header.first + 2 + 12 * count, 12)
    return any(struct.unpack_from(header.order + "H", block, place)[0] == tags.GPS for place in places)


def _speaks_of_place(packet: bytes) -> bool:
    # UTF-16 and UTF-32 packets have zeros between the letters.
    letters = packet.replace(b"\0", b"").lower()
    return any(word in letters for word in (b"gps", b"latitude", b"location", b":city", b":state", b":country"))
