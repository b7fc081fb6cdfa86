"""Points of several classes on a plane, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 800

# Told apart by people who see colours differently; the shapes are told apart without any.
_COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (60, 60, 60))
_INK, _FAINT, _PAPER = (28, 28, 32), (110, 110, 118), (255, 255, 255)
_MARGIN, _LINE = 24, 24
# Pillow draws without smoothing; drawn this much larger and reduced, shapes are smooth.
_FINER = 3
# Corners of a mark around its place; none is a disc.
_SHAPES = (
    (),
    ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    ((0, -1.3), (1.2, 0.9), (-1.2, 0.9)),
    ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    ((0, 1.3), (1.2, -0.9), (-1.2, -0.9)),
)


def scatter(
    places: NDArray[np.float64], labels: Sequence[str], *, title: str, axes: tuple[str, str] = ("", "")
) -> Image.Image:
    """Draw points, a colour and a shape for each class, both axes in the same scale.

    Args:
        places: (n, 2), the second axis upwards.
        labels: the class of each point, in the order of the legend.
        title: above the picture.
        axes: below and beside it.
    """
    names = list(dict.fromkeys(labels))
    head, foot = 2 * _LINE, _LINE * (2 + (len(names) - 1) // 4)
    image = Image.new("RGB", (SIDE * _FINER, (SIDE + head + foot) * _FINER), _PAPER)
    pen = ImageDraw.Draw(image, "RGBA")
    font, small = (ImageFont.load_default(size * _FINER) for size in (20, 15))
    middle, reach = (places.max(0) + places.min(0)) / 2, float(np.ptp(places, axis=0).max()) or 1.0
    room = SIDE - 2 * _MARGIN
    pen.rectangle(_scaled(_MARGIN, head, SIDE - _MARGIN, head + room), outline=(215, 215, 220), width=_FINER)
    for (across, up), label in zip((places - middle) / reach, labels, strict=True):
        x, y = SIDE / 2 + across * 0.94 * room, head + room / 2 - up * 0.94 * room
        _mark(pen, x, y, names.index(label), size=5)
    pen.text((_MARGIN * _FINER, 12 * _FINER), title, _INK, font=font)
    below = head + room + 6
    pen.text((_MARGIN * _FINER, below * _FINER), axes[0], _FAINT, font=small)
    width = small.getlength(axes[1])
    pen.text(((SIDE - _MARGIN) * _FINER - width, below * _FINER), axes[1], _FAINT, font=small)
    for number, name in enumerate(names):
        x, y = _MARGIN + number % 4 * room / 4, below + _LINE * (1 + number // 4)
        _mark(pen, x + 8, y + 9, number, size=6)
        pen.text(((x + 22) * _FINER, y * _FINER), name, _INK, font=small)
    return image.resize((SIDE, SIDE + head + foot), Image.Resampling.LANCZOS).quantize(128)


def _mark(pen: ImageDraw.ImageDraw, x: float, y: float, number: int, *, size: float) -> None:
    colour, shape = (*_COLOURS[number % len(_COLOURS)], 190), _SHAPES[number % len(_SHAPES)]
    if shape:
        pen.polygon([((x + across * size) * _FINER, (y + down * size) * _FINER) for across, down in shape], fill=colour)
    else:
        pen.ellipse(_scaled(x - size, y - size, x + size, y + size), fill=colour)


def _scaled(*values: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = (value * _FINER for value in values)
    return left, top, right, bottom
