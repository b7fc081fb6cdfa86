"""The picture formats: what each can hold, and how a file's first bytes tell which one it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from unveil.errors import UnreadablePicture, UnsupportedPicture, UnwritablePicture
from unveil.images import tags


@dataclass(frozen=True, slots=True)
class Format:
    """What one file format can hold. `max_side` is its longest side in pixels, `quality` its default (None:
    lossless).
    """

    name: str
    printed: str
    suffixes: tuple[str, ...]
    writable: bool = True
    deep: bool = False
    grey: bool = True
    alpha: bool = True
    metadata: bool = True
    max_side: int = 2**31 - 1
    quality: int | None = None


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        known.name: known
        for known in (
            Format("jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), alpha=False, max_side=65_500, quality=95),
            Format("png", "PNG", (".png",), deep=True),
            Format("webp", "WebP", (".webp",), grey=False, max_side=16_383, quality=95),
            Format("tiff", "TIFF", (".tif", ".tiff"), deep=True),
            Format("avif", "AVIF", (".avif",), deep=True, grey=False, max_side=16_384, quality=90),
            Format("bmp", "BMP", (".bmp", ".dib"), alpha=False, metadata=False),
            Format("heic", "HEIC", (".heic", ".heif", ".hif"), writable=False, deep=True),
            Format("gif", "GIF", (".gif",), writable=False),
        )
    }
)

# fmt: off
RAW_SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
"""The extensions of camera RAW files, which are refused with advice."""
# fmt: on

_RAW_STARTS = (
    b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR",
)  # fmt: skip
_FOREIGN_STARTS = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"DDS ", "DirectDraw surface"),
    (b"qoif", "QOI"),
)
_NETPBM = frozenset(b"P" + bytes([digit]) for digit in b"1234567Ff")
_AVIF_BRANDS = frozenset({b"avif", b"avis", b"avio"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_CFA_PHOTOMETRICS = frozenset({32803, 34892})
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 65000, 65535})

_RAW_ADVICE = "camera RAW is not read; develop it with your camera's program or darktable to a 16-bit TIFF or PNG first"
_WRITABLE = ", ".join(suffix for known in FORMATS.values() if known.writable for suffix in known.suffixes[:1])


def recognise(stream: BinaryIO, path: Path | None) -> str:
    """The format's name (a key of `FORMATS`), from the content; the file's name only tells RAW files from other
    TIFFs.

    Leaves `stream` at its beginning. Raises UnreadablePicture (empty, or no picture that we know) and
    UnsupportedPicture (a known kind that is not read).
    """
    head = stream.read(512)
    stream.seek(0)
    if not head:
        raise UnreadablePicture(path, "the file is empty")
    if head.startswith(_RAW_STARTS):
        raise UnsupportedPicture(path, _RAW_ADVICE)
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return _recognise_tiff(stream, path, head)
    if head[4:8] == b"ftyp":
        return _recognise_boxes(path, head)
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "bmp"
    for start, printed in _FOREIGN_STARTS:
        if head.startswith(start):
            raise _refused(path, printed)
    if head[:2] in _NETPBM and head[2:3].isspace():
        raise _refused(path, "Netpbm")
    if b"<svg" in head:
        raise _refused(path, "SVG")
    if path is not None and path.suffix.lower() in RAW_SUFFIXES:
        raise UnsupportedPicture(path, _RAW_ADVICE)
    raise UnreadablePicture(path, f"not a picture: its first bytes fit none of {_printed_names()}")


def _recognise_tiff(stream: BinaryIO, path: Path | None, head: bytes) -> str:
    if head[8:10] == b"CR" or (path is not None and path.suffix.lower() in RAW_SUFFIXES):
        raise UnsupportedPicture(path, _RAW_ADVICE)
    wanted = (tags.PHOTOMETRIC, tags.COMPRESSION, tags.SUB_DIRECTORIES, tags.DNG_VERSION)
    try:
        header = tags.read_header(stream)
        first = tags.read_directory(stream, header, header.first, wanted=wanted)[0]
        below = tags.numbers(first, tags.SUB_DIRECTORIES, header.order)[:8]
        directories = [first, *(tags.read_directory(stream, header, at, wanted=wanted)[0] for at in below)]
    except tags.TagsError as error:
        raise UnreadablePicture(path, f"a damaged or cut off TIFF file: {error}") from error
    finally:
        stream.seek(0)
    for directory in directories:
        photometric = tags.number(directory, tags.PHOTOMETRIC, header.order)
        compression = tags.number(directory, tags.COMPRESSION, header.order)
        if photometric in _CFA_PHOTOMETRICS or compression in _RAW_COMPRESSIONS or tags.DNG_VERSION in directory:
            raise UnsupportedPicture(path, _RAW_ADVICE)
    return "tiff"


def _recognise_boxes(path: Path | None, head: bytes) -> str:
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))]
    if brands[0] == b"crx ":
        raise UnsupportedPicture(path, _RAW_ADVICE)
    if _AVIF_BRANDS.intersection(brands):
        return "avif"
    if _HEIC_BRANDS.intersection(brands):
        return "heic"
    name = brands[0].decode("ascii", "replace").strip()
    raise UnsupportedPicture(path, f"a video or another file made of boxes ({name}), not a photograph")


def _refused(path: Path | None, printed: str) -> UnsupportedPicture:
    return UnsupportedPicture(path, f"{printed} files are not read; convert it to PNG or TIFF first")


def _printed_names() -> str:
    return ", ".join(known.printed for known in FORMATS.values())


def output_format(path: Path | None, name: str | None) -> Format:
    """The format to write: the one called `name`, or else the one that `path`'s extension says (in any case).

    Raises UnwritablePicture for an unknown name or extension, and for formats that are only read.
    """
    if name is not None:
        chosen = FORMATS.get(name.lower())
        if chosen is None:
            raise UnwritablePicture(path, f"unknown format {name!r}; it can be one of {_writable_names()}")
    else:
        suffix = "" if path is None else path.suffix.lower()
        chosen = next((known for known in FORMATS.values() if suffix in known.suffixes), None)
        if chosen is None:
            found = f"the extension {suffix!r} says no format" if suffix else "the name has no extension"
            raise UnwritablePicture(path, f"{found}; use one of {_WRITABLE}")
    if not chosen.writable:
        raise UnwritablePicture(path, f"{chosen.printed} is read but not written; use one of {_WRITABLE}")
    return chosen


def _writable_names() -> str:
    return ", ".join(known.name for known in FORMATS.values() if known.writable)
