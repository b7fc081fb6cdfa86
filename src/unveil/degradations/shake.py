"""Shake: another way to draw blur. The camera also turns, and what adds up is light rather than numbers of a file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import Degradation, Shape, normal, spread, uniform
from unveil.degradations.blur import Blur

INSTANTS = 17
LARGEST_REACH = 14.0
"""Pixels that the picture moves from its mean place, at most."""
LARGEST_TURN = 0.05
"""Radians, and also the largest relative change of size."""
GAMMA = 2.2


class Shake(Degradation):
    """`I = (mean_t J_t^g)^(1/g)`: the mean of what was seen at 17 instants, each moved, turned and enlarged a little.

    Place, angle and size each follow a path of their own, a hand's or a straight line, about a centre anywhere in or
    near the picture; so what is blurred differs from place to place, as averages of the frames of a film do. Half of
    the samples add light (g = 2.2), the others the numbers of the file (g = 1). Ours.

    Args:
        turns: share of samples that also turn and change their size; the others only move.
    """

    name = Blur.name
    printed = Blur.printed
    severity_note = "places up to 14 s pixels, angles up to 0.05 s radians from their mean"
    typical = Blur.typical

    def __init__(self, *, turns: float = 0.7) -> None:
        self.turns = turns

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch = shape[0]
        straight = uniform((batch, 1, 1), generator) < 0.35
        turning = (uniform((batch, 1, 1), generator) < self.turns).float()
        start = normal((batch, 1, 4), generator)
        nervousness = uniform((batch, 1, 1), generator, 0.05, 0.5) * ~straight
        path = (start + (normal((batch, INSTANTS, 4), generator) * nervousness).cumsum(1)).cumsum(1)
        path = path - path.mean(1, keepdim=True)
        place = path[..., :2] / path[..., :2].norm(dim=-1, keepdim=True).amax(1, keepdim=True).clamp_min(1e-6)
        # Angle and size reach different shares of what they may, either way.
        others = path[..., 2:] / path[..., 2:].abs().amax(1, keepdim=True).clamp_min(1e-6)
        reach = uniform((batch, 1, 2), generator, 0, 1) * turning
        return {
            "path": torch.cat((place, others * reach), -1),
            "centre": uniform((batch, 2), generator, -1.5, 1.5),
            "is_light": uniform((batch,), generator) < 0.5,
        }

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        height, width = images.shape[-2:]
        power = spread(torch.where(drawn["is_light"], GAMMA, 1.0))
        light = images.pow(power)
        down = torch.arange(height, device=images.device) + 0.5 - height / 2
        right = torch.arange(width, device=images.device) + 0.5 - width / 2
        centre = drawn["centre"] * images.new_tensor([width / 2, height / 2])
        x = right[None, None, :] - centre[:, 0, None, None]
        y = down[None, :, None] - centre[:, 1, None, None]
        path = drawn["path"] * severity[:, None, None]
        total = torch.zeros_like(images)
        for instant in path.unbind(1):
            move_x, move_y, angle, size = (value[:, None, None] for value in instant.unbind(-1))
            angle, size = LARGEST_TURN * angle, LARGEST_TURN * size
            # A turn by a small angle, and a change of size: to first order, about the centre.
            places_x = right[None, None, :] + LARGEST_REACH * move_x + size * x - angle * y
            places_y = down[None, :, None] + LARGEST_REACH * move_y + size * y + angle * x
            grid = torch.stack((places_x * (2 / width), places_y * (2 / height)), -1)
            total += functional.grid_sample(light, grid, padding_mode="reflection", align_corners=False)
        return total.div_(path.shape[1]).clamp_min_(0).pow_(1 / power)
