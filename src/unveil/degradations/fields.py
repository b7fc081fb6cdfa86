"""Smooth random fields, for what changes slowly across a picture."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from unveil.degradations.base import uniform

OCTAVES = (3, 5, 9)
POINTS = sum(side * side for side in OCTAVES)


def draw_smooth(batch: int, generator: torch.Generator) -> Tensor:
    """The chance behind `smooth`: (B, POINTS), uniform."""
    return uniform((batch, POINTS), generator)


def smooth(points: Tensor, height: int, width: int) -> Tensor:
    """Fractal noise of three octaves: (B, 1, H, W) from `draw_smooth`, stretched so that each sample spans 0..1."""
    batch = points.shape[0]
    total = torch.zeros(batch, height, width, device=points.device)
    amplitude = 1.0
    for side, knots in zip(OCTAVES, points.split([side * side for side in OCTAVES], 1), strict=True):
        rows, columns = _weights(side, height, points.device), _weights(side, width, points.device)
        total += amplitude * (rows @ knots.view(batch, side, side) @ columns.T)
        amplitude /= 2
    lowest, highest = total.amin((1, 2), keepdim=True), total.amax((1, 2), keepdim=True)
    return ((total - lowest) / (highest - lowest).clamp_min(1e-6))[:, None]


@lru_cache(maxsize=64)
def _weights(knots: int, side: int, device: torch.device) -> Tensor:
    """(side, knots): how much each knot gives to each pixel, with an S-curve between neighbours."""
    place = (torch.arange(side, device=device) + 0.5) * ((knots - 1) / side)
    near = (1 - (place[:, None] - torch.arange(knots, device=device)).abs()).clamp_min(0)
    return near * near * (3 - 2 * near)
