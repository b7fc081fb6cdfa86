"""Blur: the camera moved, or the lens was out of focus."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, normal, uniform
from unveil.degradations.convolution import blurred
from unveil.errors import InvalidRequest

KERNEL = 41
STEPS = 96
LARGEST_SIGMA = 4.0
LARGEST_RADIUS = 6.0


class Blur(Degradation):
    """`I = k * J` with a reflected border; every kernel sums to 1 and has its centroid in its centre.

    Three kinds of kernel: motion (the rasterised path of a shaking camera, or a straight line), Gaussian (round or
    stretched), disc (out of focus). ABAIR gives no formula; ours.

    Args:
        motion, gaussian, disc: shares of the kinds; they are scaled to sum to 1.
        lines: share of the motion kernels that are straight lines at constant speed.
        stretch: smallest ratio of a Gaussian's short to its long sigma. 1 gives round ones only.
    """

    name = "blur"
    printed = "blur"
    severity_note = "motion 1 + 40 s pixels long; or Gaussian sigma = 4 s; or disc of radius 0.5 + 5.5 s"
    typical = (0.12, 1.0)

    def __init__(
        self,
        *,
        motion: float = 0.6,
        gaussian: float = 0.25,
        disc: float = 0.15,
        lines: float = 0.35,
        stretch: float = 0.5,
    ) -> None:
        total = motion + gaussian + disc
        if min(motion, gaussian, disc) < 0 or total <= 0:
            raise InvalidRequest(
                f"blur: found shares motion={motion}, gaussian={gaussian}, disc={disc}, "
                "expected none negative and not all 0"
            )
        self.until_gaussian = motion / total
        self.until_disc = (motion + gaussian) / total
        self.lines = lines
        self.stretch = stretch

    @staticmethod
    def severity_of(sigma: float) -> float:
        """The severity whose Gaussian blur has this sigma, in pixels."""
        return sigma / LARGEST_SIGMA

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch = shape[0]
        kind = uniform((batch,), generator)
        angle = uniform((batch,), generator, 0, math.pi)
        straight = uniform((batch,), generator) < self.lines
        return {
            "kind": (kind >= self.until_gaussian).long() + (kind >= self.until_disc).long(),
            "angle": angle,
            "ratio": uniform((batch,), generator, self.stretch, 1),
            "path": torch.where(straight[:, None, None], _line(angle), _walk(batch, generator)),
        }

    def kernels(self, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """The kernels themselves: (B, 41, 41), each with sum 1."""
        kind = drawn["kind"][:, None, None]
        motion = _rasterised(drawn["path"], severity)
        gaussian = _gaussian(severity, drawn["ratio"], drawn["angle"])
        kernels = torch.where(kind == 0, motion, torch.where(kind == 1, gaussian, _disc(severity)))
        return kernels / kernels.sum((-2, -1), keepdim=True)

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        return blurred(images, self.kernels(severity, drawn))


def _line(angle: Tensor) -> Tensor:
    place = torch.linspace(-1, 1, STEPS, device=angle.device)
    return torch.stack((place * angle.sin()[:, None], place * angle.cos()[:, None]), -1)


def _walk(batch: int, generator: torch.Generator) -> Tensor:
    """Paths of a hand: the velocity does a random walk with some drag, the place is its integral.

    Returns (B, STEPS, 2), centroid 0, farthest point at distance 1.
    """
    start = normal((batch, 1, 2), generator)
    nervousness = uniform((batch, 1, 1), generator, 0.05, 0.5)
    pushes = normal((batch, STEPS, 2), generator) * nervousness
    path = (start + pushes.cumsum(1)).cumsum(1)
    # 32 to 96 of the steps are walked; the rest of the path is a point walked over again.
    walked = uniform((batch, 1), generator, 32, STEPS).long()
    index = (torch.arange(STEPS, device=path.device) * walked // STEPS)[..., None].expand(-1, -1, 2)
    path = path.gather(1, index)
    path = path - path.mean(1, keepdim=True)
    return path / path.norm(dim=-1).amax(1).clamp_min(1e-6)[:, None, None]


def _rasterised(path: Tensor, severity: Tensor) -> Tensor:
    """Lay each point of a path on its four nearest pixels; that keeps the centroid where it is."""
    batch = path.shape[0]
    place = path * (KERNEL // 2 * severity)[:, None, None] + KERNEL // 2
    corner = place.floor().clamp_(0, KERNEL - 2)
    beyond = place - corner
    index = corner[..., 0] * KERNEL + corner[..., 1]
    down, right = beyond[..., 0], beyond[..., 1]
    weights = torch.cat(((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right), 1)
    places = torch.cat((index, index + 1, index + KERNEL, index + KERNEL + 1), 1).long()
    kernels = torch.zeros(batch, KERNEL * KERNEL, device=path.device)
    return kernels.scatter_add_(1, places, weights).view(batch, KERNEL, KERNEL)


def _grid(device: torch.device) -> tuple[Tensor, Tensor]:
    place = torch.arange(KERNEL, device=device, dtype=torch.float32) - KERNEL // 2
    return place[:, None], place[None, :]


def _gaussian(severity: Tensor, ratio: Tensor, angle: Tensor) -> Tensor:
    down, right = _grid(severity.device)
    long = (severity * LARGEST_SIGMA).clamp_min(1e-3)[:, None, None]
    short = long * ratio[:, None, None]
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    along = (down * sine + right * cosine) / long
    across = (down * cosine - right * sine) / short
    # Bounded, because denormal numbers are slow on a CPU.
    return torch.exp((along * along + across * across).mul_(-0.5).clamp_min_(-30))


def _disc(severity: Tensor) -> Tensor:
    down, right = _grid(severity.device)
    radius = (0.5 + (LARGEST_RADIUS - 0.5) * severity)[:, None, None]
    return (radius + 0.5 - (down * down + right * right).sqrt()).clamp(0, 1)
