"""EXIF blocks: turning them upright in place, and carrying them out of and into TIFF files.

A block here starts at its TIFF header ("II" or "MM"), without the "Exif" mark that some containers put before it.
"""

from __future__ import annotations

import io
import re
import struct
from typing import BinaryIO

from unveil.images import tags
from unveil.images.tags import TagsError

_MARK = b"Exif\0\0"
# What a TIFF file's own first directory says about the photograph rather than about how its pixels are stored.
_ABOUT_SIZE = frozenset({tags.X_RESOLUTION, tags.Y_RESOLUTION, tags.RESOLUTION_UNIT, tags.ORIENTATION})
_ABOUT_PHOTOGRAPH = frozenset(
    {0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298, tags.EXIF, tags.GPS}
    | set(range(0x9C9B, 0x9CA0))
)
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*=\s*["']|<tiff:Orientation>\s*)[2-8]""")


def bare(block: bytes) -> bytes:
    """The block without the mark before its TIFF header."""
    return block.removeprefix(_MARK)


def marked(block: bytes) -> bytes:
    """The block with the mark that JPEG files and libvips want before it."""
    return _MARK + block


def upright(block: bytes, *, sides_swapped: bool) -> bytes:
    """The block for pixels that have been turned upright: orientation 1, and no thumbnail, which would show the old
    picture.

    Everything else keeps its place, so maker notes stay whole. Raises TagsError for a damaged block.
    """
    stream = io.BytesIO(block)
    header = tags.read_header(stream)
    if header.big:
        raise TagsError("an EXIF block written as BigTIFF")
    first, following, link = tags.read_directory(stream, header, header.first)
    changed = bytearray(block)
    orientation = first.get(tags.ORIENTATION)
    if isinstance(orientation, tags.Entry) and orientation.kind == 3 and orientation.count == 1:
        struct.pack_into(header.order + "H", changed, orientation.position, 1)
    details = first.get(tags.EXIF)
    if sides_swapped and isinstance(details, dict):
        width, height = details.get(tags.PIXEL_WIDTH), details.get(tags.PIXEL_HEIGHT)
        if (
            isinstance(width, tags.Entry)
            and isinstance(height, tags.Entry)
            and len(width.data) == len(height.data) <= 4
        ):
            changed[width.position : width.position + len(width.data)] = height.data
            changed[height.position : height.position + len(height.data)] = width.data
    if not following:
        return bytes(changed)
    struct.pack_into(header.order + "I", changed, link, 0)
    return bytes(changed[: _end_without_thumbnail(stream, header, following)])


def _end_without_thumbnail(stream: BinaryIO, header: tags.Header, offset: int) -> int:
    """Where the block can end: before its thumbnail if that lies last, as it mostly does."""
    end = stream.seek(0, io.SEEK_END)
    try:
        thumbnail = tags.read_directory(stream, header, offset, depth=0)[0]
    except TagsError:
        return end
    start = tags.number(thumbnail, tags.THUMBNAIL_OFFSET, header.order)
    length = tags.number(thumbnail, tags.THUMBNAIL_LENGTH, header.order)
    if start is None or length is None or not offset < start <= end <= start + length + 4:
        return end
    return start


def upright_xmp(packet: bytes) -> bytes:
    """The XMP packet with an orientation of 1 where it speaks of one."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", packet)


def resolution(block: bytes) -> tuple[float, float] | None:
    """Pixels per inch, horizontally and vertically, where the block says so in inches or centimetres."""
    try:
        stream = io.BytesIO(block)
        header = tags.read_header(stream)
        first = tags.read_directory(stream, header, header.first, wanted=_ABOUT_SIZE)[0]
    except TagsError:
        return None
    scale = {2: 1.0, 3: 2.54}.get(tags.number(first, tags.RESOLUTION_UNIT, header.order) or 2)
    sides: list[float] = []
    for tag in (tags.X_RESOLUTION, tags.Y_RESOLUTION):
        entry = first.get(tag)
        if scale is None or not isinstance(entry, tags.Entry) or entry.kind != 5 or entry.count != 1:
            return None
        above, below = struct.unpack(header.order + "II", entry.data)
        if not above or not below:
            return None
        sides.append(above / below * scale)
    return sides[0], sides[1]


def from_tiff(stream: BinaryIO) -> bytes | None:
    """What a TIFF file says about its photograph, as an EXIF block; None where it says nothing.

    Leaves `stream` at its beginning. Maker notes that point to places outside themselves lose what they point to.
    Raises TagsError where a part of it cannot be read.
    """
    wanted = _ABOUT_PHOTOGRAPH | _ABOUT_SIZE
    try:
        header = tags.read_header(stream)
        found = tags.read_directory(stream, header, header.first, wanted=wanted, strict=True)[0]
    finally:
        stream.seek(0)
    if not _ABOUT_PHOTOGRAPH.intersection(found):
        return None
    found = tags.reorder(found, header.order, header.order)
    mark = b"II" if header.order == "<" else b"MM"
    return mark + struct.pack(header.order + "HI", 42, 8) + tags.pack(found, header.order, 8)


def into_tiff(file: bytes, block: bytes) -> bytes:
    """A TIFF file (classic) that also says what the EXIF block says. Raises TagsError if either cannot be read."""
    source = io.BytesIO(block)
    source_header = tags.read_header(source)
    said = tags.read_directory(source, source_header, source_header.first, wanted=_ABOUT_PHOTOGRAPH)[0]
    target = io.BytesIO(file)
    header = tags.read_header(target)
    if header.big:
        raise TagsError("the file is a BigTIFF")
    own = tags.read_directory(target, header, header.first, strict=True)[0]
    merged = tags.reorder(said, source_header.order, header.order) | own
    at = len(file) + len(file) % 2
    return b"".join(
        (
            file[:4],
            struct.pack(header.order + "I", at),
            file[8:].ljust(at - 8, b"\0"),
            tags.pack(merged, header.order, at),
        )
    )
