"""Haze, as MiOIR makes it: grey light scattered into the view, the more the farther the scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from unveil.degradations.base import Shape, spread, uniform
from unveil.degradations.fields import draw_smooth
from unveil.degradations.haze import depth_of, veiled
from unveil.methods.mioir.degradations.base import Span, TaskDegradation


class Haze(TaskDegradation):
    """`I = J t + A (1 - t)`, `t = exp(-beta d)`, d divided by its own maximum.

    `drawn["depth"]`, (B, 1, H, W), any unit, larger is farther, gives true depth maps. Without one, depth is a mixture
    of a vertical ramp and smooth noise, as in `unveil.degradations.haze`; that is ours, for the authors' maps come from
    a network that they do not name.

    Args:
        whole: pictures are whole ones, so made-up depth spans the ramp from near to far; otherwise they are crops and
            half of them show a part of it.
    """

    name = "haze"
    ranges: ClassVar = {"in": (0.5, 2.5), "out": (2.5, 3.0)}

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole

    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        batch = shape[0]
        ends = uniform((batch, 2), generator).sort(1).values
        whole = (uniform((batch,), generator) < 0.5) | self.whole
        return {
            "beta": self.strengths(batch, generator, span, decimals=2),
            "airlight": torch.round(uniform((batch,), generator, 0.8, 1.0), decimals=2),
            "far": torch.where(whole, 1.0, ends[:, 1]),
            "near": torch.where(whole, 0.0, ends[:, 0]),
            "ramp": uniform((batch,), generator, 0.3, 0.9),
            "points": draw_smooth(batch, generator),
        }

    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        depth = drawn["depth"] if "depth" in drawn else depth_of(drawn, images.shape[-2], images.shape[-1])
        if self.whole or "depth" in drawn:
            depth = depth / depth.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
        through = torch.exp(-spread(drawn["beta"]) * depth)
        return veiled(images, through, spread(drawn["airlight"]))
