"""Decoding by libvips: JPEG, PNG, WebP, TIFF, AVIF and GIF."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unveil.errors import UnreadablePicture, UnsupportedPicture
from unveil.images import colour, exif, libvips, tags
from unveil.images.decoded import Decoded, check_size
from unveil.images.depth import fill
from unveil.images.formats import FORMATS
from unveil.images.warning import warn

_LOADERS = {
    "jpeg": "jpegload_source",
    "png": "pngload_source",
    "webp": "webpload_source",
    "tiff": "tiffload_source",
    "avif": "heifload_source",
    "gif": "gifload_source",
}
# Their loaders map the file into memory, and a file that somebody cuts short at that time would end the process.
_MAPPED = frozenset({"jpeg", "webp", "gif"})
_PAGES = {"gif": "frames of an animation", "webp": "frames of an animation", "avif": "pictures", "tiff": "pages"}
_COLOUR = frozenset({"srgb", "rgb", "rgb16", "b-w", "grey16", "multiband"})
_KINDS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex floating-point"}
_LAB_PHOTOMETRICS = frozenset({8, 9, 10})
_DEPTH_ADVICE = "convert it to 8 or 16 bits (unsigned) first"
_COLOUR_ADVICE = "convert it to RGB or grey first"
_DAMAGED = "cannot be decoded as {}: it is cut off, damaged or of a rare kind ({})"


def decode(stream: BinaryIO, path: Path | None, name: str, pixel_limit: int) -> Decoded:
    """Decode the first picture in the file; `name` is its format. Nothing that is cut off or damaged is let
    through.
    """
    vips = libvips.load()
    said = _read_tiff_tags(stream, path) if name == "tiff" else None
    by_name = path is not None and name not in _MAPPED and _libvips_can_name(path)
    source = vips.Source.new_from_file(str(path)) if by_name else vips.Source.new_from_memory(stream.read())
    try:
        image = _open(source, path, name, pixel_limit)
        orientation = image.get("orientation") if image.get_typeof("orientation") else 1
        values = libvips.array_of(image)
    except vips.Error as error:
        cause = _DAMAGED.format(FORMATS[name].printed, libvips.reason(error))
        raise UnreadablePicture(path, cause) from error
    if name == "avif" and values.dtype == np.uint16:
        values = fill(values.astype(np.uint16, copy=False), _whole(image, "bits-per-sample"))
    block = said if name == "tiff" else _blob(image, "exif-data")
    return Decoded(
        values=values,
        icc=None if image.get_typeof("unveil-converted") else _blob(image, "icc-profile-data"),
        exif=None if block is None else exif.bare(block),
        xmp=_blob(image, "xmp-data"),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        resolution=_resolution(image),
    )


def _libvips_can_name(path: Path) -> bool:
    """Whether the path means the same file to libvips, which takes names in UTF-8 only, as to Python."""
    try:
        return os.fspath(path).encode() == os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _read_tiff_tags(stream: BinaryIO, path: Path | None) -> bytes | None:
    """The EXIF block of a TIFF file. Refuses values and colours for which libvips has only cryptic messages."""
    wanted = (tags.BITS, tags.SAMPLE_FORMAT, tags.PHOTOMETRIC)
    try:
        header = tags.read_header(stream)
        found = tags.read_directory(stream, header, header.first, wanted=wanted)[0]
    finally:
        stream.seek(0)
    bits = max(tags.numbers(found, tags.BITS, header.order), default=1)
    kind = max(tags.numbers(found, tags.SAMPLE_FORMAT, header.order), default=1)
    if kind in _KINDS and (kind != 1 or bits not in (1, 2, 4, 8, 16)):
        raise UnsupportedPicture(path, f"has {bits}-bit {_KINDS[kind]} values; {_DEPTH_ADVICE}")
    if tags.number(found, tags.PHOTOMETRIC, header.order) in _LAB_PHOTOMETRICS:
        raise UnsupportedPicture(path, f"has L*a*b* colours; {_COLOUR_ADVICE}")
    try:
        return exif.from_tiff(stream)
    except tags.TagsError as error:
        warn(path, f"its EXIF block is damaged and left out ({error})")
        return None


def _open(source: libvips.Image, path: Path | None, name: str, pixel_limit: int) -> libvips.Image:
    loader = getattr(libvips.load().Image, _LOADERS[name])
    image = loader(source, access="sequential", fail_on="error")
    check_size(path, image.width, image.height, pixel_limit)
    pages = _whole(image, "n-pages")
    if pages > 1 and name in _PAGES:
        warn(path, f"has {pages} {_PAGES[name]}; only the first is used")
    if image.format not in ("uchar", "ushort"):
        raise UnsupportedPicture(path, f"has {image.format} values; {_DEPTH_ADVICE}")
    if image.interpretation == "cmyk":
        return _converted(image, path)
    if image.interpretation not in _COLOUR or image.bands > 4:
        kind = f"{image.interpretation} colours in {image.bands} channels"
        raise UnsupportedPicture(path, f"has {kind}; {_COLOUR_ADVICE}")
    return image


def _converted(image: libvips.Image, path: Path | None) -> libvips.Image:
    own = _blob(image, "icc-profile-data")
    converted, used = colour.from_cmyk(image, own, deep=image.format == "ushort")
    lack = "it has none of its own" if own is None else "its own is damaged or made for other colours"
    through = "its profile" if used else f"a common profile for coated paper, as {lack}"
    warn(path, f"has CMYK colours; they are converted to sRGB through {through}")
    converted = converted.copy()
    converted.set_type(libvips.load().GValue.gint_type, "unveil-converted", 1)
    return converted


def _blob(image: libvips.Image, name: str) -> bytes | None:
    return bytes(image.get(name)) or None if image.get_typeof(name) else None


def _whole(image: libvips.Image, name: str) -> int:
    return int(image.get(name)) if image.get_typeof(name) else 0


def _resolution(image: libvips.Image) -> tuple[float, float] | None:
    # libvips counts in pixels per millimetre, and says 1 where the file says nothing.
    across, down = image.xres * 25.4, image.yres * 25.4
    if (image.xres == 1 and image.yres == 1) or not (0 < across < math.inf and 0 < down < math.inf):
        return None
    return across, down
