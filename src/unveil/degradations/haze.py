"""Haze: light scattered into the view, the more the farther the scene."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, spread, uniform
from unveil.degradations.fields import draw_smooth, smooth

LARGEST_DENSITY = 2.5


class Haze(Degradation):
    """`I = J t + A (1 - t)`, `t = exp(-beta D)`.

    `drawn["depth"]`, (B, 1, H, W) in 0..1 with 1 far, gives a true depth map. Without one, depth is a mixture of a
    vertical ramp (near at the bottom) and smooth noise. ABAIR gives no formula; ours.
    """

    name = "haze"
    printed = "haze"
    severity_note = "beta = 2.5 s over depths of 0..1"
    typical = (0.16, 1.0)

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch, channels = shape[:2]
        # A training crop often shows a part of the ramp only: `far` and `near` are the depths at its top and bottom.
        ends = uniform((batch, 2), generator).sort(1).values
        whole = uniform((batch,), generator) < 0.5
        return {
            "airlight": uniform((batch, 1), generator, 0.6, 1.0) + uniform((batch, channels), generator, -0.05, 0.05),
            "far": torch.where(whole, 1.0, ends[:, 1]),
            "near": torch.where(whole, 0.0, ends[:, 0]),
            "ramp": uniform((batch,), generator, 0.3, 0.9),
            "points": draw_smooth(batch, generator),
        }

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        depth = drawn["depth"] if "depth" in drawn else depth_of(drawn, images.shape[-2], images.shape[-1])
        through = torch.exp(depth * spread(severity * -LARGEST_DENSITY))
        airlight = drawn["airlight"].clamp(0, 1)[:, :, None, None]
        return veiled(images, through, airlight)


def depth_of(drawn: Mapping[str, Tensor], height: int, width: int) -> Tensor:
    """The made-up depth map, (B, 1, H, W), 0 near to 1 far."""
    down = (torch.arange(height, device=drawn["far"].device) + 0.5) / height
    ramp = torch.lerp(spread(drawn["far"]), spread(drawn["near"]), down[:, None])
    return torch.lerp(smooth(drawn["points"], height, width), ramp, spread(drawn["ramp"]))


def veiled(images: Tensor, through: Tensor, airlight: Tensor) -> Tensor:
    """`J t + A (1 - t)`."""
    return (images - airlight).mul_(through).add_(airlight)
