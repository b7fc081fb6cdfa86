"""Pictures made small enough to look at, and inlined into HTML."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unveil.images.depth import narrow

Bytes = NDArray[np.uint8]

SIDES = (1280, 1024, 800, 640, 480, 320, 200)
"""Longest sides of previews, tried in this order until a pair fits its budget."""

QUALITY = 85
DETAIL = 320


@dataclass(frozen=True, slots=True)
class Pair:
    """Before and after as `data:` addresses, of one size. `is_whole` says that no pixel was left out by shrinking."""

    before: str
    after: str
    width: int
    height: int
    is_whole: bool

    @property
    def size(self) -> int:
        """Characters of HTML."""
        return len(self.before) + len(self.after)


def as_bytes(pixels: NDArray[Any]) -> Bytes:
    """H W or H W C, uint8, uint16 or float 0..1, the fourth channel left out -> H W 3 uint8."""
    colours = pixels[:, :, None] if pixels.ndim == 2 else pixels[:, :, :3]
    if colours.dtype.kind == "f":
        colours = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
    colours = narrow(colours)
    return np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else colours


def shrink(pixels: Bytes, side: int) -> Bytes:
    """H W 3 uint8 with its longest side at most `side`; never enlarged."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return pixels
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def inline(pixels: Bytes, *, quality: int = QUALITY) -> str:
    """H W 3 uint8 as a `data:` address of a WebP file."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def pair(before: Bytes, after: Bytes, *, budget: int) -> Pair:
    """Both as previews of at most `budget` characters together: as large as that allows, from the least side on."""
    longest = max(before.shape[:2])
    # All sides from the picture's own on would give the same preview.
    sides = [side for side in SIDES if side < longest]
    if longest <= SIDES[0]:
        sides = [longest, *sides]
    found = _pair(before, after, sides[0])
    for side in sides[1:]:
        if found.size <= budget:
            break
        found = _pair(before, after, side)
    return found


def _pair(before: Bytes, after: Bytes, side: int) -> Pair:
    small = shrink(before, side)
    height, width = small.shape[:2]
    is_whole = small.shape == before.shape
    return Pair(inline(small), inline(shrink(after, side)), width, height, is_whole=is_whole)


def detail(before: Bytes, after: Bytes, *, side: int = DETAIL) -> Pair:
    """The part of `side` x `side` pixels that changed most, pixel by pixel. Shrinking hides noise and fine texture."""
    height, width = before.shape[:2]
    factor = min(1.0, 512 / max(height, width))
    small = [shrink(pixels, 512).astype(np.int16) for pixels in (before, after)]
    change = np.abs(small[0] - small[1]).sum(2)
    rows, columns = (min(max(round(side * factor), 1), length) for length in change.shape)
    total = np.pad(change.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    top, left = (int(place) for place in np.unravel_index(int(boxes.argmax()), boxes.shape))
    top, left = (max(min(round(place / factor), length - side), 0) for place, length in ((top, height), (left, width)))
    cut = (slice(top, top + side), slice(left, left + side))
    shown = before[cut]
    return Pair(inline(shown), inline(after[cut]), shown.shape[1], shown.shape[0], is_whole=True)
