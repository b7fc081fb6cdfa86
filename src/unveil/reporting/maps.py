"""A map of damage as a picture: every region in the colour of what is wrong with it, and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from unveil.reporting.previews import Bytes, shrink

# Told apart by people with any kind of colour vision (the palette of Okabe and Ito), and the same in every picture.
COLOURS = {
    "noise": (230, 159, 0),
    "blur": (86, 180, 233),
    "rain": (0, 114, 178),
    "haze": (204, 121, 167),
    "dark": (240, 228, 66),
    "jpeg": (213, 94, 0),
    "bits": (150, 100, 60),
    "snow": (0, 158, 115),
    "lowres": (120, 90, 200),
    "clean": (150, 150, 150),
}
OTHERS = ((200, 60, 60), (60, 160, 60), (60, 60, 200), (160, 60, 160))
"""Of degradations that have no colour of their own."""

SIDE = 1280
STRENGTH = 0.6
"""How much of a region's colour lies over the picture where a class is certain."""

LEAST = 0.005
"""Share of the area from which a class is named."""

_LINE, _MARGIN, _SQUARE = 26, 12, 14
_INK, _PAPER = (28, 28, 32), (255, 255, 255)


def colours(classes: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """A colour for every class."""
    others = [name for name in classes if name not in COLOURS]
    return {name: COLOURS.get(name) or OTHERS[others.index(name) % len(OTHERS)] for name in classes}


def overlay(picture: Bytes, shares: NDArray[np.float32], classes: Sequence[str], *, side: int = SIDE) -> Bytes:
    """The picture in grey with every region in the colour of its likeliest class, the stronger the surer.

    Args:
        picture: H W 3 uint8.
        shares: rows, columns, classes: probabilities of each region.
        classes: their names; `clean` has no colour over the picture.
        side: longest side of the result.
    """
    base = shrink(picture, side)
    height, width = base.shape[:2]
    palette = np.array([colours(classes)[name] for name in classes], np.float32)
    labels, sure = shares.argmax(2), shares.max(2)
    strength = np.where(np.asarray(classes)[labels] == "clean", 0, sure).astype(np.float32) * STRENGTH
    planes = np.dstack((palette[labels], strength[:, :, None] * 255)).round().astype(np.uint8)
    # Regions keep their edges: they are what was measured.
    laid = np.asarray(Image.fromarray(planes, "RGBA").resize((width, height), Image.Resampling.NEAREST), np.float32)
    grey = np.repeat(base.mean(2, keepdims=True), 3, axis=2)
    alpha = laid[:, :, 3:] / 255
    return (grey * (1 - alpha) + laid[:, :, :3] * alpha).round().astype(np.uint8)


def legend(coverage: Mapping[str, float], printed: Mapping[str, str]) -> list[tuple[str, tuple[int, int, int], float]]:
    """Printed name, colour and share of the area of every class that has one percent of it or nearly."""
    palette = colours(list(coverage))
    return [(printed.get(name, name), palette[name], share) for name, share in coverage.items() if share >= LEAST]


def with_legend(painted: Bytes, coverage: Mapping[str, float], printed: Mapping[str, str]) -> Bytes:
    """The painted picture with its legend below it: colours, names and shares of the area."""
    told = legend(coverage, printed)
    font = ImageFont.load_default(15)
    texts = [f"{name} {share:.0%}" for name, _, share in told]
    widths = [_SQUARE + 8 + round(font.getlength(text)) + 2 * _MARGIN for text in texts]
    width = max([painted.shape[1], *(2 * _MARGIN + each for each in widths)])
    places: list[tuple[int, int]] = []
    across, down = _MARGIN, 0
    for each in widths:
        if places and across + each > width:
            across, down = _MARGIN, down + 1
        places.append((across, down))
        across += each
    height = painted.shape[0]
    sheet = Image.new("RGB", (width, height + 2 * _MARGIN + _LINE * (down + 1)), _PAPER)
    sheet.paste(Image.fromarray(painted), (0, 0))
    pen = ImageDraw.Draw(sheet)
    for (_, colour, _), text, (left, line) in zip(told, texts, places, strict=True):
        top = height + _MARGIN + _LINE * line
        pen.rectangle((left, top + 3, left + _SQUARE, top + 3 + _SQUARE), fill=colour)
        pen.text((left + _SQUARE + 8, top), text, fill=_INK, font=font)
    return np.asarray(sheet)
