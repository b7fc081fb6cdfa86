"""Low resolution: the picture had been made smaller and was enlarged again, its size unchanged."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, spread, uniform
from unveil.errors import InvalidRequest

LARGEST = 4.0


class LowRes(Degradation):
    """`I = E(S(J))`: fewer pixels, and back to the size that the picture had. ABAIR has no such task; ours.

    S shrinks both sides by a factor f without aliasing, by cubic weights (a = -1/2) or the mean of an area; E enlarges
    by cubic or linear weights, or repeats pixels. Both are matrices of a side, so f may be any number; where the first
    of the few pixels lies is chance, as in a part cut out of a larger picture.

    Args:
        areas: share of samples shrunk by the mean of an area.
        linear, repeated: shares of samples enlarged by linear weights and by repeating pixels.
    """

    name = "lowres"
    printed = "low resolution"
    severity_note = "both sides had 1 + 3 s times fewer pixels: 2 at s = 1/3, 4 at 1"
    typical = (0.2, 1.0)

    def __init__(self, *, areas: float = 0.4, linear: float = 0.25, repeated: float = 0.15) -> None:
        if min(areas, linear, repeated) < 0 or areas > 1 or linear + repeated > 1:
            raise InvalidRequest(
                f"lowres: found shares areas={areas}, linear={linear}, repeated={repeated}, expected none negative, "
                "areas at most 1, and the other two together at most 1"
            )
        self.areas, self.linear, self.repeated = areas, linear, repeated

    @staticmethod
    def severity_of(factor: float) -> float:
        """The severity at which a side has had so many times fewer pixels, 1 to 4."""
        if not 1 <= factor <= LARGEST:
            raise InvalidRequest(f"lowres: found factor {factor}, expected 1 to {LARGEST:g}")
        return (factor - 1) / (LARGEST - 1)

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        enlarging = uniform(shape[:1], generator)
        return {
            "by_area": uniform(shape[:1], generator) < self.areas,
            "is_linear": enlarging < self.linear,
            "is_repeated": (enlarging >= self.linear) & (enlarging < self.linear + self.repeated),
            "down": uniform(shape[:1], generator, -0.5, 0.5),
            "right": uniform(shape[:1], generator, -0.5, 0.5),
        }

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        factor = 1 + (LARGEST - 1) * severity
        shrink_rows, enlarge_rows = _resizing(images.shape[-2], factor, drawn["down"], drawn)
        shrink_columns, enlarge_columns = _resizing(images.shape[-1], factor, drawn["right"], drawn)
        few = shrink_rows[:, None] @ images @ shrink_columns[:, None].mT
        # What is kept has been a file, without colours beyond black and white.
        return enlarge_rows[:, None] @ few.clamp_(0, 1) @ enlarge_columns[:, None].mT


def _resizing(side: int, factor: Tensor, phase: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The matrices of one side: shrinking (B, few, side) and enlarging (B, side, few)."""
    step = spread(factor)[..., 0]
    # Near a factor of 1 a shift alone would blur.
    shift = spread(phase * (factor - 1).clamp_max(1))[..., 0]
    places = torch.arange(side, device=factor.device) + 0.5
    # Two more at each end, so that every pixel lies between some; those that mean nothing get no weight. Where it costs
    # no waiting, no more than the smallest factor needs, for they are multiplied.
    most = math.ceil(side / float(factor.min())) if factor.device.type == "cpu" else side
    few = torch.arange(-2, most + 3, device=factor.device)[:, None]
    centres = (few + 0.5 + shift) * step
    apart = places - centres
    by_area = spread(drawn["by_area"])[..., 0]
    covered = ((step + 1) / 2 - apart.abs()).clamp(0, 1)
    shrinking = torch.where(by_area, covered, _cubic(apart / step))
    # Few pixels beyond the border would be made of a sliver of it.
    shrinking = shrinking * ((centres > 0) & (centres < side))
    total = shrinking.sum(-1, keepdim=True)
    is_there = total.abs() > 1e-3
    shrinking = torch.where(is_there, shrinking / total, 0.0)
    apart = apart / step
    linear = (1 - apart.abs()).clamp_min(0)
    repeated = ((apart >= -0.5) & (apart < 0.5)).float()
    enlarging = torch.where(spread(drawn["is_linear"])[..., 0], linear, _cubic(apart))
    enlarging = torch.where(spread(drawn["is_repeated"])[..., 0], repeated, enlarging) * is_there
    total = enlarging.sum(-2, keepdim=True)
    # At the border the nearest of the few pixels stands for what is not there.
    nearest = torch.where(is_there, apart.abs(), torch.inf)
    nearest = (nearest == nearest.amin(-2, keepdim=True)).float()
    enlarging = torch.where(total > 0.25, enlarging / total, nearest / nearest.sum(-2, keepdim=True))
    return shrinking, enlarging.mT


def _cubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2, for distances in pixels."""
    t = distance.abs()
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))
