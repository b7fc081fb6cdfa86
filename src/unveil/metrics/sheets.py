"""Pictures side by side, with their errors, on one sheet: what figures alone do not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unveil.metrics.fidelity import comparable

PANEL = 420
FULL_ERROR = 48
"""Mean error of a pixel, in levels of 255, from which an error map is white."""

_MARGIN, _GAP, _LINE = 20, 10, 24
_INK, _FAINT, _PAPER = (28, 28, 32), (110, 110, 118), (255, 255, 255)
# From black through violet and red to a pale yellow: lighter is worse, in print without colour too.
_RAMP = np.array([(6, 4, 18), (74, 24, 104), (178, 50, 90), (240, 120, 40), (252, 200, 80), (255, 252, 225)], float)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a sheet, H W 3 uint8, and the line below it."""

    pixels: NDArray[np.uint8]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """Panels of one size beside each other, under a heading."""

    heading: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Cutout:
    """The part of a picture that a panel shows, pixel by pixel where it is not larger than a panel."""

    top: int
    left: int
    height: int
    width: int

    def __call__(self, picture: NDArray[Any]) -> NDArray[np.uint8]:
        """H W 3 or H W 1, of any depth or float 0..1 -> rows and columns of the cutout, 3 channels, 8 bit."""
        part = picture[self.top : self.top + self.height, self.left : self.left + self.width]
        return as_bytes(part)


def cutout(degraded: NDArray[Any], truth: NDArray[Any], *, side: int = PANEL) -> Cutout:
    """The part of at most `side` x `side` pixels where the degraded picture is worst, so that panels need no shrinking.

    Shrinking would take away the noise and the fine detail that a sheet is to show.
    """
    height, width = truth.shape[:2]
    rows, columns = min(height, side), min(width, side)
    error = _mean_error(degraded, truth)
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    top, left = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return Cutout(int(top), int(left), rows, columns)


def error_map(picture: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.uint8]:
    """Mean error over the channels as a colour: black for none, white from `FULL_ERROR` on. H W C -> H W 3 uint8."""
    place = np.clip(_mean_error(picture, truth) * 255 / FULL_ERROR, 0, 1) * (len(_RAMP) - 1)
    below = np.minimum(place.astype(int), len(_RAMP) - 2)
    share = (place - below)[..., None]
    return (_RAMP[below] * (1 - share) + _RAMP[below + 1] * share).round().astype(np.uint8)


def as_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Any picture as H W 3 uint8."""
    values = comparable(picture, picture)[0]
    pixels = (values * 255).round().astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def draw(title: str, strips: Sequence[Strip], *, foot: str = "") -> Image.Image:
    """All strips below each other."""
    widths = [sum(panel.pixels.shape[1] + _GAP for panel in strip.panels) - _GAP for strip in strips]
    heights = [strip.panels[0].pixels.shape[0] + 2 * _LINE + 2 * _GAP for strip in strips]
    title_font, font, small = (ImageFont.load_default(size) for size in (22, 16, 14))
    least = max(
        int(title_font.getlength(title)),
        *(int(font.getlength(strip.heading)) for strip in strips),
        int(small.getlength(foot)),
    )
    width = max(*widths, least) + 2 * _MARGIN
    height = _MARGIN + 36 + sum(heights) + (_LINE if foot else 0) + _MARGIN // 2
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, _INK, font=title_font)
    top = _MARGIN + 36
    for strip, tall in zip(strips, heights, strict=True):
        pen.text((_MARGIN, top), strip.heading, _INK, font=font)
        left = _MARGIN
        for panel in strip.panels:
            sheet.paste(Image.fromarray(panel.pixels), (left, top + _LINE))
            under = top + _LINE + panel.pixels.shape[0] + 4
            pen.text((left, under), _fitted(panel.caption, small, panel.pixels.shape[1]), _FAINT, font=small)
            left += panel.pixels.shape[1] + _GAP
        top += tall
    if foot:
        pen.text((_MARGIN, top), foot, _FAINT, font=small)
    return sheet


def _fitted(text: str, font: Any, width: int) -> str:
    """The text, cut so that it is no wider than its panel."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _mean_error(picture: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    first, second = comparable(picture, truth)
    error = np.abs(first - second)
    return error.mean(2) if error.ndim == 3 else error
