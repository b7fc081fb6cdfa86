"""One photograph in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unveil.errors import InvalidRequest
from unveil.images import colour
from unveil.images.depth import DTYPES, Pixels


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Picture:
    """A photograph: its pixels upright and in its file's own colours, and everything else that has to survive.

    pixels: H W C, uint8 or uint16; C is 1 (grey) or 3. Orientation is already applied.
    alpha: H W, of the same dtype, or None. Not multiplied into the pixels.
    icc: the ICC profile of the pixels; None means sRGB.
    exif: the EXIF block from its TIFF header on, its orientation 1, without thumbnail. xmp: the XMP packet.
    format: a key of `FORMATS`, the file's. path: where it came from. resolution: pixels per inch across and down.

    Raises InvalidRequest where pixels or alpha are not as said here.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    format: str = "png"
    path: Path | None = None
    resolution: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] not in (1, 3) or 0 in shape or dtype not in DTYPES:
            raise InvalidRequest(
                f"pixels are {dtype} of shape {shape}; expected uint8 or uint16, (H, W, 1) or (H, W, 3)"
            )
        if self.alpha is not None and (self.alpha.shape != shape[:2] or self.alpha.dtype != dtype):
            found = f"{self.alpha.dtype} of shape {self.alpha.shape}"
            raise InvalidRequest(f"alpha is {found}; expected {dtype} of shape {shape[:2]}, as the pixels are")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.pixels.shape[1]

    @property
    def depth(self) -> int:
        """Bits a value: 8 or 16."""
        return self.pixels.dtype.itemsize * 8

    @property
    def is_grey(self) -> bool:
        """Whether there is one channel instead of three."""
        return self.pixels.shape[2] == 1

    def __repr__(self) -> str:
        parts = [f"{self.width}x{self.height}", f"{self.depth}-bit", "grey" if self.is_grey else "RGB"]
        parts += [name for name in ("alpha", "icc", "exif", "xmp") if getattr(self, name) is not None]
        return f"<Picture {self.path or '(in memory)'}: {self.format}, {' '.join(parts)}>"

    def srgb(self) -> Pixels:
        """What a network sees: H W 3, sRGB.

        Without a profile, or with one that is sRGB in all but name, these are the pixels themselves (not a copy: do not
        write to them), grey repeated three times. Otherwise they are converted, and are uint16 whatever the file's
        depth.
        """
        icc = self._profile_to_convert()
        if icc is not None:
            return colour.to_srgb(self.pixels, icc)
        return np.repeat(self.pixels, 3, axis=2) if self.is_grey else self.pixels

    def with_srgb(self, restored: Pixels) -> Picture:
        """The same picture with the change from `srgb()` to `restored` carried back into its own colours and depth.

        `restored` has shape and dtype of `srgb()`, and becomes the new picture's pixels as it is where nothing has
        to be converted. Where it equals `srgb()` the pixels are bit-identical; with a profile, colours outside sRGB
        survive. Grey changes by the mean of the three changes (with a grey profile: by that of the lightness).
        Depth and channels stay. Needs two to three times the memory of the pixels, never floating point.

        Raises InvalidRequest for another shape or dtype.
        """
        icc = self._profile_to_convert()
        shape, dtype = (self.height, self.width, 3), np.dtype(np.uint16) if icc is not None else self.pixels.dtype
        if restored.shape != shape or restored.dtype != dtype:
            raise InvalidRequest(
                f"restored is {restored.dtype} of shape {restored.shape}; expected {dtype} of shape {shape}"
            )
        if icc is not None:
            pixels = colour.carry_back(self.pixels, icc, restored.astype(np.uint16, copy=False))
        elif self.is_grey:
            total = restored.sum(axis=2, dtype=np.uint32, keepdims=True)
            pixels = ((total + 1) // 3).astype(dtype)
        else:
            pixels = restored
        return replace(self, pixels=pixels)

    def _profile_to_convert(self) -> bytes | None:
        if self.icc is None or colour.kind(self.icc, self.pixels.shape[2]) != "other":
            return None
        return self.icc
