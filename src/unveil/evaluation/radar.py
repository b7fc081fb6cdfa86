"""Several columns of a table on one wheel: an axis a set, normalised so that sets of all levels can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from unveil.errors import InvalidRequest
from unveil.evaluation.tables import Row

SIDE = 1000
INNERMOST = 0.25
"""Where the lowest column of an axis stands, as a share of the radius; the highest stands at the rim."""

# Told apart by people who see colours differently, and in this order also by their lightness.
_COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (60, 60, 60))
_INK, _GRID, _PAPER = (28, 28, 32), (215, 215, 220), (255, 255, 255)
# Pillow draws lines without smoothing; drawn this much larger and reduced, they are smooth.
_FINER = 3

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def radar(rows: Sequence[Row], subjects: Sequence[str], *, title: str) -> Image.Image:
    """Draw PSNR of every subject that has a figure on every set; the image has a palette, which keeps its file small.

    Raises InvalidRequest with fewer than three sets or two such subjects.
    """
    there = [name for name in subjects if all(name in row.columns for row in rows)]
    if len(rows) < 3 or len(there) < 2:
        raise InvalidRequest(
            f"a radar needs three sets and two columns that have a figure on all of them; "
            f"found {len(rows)} sets and {len(there)} columns"
        )
    figures = {name: [row.columns[name].means[row.of.protocols[0]].psnr for row in rows] for name in there}
    lowest = [min(figures[name][axis] for name in there) for axis in range(len(rows))]
    highest = [max(figures[name][axis] for name in there) for axis in range(len(rows))]
    legend = 34 * len(there) - 30
    image = Image.new("RGB", (SIDE * _FINER, (SIDE + legend) * _FINER), _PAPER)
    pen = ImageDraw.Draw(image, "RGBA")
    _grid(pen, len(rows))
    for place, name in enumerate(there):
        colour = _COLOURS[place % len(_COLOURS)]
        shares = [
            INNERMOST + (1 - INNERMOST) * (value - low) / (high - low) if high > low else 1.0
            for value, low, high in zip(figures[name], lowest, highest, strict=True)
        ]
        corners = [_at(axis, len(rows), share) for axis, share in enumerate(shares)]
        pen.polygon(corners, fill=(*colour, 28))
        pen.line([*corners, corners[0]], fill=colour, width=4 * _FINER, joint="curve")
        for x, y in corners:
            pen.ellipse((x - 5 * _FINER, y - 5 * _FINER, x + 5 * _FINER, y + 5 * _FINER), fill=colour)
    taken: list[Box] = []
    for axis, row in enumerate(rows):
        lines = (row.of.printed, row.of.label, f"{lowest[axis]:.1f} to {highest[axis]:.1f} dB")
        taken.append(_label(pen, axis, len(rows), lines, taken))
    _legend(pen, there, title)
    return image.resize((SIDE, SIDE + legend), Image.Resampling.LANCZOS).quantize(128)


def _at(axis: int, axes: int, share: float) -> Point:
    angle = 2 * math.pi * axis / axes - math.pi / 2
    centre, radius = SIDE * _FINER / 2, SIDE * _FINER * 0.32
    return centre + radius * share * math.cos(angle), centre + radius * share * math.sin(angle)


def _grid(pen: ImageDraw.ImageDraw, axes: int) -> None:
    for ring in range(1, 5):
        corners = [_at(axis, axes, ring / 4) for axis in range(axes)]
        pen.line([*corners, corners[0]], fill=_GRID, width=_FINER)
    for axis in range(axes):
        pen.line([_at(axis, axes, 0), _at(axis, axes, 1)], fill=_GRID, width=_FINER)


def _label(pen: ImageDraw.ImageDraw, axis: int, axes: int, lines: Sequence[str], taken: Sequence[Box]) -> Box:
    """Write what an axis is beyond its end, so far out that nothing of `taken` is in the way; returns its own place."""
    font = ImageFont.load_default(15 * _FINER)
    tall, widest = 19 * _FINER, max(font.getlength(line) for line in lines)
    angle = 2 * math.pi * axis / axes - math.pi / 2
    across, down = math.cos(angle), math.sin(angle)

    def place_at(share: float) -> Box:
        x, y = _at(axis, axes, share)
        top = y + (down - 1) / 2 * tall * len(lines)
        left = min(max(x + (across - 1) / 2 * widest, 0), SIDE * _FINER - widest)
        return left, top, left + widest, top + tall * len(lines)

    boxes = [place_at(1.06 + 0.01 * further) for further in range(24)]
    free = (box for box in boxes if not any(_overlap(box, other) for other in taken))
    box = next(free, boxes[0])
    left, top, *_ = box
    for place, line in enumerate(lines):
        inset = (1 - across) / 2 * (widest - font.getlength(line))
        ink = _INK if place < len(lines) - 1 else (110, 110, 118)
        pen.text((left + inset, top + place * tall), line, fill=ink, font=font)
    return box


def _overlap(one: Box, other: Box, gap: float = 8 * _FINER) -> bool:
    """Whether less than a gap lies between two boxes, side by side; above one another they may touch."""
    return one[0] < other[2] + gap and other[0] < one[2] + gap and one[1] < other[3] and other[1] < one[3]


def _legend(pen: ImageDraw.ImageDraw, names: Sequence[str], title: str) -> None:
    large, font, small = (ImageFont.load_default(size * _FINER) for size in (24, 18, 14))
    margin = 40 * _FINER
    pen.text((margin, 24 * _FINER), title, fill=_INK, font=large)
    top = (SIDE - 80) * _FINER
    for place, name in enumerate(names):
        y = top + place * 34 * _FINER
        colour = _COLOURS[place % len(_COLOURS)]
        pen.line((margin, y + 12 * _FINER, margin + 44 * _FINER, y + 12 * _FINER), fill=colour, width=5 * _FINER)
        pen.text((margin + 60 * _FINER, y), name, fill=_INK, font=font)
    note = (
        f"PSNR; every axis runs from its lowest column (at {INNERMOST:.0%} of the radius) to its highest (at the rim)"
    )
    pen.text((margin, top + len(names) * 34 * _FINER + 8 * _FINER), note, fill=(110, 110, 118), font=small)
