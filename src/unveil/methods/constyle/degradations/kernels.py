"""Blur kernels of Real-ESRGAN's pipeline: six kinds around a Gaussian, and the ideal low pass (sinc)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unveil.degradations.base import uniform

SIDE = 21
"""Every kernel is laid out in this many pixels."""

SIZES = (7, 9, 11, 13, 15, 17, 19, 21)

SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
"""Of plain, generalised and plateau kernels, each first round, then stretched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """How the kernels of one round are drawn; the numbers are those of the published options of ConStyle v2.

    Attributes:
        sigma: range, in pixels, of each axis.
        sinc: share of kernels that are an ideal low pass instead.
        shares: of the six kinds.
        generalised, plateau: ranges of the exponent; below 1 and above 1 equally often.
    """

    sigma: tuple[float, float]
    sinc: float = 0.1
    shares: tuple[float, ...] = SHARES
    generalised: tuple[float, float] = (0.5, 4.0)
    plateau: tuple[float, float] = (1.0, 2.0)

    def __call__(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` kernels (B, 21, 21) of sum 1."""
        sizes = draw_sizes(count, generator)
        kind = torch.multinomial(
            torch.tensor(self.shares, dtype=torch.float32), count, replacement=True, generator=generator
        )
        is_round, family = kind % 2 == 0, torch.tensor((0, 0, 1, 1, 2, 2))[kind]
        # The kinds are named round and stretched by turns.
        first = uniform((count,), generator, *self.sigma)
        second = torch.where(is_round, first, uniform((count,), generator, *self.sigma))
        angle = uniform((count,), generator, -math.pi, math.pi)
        exponents = torch.stack(
            (
                torch.ones(count),
                _exponent(count, generator, self.generalised),
                _exponent(count, generator, self.plateau),
            )
        )
        exponent = exponents.gather(0, family[None])[0]
        distance = _ellipse(first, second, angle) ** exponent[:, None, None]
        falling = torch.where((family == 2)[:, None, None], 1 / (distance + 1), torch.exp(-0.5 * distance))
        is_sinc = uniform((count,), generator) < self.sinc
        lowest = torch.where(sizes < 13, math.pi / 3, math.pi / 5)
        cutoff = lowest + (math.pi - lowest) * uniform((count,), generator)
        return _normalised(torch.where(is_sinc[:, None, None], sinc(cutoff), falling), sizes)


def draw_sizes(count: int, generator: torch.Generator) -> Tensor:
    """Odd sides of kernels, (B,)."""
    return torch.tensor(SIZES)[torch.randint(0, len(SIZES), (count,), generator=generator)]


def final_sinc(count: int, generator: torch.Generator, *, share: float = 0.8) -> Tensor:
    """The kernels at the end of the pipeline: an ideal low pass, or nothing. (B, 21, 21)."""
    cutoff = uniform((count,), generator, math.pi / 3, math.pi)
    kernels = _normalised(sinc(cutoff), draw_sizes(count, generator))
    identity = torch.zeros(SIDE, SIDE)
    identity[SIDE // 2, SIDE // 2] = 1
    acts = uniform((count,), generator) < share
    return torch.where(acts[:, None, None], kernels, identity)


def sinc(cutoff: Tensor) -> Tensor:
    """The circular low pass with these cut-off frequencies (B,), in radians a pixel: (B, 21, 21), not normalised."""
    down, right = _places()
    distance = (down * down + right * right).sqrt()
    cutoff = cutoff[:, None, None]
    away = cutoff * torch.special.bessel_j1(cutoff * distance) / (2 * math.pi * distance.clamp_min(1e-6))
    return torch.where(distance == 0, cutoff * cutoff / (4 * math.pi), away)


def _exponent(count: int, generator: torch.Generator, span: tuple[float, float]) -> Tensor:
    below, place = torch.rand(2, count, generator=generator)
    return torch.where(below < 0.5, span[0] + (1 - span[0]) * place, 1 + (span[1] - 1) * place)


def _ellipse(first: Tensor, second: Tensor, angle: Tensor) -> Tensor:
    """The squared distance from the centre, in sigmas along both axes: (B, 21, 21)."""
    down, right = _places()
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    along, across = right * cosine + down * sine, down * cosine - right * sine
    return (along / first[:, None, None]) ** 2 + (across / second[:, None, None]) ** 2


def _normalised(kernels: Tensor, sizes: Tensor) -> Tensor:
    down, right = _places()
    inside = torch.maximum(down.abs(), right.abs()) <= (sizes // 2)[:, None, None]
    kernels = kernels * inside
    return kernels / kernels.sum((1, 2), keepdim=True)


def _places() -> tuple[Tensor, Tensor]:
    place = torch.arange(SIDE, dtype=torch.float32) - SIDE // 2
    return place[:, None], place[None, :]
