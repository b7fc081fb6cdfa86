"""Haze: light scattered into the view, the more the farther the scene."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import Degradation, Shape, spread, uniform
from unveil.degradations.fields import draw_smooth, smooth

LARGEST_DENSITY = 2.5
# The guided filter works on a picture this much smaller, in windows of this side, and follows edges stronger than this.
REDUCTION = 4
WINDOW = 17
EDGE = 0.05


class Haze(Degradation):
    """`I = J t + A (1 - t)`, `t = exp(-beta D)`.

    `drawn["depth"]`, (B, 1, H, W) in 0..1 with 1 far, gives a true depth map. Without one, depth is a mixture of a
    vertical ramp (near at the bottom) and smooth noise. ABAIR gives no formula; ours.

    Args:
        guided: share of samples whose made-up depth follows the edges of the picture.
        flat: share of samples whose made-up depth is nearly the same everywhere.
    """

    name = "haze"
    printed = "haze"
    severity_note = "beta = 2.5 s over depths of 0..1"
    typical = (0.16, 1.0)

    def __init__(self, *, guided: float = 0.0, flat: float = 0.0) -> None:
        self.guided = guided
        self.flat = flat

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch, channels = shape[:2]
        # A training crop often shows a part of the ramp only: `far` and `near` are the depths at its top and bottom.
        ends = uniform((batch, 2), generator).sort(1).values
        whole = uniform((batch,), generator) < 0.5
        drawn = {
            "airlight": uniform((batch, 1), generator, 0.6, 1.0) + uniform((batch, channels), generator, -0.05, 0.05),
            "far": torch.where(whole, 1.0, ends[:, 1]),
            "near": torch.where(whole, 0.0, ends[:, 0]),
            "ramp": uniform((batch,), generator, 0.3, 0.9),
            "points": draw_smooth(batch, generator),
        }
        # Drawn last and only where wanted, so that the plain generator's draws stay what they were.
        if self.flat:
            evened = uniform((batch,), generator, 0.7, 1.0) * (uniform((batch,), generator) < self.flat)
            drawn |= {"evened": evened, "level": uniform((batch,), generator, 0.4, 1.0)}
        if self.guided:
            drawn["is_guided"] = uniform((batch,), generator) < self.guided
        return drawn

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        depth = drawn["depth"] if "depth" in drawn else depth_of(drawn, images.shape[-2], images.shape[-1])
        if "is_guided" in drawn:
            depth = torch.where(spread(drawn["is_guided"]), _follow(images, depth), depth)
        through = torch.exp(depth * spread(severity * -LARGEST_DENSITY))
        airlight = drawn["airlight"].clamp(0, 1)[:, :, None, None]
        return veiled(images, through, airlight)


def depth_of(drawn: Mapping[str, Tensor], height: int, width: int) -> Tensor:
    """The made-up depth map, (B, 1, H, W), 0 near to 1 far."""
    down = (torch.arange(height, device=drawn["far"].device) + 0.5) / height
    ramp = torch.lerp(spread(drawn["far"]), spread(drawn["near"]), down[:, None])
    depth = torch.lerp(smooth(drawn["points"], height, width), ramp, spread(drawn["ramp"]))
    if "evened" in drawn:
        depth = torch.lerp(depth, spread(drawn["level"]).expand_as(depth), spread(drawn["evened"]))
    return depth


def _follow(images: Tensor, depth: Tensor) -> Tensor:
    """Depth with the edges of the picture: in every window the linear function of its brightness nearest to `depth`.

    Bright things count as a little farther, as skies are.
    """
    brightness = images.mean(1, keepdim=True)
    if min(images.shape[-2:]) < REDUCTION * WINDOW:
        return depth
    guide, wanted = (functional.avg_pool2d(plane, REDUCTION) for plane in (brightness, depth))
    wanted = wanted + 0.3 * (guide - guide.mean((2, 3), keepdim=True))
    mean, goal = _windowed(guide), _windowed(wanted)
    slope = (_windowed(guide * wanted) - mean * goal) / (_windowed(guide * guide) - mean * mean + EDGE**2)
    coefficients = torch.cat((_windowed(slope), _windowed(goal - slope * mean)), 1)
    size = (int(images.shape[-2]), int(images.shape[-1]))
    slope, offset = functional.interpolate(coefficients, size, mode="bilinear").split(1, 1)
    return (slope * brightness + offset).clamp_(0, 1)


def _windowed(plane: Tensor) -> Tensor:
    """Means over windows, one axis after the other."""
    margin = WINDOW // 2
    padded = functional.pad(plane, (margin, margin, margin, margin), mode="replicate")
    return functional.avg_pool2d(functional.avg_pool2d(padded, (WINDOW, 1), stride=1), (1, WINDOW), stride=1)


def veiled(images: Tensor, through: Tensor, airlight: Tensor) -> Tensor:
    """`J t + A (1 - t)`."""
    return (images - airlight).mul_(through).add_(airlight)
