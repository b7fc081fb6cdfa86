"""What every decoder hands to `read`, and the check that every decoder makes before it decodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unveil.errors import PictureTooLarge
from unveil.images.depth import Pixels


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels as stored: H W C, C = 1, 2 (grey, alpha), 3 or 4 (RGB, alpha); `orientation` as in EXIF, 1 to 8, still
    to be applied.
    """

    values: Pixels
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    orientation: int = 1
    resolution: tuple[float, float] | None = None


def check_size(path: Path | None, width: int, height: int, limit: int) -> None:
    """Raise PictureTooLarge where the header promises more pixels than the limit."""
    if width * height > limit:
        size = f"{width} x {height} is {width * height / 1e6:.1f} megapixels, the limit is {limit / 1e6:.1f}"
        raise PictureTooLarge(path, f"{size}; raise pixel_limit if you trust the file")
