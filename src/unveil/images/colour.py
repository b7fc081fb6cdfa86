"""Between a file's own colours, as its ICC profile describes them, and the sRGB that networks see.

All conversions are relative colorimetric, or perceptual through a profile that has only that table, by libvips and
Little CMS, with 16-bit values in and out.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unveil.images import libvips
from unveil.images.depth import Pixels, narrow, widen

Kind = Literal["srgb", "other", "one way", "broken"]

_SRGB = "srgb"
_STRIP_VALUES = 3 << 20
_SAME = 1.25 * 257


def space(icc: bytes) -> str:
    """The colour space that the profile describes: "RGB", "GRAY", "CMYK", ...; empty for what is no profile, or one
    with parts outside itself, for which libvips would take another one in silence.
    """
    if len(icc) < 132 or icc[36:40] != b"acsp" or int.from_bytes(icc[:4], "big") > len(icc):
        return ""
    count = int.from_bytes(icc[128:132], "big")
    if 132 + 12 * count > len(icc):
        return ""
    for _, offset, length in struct.iter_unpack(">4sII", icc[132 : 132 + 12 * count]):
        if offset + length > len(icc):
            return ""
    return icc[16:20].decode("ascii", "replace").strip()


@lru_cache(maxsize=16)
def kind(icc: bytes, channels: int) -> Kind:
    """What the profile means for pixels of 1 or 3 channels.

    "srgb": within 1.25/255 of sRGB (of its tone curve, for grey) on a grid of colours, so nothing is to be converted.
    "other": to be converted. "one way": cannot be converted back, as with some scanners. "broken": no profile for
    such pixels.
    """
    if space(icc) != ("GRAY" if channels == 1 else "RGB") or (intent := _intent(icc, channels)) is None:
        return "broken"
    levels = np.linspace(0, 255, 256 if channels == 1 else 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * channels, indexing="ij"), axis=-1).reshape(1, -1, channels)
    error = libvips.load().Error
    with _profile_file(icc) as profile:
        try:
            seen = _convert(grid, profile, _SRGB, intent)
        except error:
            return "broken"
        if np.abs(seen.astype(np.int32) - widen(grid)).max() <= _SAME:
            return "srgb"
        try:
            _convert(seen, _SRGB, profile, intent)
        except error:
            return "one way"
    return "other"


def to_srgb(pixels: Pixels, icc: bytes) -> NDArray[np.uint16]:
    """Pixels (H W 1 or H W 3) in the profile's colours, as sRGB: H W 3, uint16."""
    with _profile_file(icc) as profile:
        return _convert(pixels, profile, _SRGB, _intent(icc, pixels.shape[2]))


def carry_back(pixels: Pixels, icc: bytes, restored: NDArray[np.uint16]) -> Pixels:
    """`pixels` changed as `restored` (H W 3, uint16) differs from `to_srgb(pixels, icc)`.

    The change is measured in the profile's own space at 16 bits, added, rounded and clipped; so pixels that were not
    touched stay bit-exact and colours outside sRGB survive. Works in strips, to need little memory.
    """
    height, width = pixels.shape[:2]
    changed = np.empty_like(pixels)
    rows, intent = max(1, _STRIP_VALUES // (3 * width)), _intent(icc, pixels.shape[2])
    with _profile_file(icc) as profile:
        for top in range(0, height, rows):
            part = slice(top, top + rows)
            values = widen(pixels[part]).astype(np.int32)
            values += _convert(restored[part], _SRGB, profile, intent)
            values -= _convert(_convert(pixels[part], profile, _SRGB, intent), _SRGB, profile, intent)
            exact = np.clip(values, 0, 65535).astype(np.uint16)
            changed[part] = narrow(exact) if pixels.dtype == np.uint8 else exact
    return changed


def from_cmyk(image: libvips.Image, icc: bytes | None, *, deep: bool) -> tuple[libvips.Image, bool]:
    """A CMYK image as sRGB, through the profile, or a common one for coated paper where there is none that can be used;
    and whether it was used.
    """
    depth = 16 if deep else 8
    if icc is not None and space(icc) == "CMYK" and (intent := _intent(icc, 4)) is not None:
        with _profile_file(icc) as profile:
            return image.icc_transform(_SRGB, input_profile=profile, intent=intent, depth=depth), True
    return image.icc_transform(_SRGB, input_profile="cmyk", intent="relative", depth=depth), False


@lru_cache(maxsize=16)
def _intent(icc: bytes, channels: int) -> str | None:
    """What to ask of the profile: "relative", "perceptual" where it has that alone, None where it cannot be used."""
    vips, image = libvips.load(), libvips.image_of(np.zeros((1, 1, channels), np.uint8))
    if channels == 4:
        image = image.copy(interpretation="cmyk")
    with _profile_file(icc) as profile:
        for intent in ("relative", "perceptual"):
            # libvips takes another profile in silence where this one does not serve, and says only here which it took.
            with suppress(vips.Error):
                if image.icc_import(input_profile=profile, intent=intent).get("icc-profile-data") == icc:
                    return intent
    return None


@contextmanager
def _profile_file(icc: bytes) -> Generator[str]:
    # libvips takes the profile to convert to from files only, and one that comes inside an image is replaced in silence
    # where it is broken.
    with tempfile.TemporaryDirectory(prefix="unveil-") as folder:
        path = Path(folder) / "profile.icc"
        path.write_bytes(icc)
        yield str(path)


def _convert(values: Pixels, before: str, after: str, intent: str | None) -> NDArray[np.uint16]:
    image = libvips.image_of(values)
    return widen(libvips.array_of(image.icc_transform(after, input_profile=before, intent=intent, depth=16)))
