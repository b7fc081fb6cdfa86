"""From a file to a `Picture`."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unveil.errors import InvalidRequest, UnreadablePicture
from unveil.images import bmp, colour, decoding, exif, heif
from unveil.images.decoded import Decoded
from unveil.images.depth import Pixels, narrow
from unveil.images.formats import recognise
from unveil.images.picture import Picture
from unveil.images.warning import warn

PIXEL_LIMIT = 250_000_000

_DECODERS: dict[str, Callable[[BinaryIO, Path | None, str, int], Decoded]] = {"heic": heif.decode, "bmp": bmp.decode}


def read(source: str | os.PathLike[str] | bytes, *, pixel_limit: int = PIXEL_LIMIT) -> Picture:
    """Read a picture from a file, or from a file's bytes.

    The content decides the format, not the name. Orientation is applied; grey stays grey; palettes and 1-bit
    pictures become 8-bit; 10 and 12 bits become 16. Further pages or frames are left out, CMYK is converted to
    sRGB, and a broken profile or EXIF block is left out, each with a `PictureWarning`. `pixel_limit` is checked
    before anything is decoded.

    Raises UnreadablePicture (missing, a folder, empty, cut off, damaged, changed meanwhile, no picture),
    UnsupportedPicture (camera RAW, floating point, formats that are not read) and PictureTooLarge.
    """
    if pixel_limit < 1:
        raise InvalidRequest(f"pixel_limit is {pixel_limit}; expected at least 1")
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), None, pixel_limit)
    path = Path(source)
    with _open(path) as stream:
        before = _state(path, stream)
        try:
            picture = _read(stream, path, pixel_limit)
        except OSError as error:
            raise UnreadablePicture(path, f"cannot be read ({error.strerror or error})") from error
        # Its parts are read one after the other, so a file that changes meanwhile may give halves of two pictures.
        if _state(path, stream) != before:
            raise UnreadablePicture(path, "it changed while it was read; try again when it is complete")
    return picture


def _state(path: Path, stream: BinaryIO) -> tuple[object, ...]:
    """What is different after a file has changed: of the open one, and of the one that lies at the path now."""
    here = os.fstat(stream.fileno())
    try:
        there = path.stat()
    except OSError:
        return _marks(here), None
    return _marks(here), _marks(there)


def _marks(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _open(path: Path) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():
            raise UnreadablePicture(path, "a folder, not a picture" if path.is_dir() else "not an ordinary file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise UnreadablePicture(path, "there is no such file") from error
    except PermissionError as error:
        raise UnreadablePicture(path, "permission to read it is missing") from error
    except OSError as error:
        raise UnreadablePicture(path, f"cannot be opened ({error.strerror or error})") from error
    except ValueError as error:
        raise UnreadablePicture(path, f"no possible name of a file ({error})") from error


def _read(stream: BinaryIO, path: Path | None, pixel_limit: int) -> Picture:
    name = recognise(stream, path)
    decoded = _DECODERS.get(name, decoding.decode)(stream, path, name, pixel_limit)
    values = np.ascontiguousarray(_turn(decoded.values, decoded.orientation))
    pixels, alpha = _split(values)
    pixels, icc = _settle_profile(pixels, decoded.icc, path)
    block = decoded.exif
    if block is not None:
        try:
            block = exif.upright(block, sides_swapped=decoded.orientation >= 5)
        except exif.TagsError as error:
            warn(path, f"its EXIF block is damaged and left out ({error})")
            block = None
    return Picture(
        pixels=pixels,
        alpha=alpha,
        icc=icc,
        exif=block,
        xmp=None if decoded.xmp is None else exif.upright_xmp(decoded.xmp),
        format=name,
        path=path,
        resolution=decoded.resolution,
    )


def _turn(values: Pixels, orientation: int) -> Pixels:
    """A view of the pixels, upright (EXIF 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values


def _split(values: Pixels) -> tuple[Pixels, Pixels | None]:
    channels = values.shape[2]
    if channels in (1, 3):
        return values, None
    return np.ascontiguousarray(values[:, :, : channels - 1]), np.ascontiguousarray(values[:, :, channels - 1])


def _settle_profile(pixels: Pixels, icc: bytes | None, path: Path | None) -> tuple[Pixels, bytes | None]:
    """Pixels and profile that fit each other and allow the way back."""
    if icc is None:
        return pixels, None
    kind = colour.kind(icc, pixels.shape[2])
    if kind == "broken":
        warn(
            path, "its ICC profile is damaged or made for other colours; it is left out and the picture taken for sRGB"
        )
        return pixels, None
    if kind == "one way":
        warn(path, "its ICC profile describes a device that cannot be written to; the picture is converted to sRGB")
        seen = colour.to_srgb(pixels, icc)
        return (narrow(seen) if pixels.dtype == np.uint8 else seen), None
    return pixels, icc
