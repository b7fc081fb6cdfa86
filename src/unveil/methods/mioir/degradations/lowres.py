"""Low resolution, as MiOIR makes it: a picture reduced to a quarter and enlarged again, so that sizes stay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations import quantise
from unveil.degradations.base import Shape
from unveil.errors import InvalidRequest
from unveil.methods.mioir.degradations.base import Span, TaskDegradation


class LowResolution(TaskDegradation):
    """Bicubic down and up, both with PyTorch's kernel (a = -0.75) and without a filter before the reduction.

    Nothing is random. The authors' test inputs were reduced by another programme, and which is not published; with
    `filtered` it is the common antialiased reduction with a = -0.5 to a file of 8 bits (`reduced`), which is ours. Ours
    is also the factor out of distribution.

    Args:
        filtered: reduce with the antialiased filter.
    """

    name = "lowres"
    ranges: ClassVar = {"in": (4.0, 4.0), "out": (6.0, 6.0)}

    def __init__(self, *, filtered: bool = False) -> None:
        self.filtered = filtered

    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        return {"factor": torch.full((shape[0],), self.ranges[span][0])}

    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        if not len(images):
            return images
        factor = float(drawn["factor"][0])
        size = (int(images.shape[-2]), int(images.shape[-1]))
        if min(size) < factor:
            raise InvalidRequest(f"{self.name}: found pictures of {size[1]} x {size[0]}, too small for a factor of 4")
        if self.filtered:
            small = quantise(reduced(images, factor))
        else:
            small = functional.interpolate(images, scale_factor=1 / factor, mode="bicubic", align_corners=False)
        return functional.interpolate(small, size, mode="bicubic", align_corners=False)


def reduced(images: Tensor, factor: float) -> Tensor:
    """Antialiased bicubic reduction (a = -0.5), as MATLAB's imresize has it: sides are divided and rounded up."""
    rows, columns = (_weights(side, factor).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.T


def _weights(side: int, factor: float) -> Tensor:
    """(reduced side, side): what each pixel gives, the border repeated by reflection."""
    count = math.ceil(side / factor)
    place = (torch.arange(count, dtype=torch.float64)[:, None] + 0.5) * factor - 0.5
    reach = math.ceil(2 * factor) + 1
    taps = torch.floor(place) + torch.arange(-reach, reach + 1, dtype=torch.float64)
    weight = _cubic((place - taps) / factor)
    weight = weight / weight.sum(1, keepdim=True)
    turn = torch.remainder(taps, 2 * side)
    index = torch.minimum(turn, 2 * side - 1 - turn).long()
    return torch.zeros(count, side, dtype=torch.float64).scatter_add_(1, index, weight)


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, 0.0))
