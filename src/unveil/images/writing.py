"""From a `Picture` to a file."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unveil.errors import InvalidRequest, OutputExists, UnreadablePicture, UnwritablePicture
from unveil.images import bmp, containers, exif, libvips
from unveil.images.depth import Pixels, narrow
from unveil.images.formats import Format, output_format
from unveil.images.picture import Picture
from unveil.images.warning import warn

Announce = Callable[[bytes], object]

_USUAL_RESOLUTION = (72.0, 72.0)
_CLASSIC_TIFF_BYTES = 4_000_000_000
# libvips leaves longer packets out without a word.
_JPEG_XMP_ROOM = 60_000


def encode(picture: Picture, format: str, *, quality: int | None = None) -> bytes:
    """The picture as the bytes of a file of the given format (a key of `FORMATS`).

    Profile, EXIF and XMP go along where the format holds them, EXIF unchanged byte by byte but for TIFF and AVIF,
    where tags are kept and maker notes may lose inner references. 16 bits are rounded to 8 where the format has no
    more, and to 12 in AVIF. Where a format has no grey (WebP, AVIF), grey is written as RGB; where it has no
    profile (BMP), colours are converted to sRGB. Alpha is bit-exact; an AVIF with transparency is therefore
    lossless (to its 12 bits).

    quality: 1 to 100, or None for the format's own (JPEG and WebP 95, AVIF 90); from 90 on colours keep their full
    resolution. PNG, TIFF and BMP are lossless and take no notice of it.

    Raises UnwritablePicture for a format that is not written, for transparency in JPEG or BMP and for sides that
    are too long; InvalidRequest for a quality out of range.
    """
    return _encode(picture, output_format(None, format), quality, None)


def write(
    picture: Picture,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
    announce: Announce | None = None,
) -> Path:
    """Write the picture to a file, whole or not at all, and return its path. See `encode` for what is kept.

    The name's extension says the format unless `format` does. The file is written under a temporary name in the
    same folder, flushed to disk, and renamed. The temporary file is removed whatever happens. `announce` is called with
    the file's bytes just before they get its name.

    Raises OutputExists where there is a file and `overwrite` is not set, UnwritablePicture where the folder is
    missing, full or not ours to write to, and what `encode` raises.
    """
    target = Path(path)
    chosen = output_format(target, format)
    _check_place(target, overwrite=overwrite)
    data = _encode(picture, chosen, quality, target)
    return _deliver(data, target, overwrite=overwrite, announce=announce)


def copy(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    announce: Announce | None = None,
) -> Path:
    """Copy a file byte for byte, placed as carefully as `write` places one: a picture that needs nothing loses nothing.

    `announce` is that of `write`.

    Raises OutputExists and UnwritablePicture as `write` does, UnreadablePicture where the source cannot be read.
    """
    target = Path(path)
    _check_place(target, overwrite=overwrite)
    try:
        data = Path(source).read_bytes()
    except OSError as error:
        raise UnreadablePicture(source, f"cannot be read ({error.strerror or error})") from error
    return _deliver(data, target, overwrite=overwrite, announce=announce)


def _check_place(target: Path, *, overwrite: bool) -> None:
    """Refuse what cannot work before the work of encoding is done."""
    try:
        special = target.exists() and not target.is_file()
    except OSError as error:
        raise UnwritablePicture(target, f"cannot be written ({error.strerror or error})") from error
    if special:
        found = "a folder; name a file in it" if target.is_dir() else "no ordinary file, and is not replaced by one"
        raise UnwritablePicture(target, found)
    if not target.parent.is_dir():
        raise UnwritablePicture(target, f"the folder {target.parent} does not exist; create it first")
    if not overwrite and os.path.lexists(target):
        raise OutputExists(target, "already exists and is not overwritten; choose another name or ask to overwrite it")


def _deliver(data: bytes, target: Path, *, overwrite: bool, announce: Announce | None) -> Path:
    try:
        _place(data, target, overwrite=overwrite, announce=announce)
    except FileExistsError as error:
        raise OutputExists(target, "was created by somebody else in the meantime and is not overwritten") from error
    except OSError as error:
        raise UnwritablePicture(target, f"cannot be written ({error.strerror or error})") from error
    return target


def _place(data: bytes, target: Path, *, overwrite: bool, announce: Announce | None) -> None:
    if overwrite and target.is_symlink():
        # What the link points at is replaced, in its own folder, which may be on another disk; a link to itself is.
        target = Path(os.path.realpath(target))
    temporary = target.parent / f".unveil-{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if announce is not None:
            announce(data)
        if overwrite:
            temporary.replace(target)
        else:
            _rename_to_free_name(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(target.parent)


def _rename_to_free_name(temporary: Path, target: Path) -> None:
    """Rename without replacing: raises FileExistsError, even where the target appeared only just now."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. Windows refuses to rename onto a file; elsewhere a moment's risk remains.
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        temporary.rename(target)


def _flush_folder(folder: Path) -> None:
    # Not possible on Windows and on some network drives, where the rename is as safe as it gets.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _encode(picture: Picture, chosen: Format, quality: int | None, path: Path | None) -> bytes:
    if quality is not None and not 1 <= quality <= 100:
        raise InvalidRequest(f"quality is {quality}; expected 1 to 100")
    if max(picture.height, picture.width) > chosen.max_side:
        size = f"{picture.width} x {picture.height}"
        raise UnwritablePicture(
            path, f"{size} pixels; {chosen.printed} holds sides up to {chosen.max_side}: use PNG or TIFF"
        )
    pixels, alpha, icc = _fitting(picture, chosen, path)
    if chosen.name == "bmp":
        return bmp.encode(pixels, picture.resolution or _USUAL_RESOLUTION)
    image = libvips.image_of(pixels)
    if alpha is not None:
        image = image.bandjoin(libvips.image_of(alpha[:, :, np.newaxis]))
    resolution = picture.resolution or (exif.resolution(picture.exif) if picture.exif else None) or _USUAL_RESOLUTION
    image = image.copy(xres=resolution[0] / 25.4, yres=resolution[1] / 25.4)
    if icc is not None:
        image = libvips.with_blob(image, "icc-profile-data", icc)
    if picture.xmp is not None:
        if chosen.name == "jpeg" and len(picture.xmp) > _JPEG_XMP_ROOM:
            warn(path, f"its XMP packet of {len(picture.xmp)} bytes does not fit a JPEG and is left out")
        else:
            image = libvips.with_blob(image, "xmp-data", picture.xmp)
    vips = libvips.load()
    try:
        data = _save(image, chosen, quality or chosen.quality, picture, transparent=alpha is not None)
    except vips.Error as error:
        raise UnwritablePicture(path, f"{chosen.printed} cannot hold it ({libvips.reason(error)})") from error
    return data if picture.exif is None else _with_exif(data, picture.exif, chosen, picture, path)


def _fitting(picture: Picture, chosen: Format, path: Path | None) -> tuple[Pixels, Pixels | None, bytes | None]:
    """Pixels, alpha and profile as the format can hold them."""
    pixels, alpha, icc = picture.pixels, picture.alpha, picture.icc
    if icc is not None and not (chosen.metadata and (chosen.grey or not picture.is_grey)):
        pixels, icc = picture.srgb(), None
    if alpha is not None and not chosen.alpha:
        if alpha.min() < np.iinfo(alpha.dtype).max:
            advice = "write PNG, WebP, TIFF or AVIF, or flatten the picture first"
            raise UnwritablePicture(
                path, f"the picture has transparent parts, which {chosen.printed} cannot hold; {advice}"
            )
        alpha = None
    if not chosen.deep:
        pixels, alpha = narrow(pixels), None if alpha is None else narrow(alpha)
    elif pixels.dtype != picture.pixels.dtype:
        pixels = narrow(pixels)
    return pixels, alpha, icc


def _save(image: libvips.Image, chosen: Format, quality: int | None, picture: Picture, *, transparent: bool) -> bytes:
    keep: Any = libvips.load().enums.ForeignKeep
    kept = keep.ICC | keep.XMP
    if chosen.name == "jpeg":
        return image.jpegsave_buffer(Q=quality, keep=kept)
    if chosen.name == "png":
        return image.pngsave_buffer(filter="all", keep=kept)
    if chosen.name == "webp":
        return image.webpsave_buffer(Q=quality, effort=2, smart_subsample=True, exact=True, keep=kept)
    if chosen.name == "tiff":
        big = picture.pixels.nbytes > _CLASSIC_TIFF_BYTES
        return image.tiffsave_buffer(
            compression="deflate", predictor="horizontal", resunit="inch", bigtiff=big, keep=kept
        )
    if picture.exif is not None:
        image = libvips.with_blob(image, "exif-data", exif.marked(picture.exif))
        kept |= keep.EXIF
    bits = 8
    if image.format == "ushort":
        bits = 12
        image = ((image * (4095 / 65535)).rint() * 16).cast("ushort").copy(interpretation="rgb16")
    lossless = transparent and picture.alpha is not None and bool(np.ptp(picture.alpha))
    return image.heifsave_buffer(compression="av1", Q=quality, bitdepth=bits, lossless=lossless, effort=1, keep=kept)


def _with_exif(data: bytes, block: bytes, chosen: Format, picture: Picture, path: Path | None) -> bytes:
    if chosen.name == "png":
        return containers.into_png(data, block)
    if chosen.name == "webp":
        alpha = picture.alpha is not None
        return containers.into_webp(data, block, width=picture.width, height=picture.height, alpha=alpha)
    if chosen.name == "jpeg":
        if len(block) > containers.JPEG_ROOM:
            warn(path, f"its EXIF block of {len(block)} bytes does not fit a JPEG and is left out")
            return data
        return containers.into_jpeg(data, block)
    if chosen.name == "tiff":
        try:
            return exif.into_tiff(data, block)
        except exif.TagsError as error:
            warn(path, f"its EXIF block is left out of the TIFF ({error})")
    return data
