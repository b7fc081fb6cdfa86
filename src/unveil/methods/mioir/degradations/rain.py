"""Rain, as MiOIR makes it: one layer of equal streaks that adds light."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import Shape, spread, uniform
from unveil.degradations.convolution import blurred, reflected
from unveil.methods.mioir.degradations.base import Span, TaskDegradation, integers

WIDTHS = (3, 5, 7, 9, 11)
SHORTEST, LONGEST = 20, 40
STEEPEST = 45
# Of a kernel: the longest streak, and a pixel on each side for what lies beside a point.
CANVAS = LONGEST + 3

# What OpenCV takes for a Gaussian of a window this small when no sigma is given; wider ones follow a formula.
SMALL = {
    3: (64, 128, 64),
    5: (16, 64, 96, 64, 16),
    7: (8, 28, 56, 72, 56, 28, 8),
    9: (4, 13, 30, 51, 60, 51, 30, 13, 4),
}


class Rain(TaskDegradation):
    """`I = min(J + S, 1)`, S a layer of streaks, the same in all channels, that spans 0..1 over the picture.

    Sparse random points, a little widened, are drawn out by one kernel; then the layer is stretched so that its
    brightest place is white. How bright a streak is so depends on how many lie on top of each other, and thereby on
    the size of the picture.

    Args:
        frame: the layer is made for pictures whose sides are at least this long, of which smaller ones show a corner:
            for crops, so that their streaks are those of whole pictures.
    """

    name = "rain"
    # Points kept of 25600, the upper end excluded.
    ranges: ClassVar = {"in": (50, 100), "out": (100, 150)}

    def __init__(self, *, frame: int = 0) -> None:
        self.frame = frame

    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        batch = shape[0]
        low, high = self.ranges[span]
        value = integers(batch, generator, int(low), int(high))
        width = torch.tensor(WIDTHS)[integers(batch, generator, 0, len(WIDTHS)).cpu()]
        length = integers(batch, generator, SHORTEST, LONGEST + 1)
        angle = integers(batch, generator, -STEEPEST, STEEPEST)
        drawn = zip(width.tolist(), length.tolist(), angle.tolist(), strict=True)
        sides = max(shape[2], self.frame), max(shape[3], self.frame)
        return {
            "value": value,
            "field": 256 * uniform((batch, 1, *sides), generator),
            "kernel": torch.stack([streak(*one) for one in drawn]) if batch else torch.zeros(0, CANVAS, CANVAS),
        }

    def layer(self, drawn: Mapping[str, Tensor]) -> Tensor:
        """S in whole levels of 255: (B, 1, H, W)."""
        # In double precision, because what is cut off to whole levels at the end must not depend on the device.
        # The authors correlate, which is to convolve with the kernel turned; its centre is at half its side.
        light = blurred(points(drawn), drawn["kernel"].double().flip(1, 2))
        darkest, brightest = light.amin((1, 2, 3), keepdim=True), light.amax((1, 2, 3), keepdim=True)
        scale = torch.where(brightest - darkest > 1e-9, 255 / (brightest - darkest), 0.0)
        # A hair is added, or the brightest place itself might be cut off to 254.
        return ((light - darkest) * scale + 1e-9).floor().float()

    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        height, width = images.shape[-2:]
        return images + self.layer(drawn)[..., :height, :width] / 255


def points(drawn: Mapping[str, Tensor]) -> Tensor:
    """The random points: (B, 1, H, W), nearly 256 where one was kept and 0 elsewhere."""
    field = drawn["field"].double()
    return torch.where(field >= 256 - spread(drawn["value"]) / 100, field, 0.0)


@lru_cache(maxsize=4096)
def streak(width: int, length: int, angle: int) -> Tensor:
    """What a point becomes: (43, 43), double, its centre at (21, 21); it does not sum to 1.

    A diagonal of `length` pixels, turned by `angle` - 45 degrees and shrunk by `length` percent as OpenCV's warpAffine
    does it, to 1/32 of a pixel, and blurred in a window of `width` pixels. The authors widen the points first, to eight
    times as much and a tenth beside it; filters can change places, also at a mirrored border.
    """
    turned = _turned_diagonal(length, math.radians(angle - STEEPEST), 1 - length / 100)
    line = _gaussian(width)
    padded = reflected(turned[None, None], width // 2, length + width - 1, length + width - 1)
    soft = functional.conv2d(functional.conv2d(padded, line[None, None, :, None]), line[None, None, None])[0, 0]
    before = CANVAS // 2 - length // 2
    after = CANVAS - length - before
    kernel = functional.pad(soft, (before, after, before, after))
    beside = [kernel.roll(1, axis) + kernel.roll(-1, axis) for axis in (0, 1)]
    return 8 * kernel + 0.1 * (beside[0] + beside[1])


def _turned_diagonal(side: int, angle: float, scale: float) -> Tensor:
    """The identity matrix as a picture, turned about its centre and shrunk; black comes in from outside."""
    # From a place in the result to one in the matrix: turned back and enlarged.
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    centre = side / 2
    offsets = centre - (cosine - sine) * centre, centre - (sine + cosine) * centre
    place = torch.arange(side, dtype=torch.float64)
    # OpenCV counts places in 1/1024, and rounds them to 1/32 of a pixel.
    across = (place * cosine * 1024).round() + ((-sine * place[:, None] + offsets[0]) * 1024).round()
    down = (place * sine * 1024).round() + ((cosine * place[:, None] + offsets[1]) * 1024).round()
    across, down = torch.floor((across + 16) / 32) / 32, torch.floor((down + 16) / 32) / 32
    left, top = across.floor(), down.floor()
    right_share, low_share = across - left, down - top
    total = torch.zeros(side, side, dtype=torch.float64)
    for right, right_weight in ((0, 1 - right_share), (1, right_share)):
        for low, low_weight in ((0, 1 - low_share), (1, low_share)):
            column, row = left + right, top + low
            is_on = (column == row) & (column >= 0) & (column < side)
            total += is_on * right_weight * low_weight
    return total


def _gaussian(window: int) -> Tensor:
    if window in SMALL:
        return torch.tensor(SMALL[window], dtype=torch.float64) / 256
    place = torch.arange(window, dtype=torch.float64) - window // 2
    sigma = 0.3 * ((window - 1) * 0.5 - 1) + 0.8
    line = torch.exp(-(place**2) / (2 * sigma**2))
    return line / line.sum()
