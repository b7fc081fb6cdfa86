"""What every degradation shares: one severity a sample, all chance drawn beforehand, and the 8-bit grid."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from unveil.errors import InvalidRequest

Shape = tuple[int, int, int, int]

# Numbers of a batch that a core works on at a time: what is made of so many stays in its own cache.
PIECE = 2**18


class Degradation(ABC):
    """One phenomenon that spoils photographs, as a batched and seeded function.

    Chance and computation are apart: `draw` makes every random number, `apply` is a fixed function of the picture, the
    severity and what was drawn. So one draw can be applied at several severities, and on any device.

    Class attributes
        name: identifier, one of the field's words (`noise`, `blur`, ...).
        printed: the name for people.
        severity_note: what a severity means for this phenomenon.
        typical: lowest and highest severity worth training on.
    """

    name: ClassVar[str]
    printed: ClassVar[str]
    severity_note: ClassVar[str]
    typical: ClassVar[tuple[float, float]]

    @abstractmethod
    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw all chance for a batch of `shape` (B, C, H, W), as tensors on the generator's device.

        Every tensor has one entry a sample along its first axis. It depends on nothing but the seed and the arguments.
        """

    @abstractmethod
    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """The formula itself, float32 B C H W, in a new tensor; it may leave 0..1 and need not care for severity 0."""

    @torch.no_grad()
    def apply(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """Degrade `images` deterministically.

        Args:
            images: B C H W, float, 0..1, sRGB; not changed.
            severity: (B,), 0..1. A sample of severity 0 comes back bit for bit.
            drawn: what `draw` gave for this shape, on any device.

        Returns:
            B C H W, float32, 0..1, on the device of `images`.

        Raises:
            InvalidRequest: when `images` or `severity` have another shape or kind.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
            raise InvalidRequest(
                f"{self.name}: found images of shape {tuple(images.shape)} and type {images.dtype}, "
                "expected floating B C H W with 1 or 3 channels; convert them to float, 0 to 1, channels first"
            )
        if severity.shape != images.shape[:1]:
            raise InvalidRequest(
                f"{self.name}: found severities of shape {tuple(severity.shape)} for {images.shape[0]} images, "
                "expected one severity an image"
            )
        images = images.float()
        severity = severity.to(images.device, torch.float32)
        here = {key: value.to(images.device, non_blocking=True) for key, value in drawn.items()}
        # Inside a training step autocast would do the matrix products of the formulas in bfloat16.
        with torch.autocast(images.device.type, enabled=False):
            if images.device.type == "cpu":
                return self._degrade_by_pieces(images, severity, here)
            degraded = self.degrade(images, severity, here).clamp_(0, 1)
            return torch.where(spread(severity) > 0, degraded, images)

    def _degrade_by_pieces(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        result = torch.empty_like(images, memory_format=torch.contiguous_format)
        size = max(1, PIECE * torch.get_num_threads() // max(1, images[:1].numel()))
        for start in range(0, len(images), size):
            piece = slice(start, start + size)
            mine = {key: value[piece] for key, value in drawn.items()}
            torch.clamp(self.degrade(images[piece], severity[piece], mine), 0, 1, out=result[piece])
        spared = torch.nonzero(severity <= 0)[:, 0]
        result[spared] = images[spared]
        return result

    def __call__(self, images: Tensor, severity: Tensor | float, generator: torch.Generator) -> Tensor:
        """Draw on the generator's device, apply on that of `images`. A plain number is every sample's severity."""
        if not isinstance(severity, Tensor):
            if not 0 <= severity <= 1:
                raise InvalidRequest(f"{self.name}: found severity {severity}, expected 0 to 1")
            severity = torch.full(images.shape[:1], float(severity), device=images.device)
        shape = (images.shape[0], images.shape[1], images.shape[2], images.shape[3])
        return self.apply(images, severity, self.draw(shape, severity, generator))


def quantise(images: Tensor) -> Tensor:
    """Round to the 256 levels of an 8-bit file. Float in, float out, 0..1."""
    return (images * 255).round_().clamp_(0, 255).div_(255)


def spread(values: Tensor) -> Tensor:
    """(B,) to (B, 1, 1, 1), to meet B C H W."""
    return values.reshape(-1, 1, 1, 1)


def uniform(shape: tuple[int, ...], generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform float32 numbers in [low, high), on the generator's device."""
    values = torch.rand(shape, generator=generator, device=generator.device)
    return values if (low, high) == (0.0, 1.0) else values.mul_(high - low).add_(low)


def draw_bits(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Sixteen random bits for every number of a picture, int16, on the generator's device."""
    count = math.prod(shape)
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=generator.device)
    return words.random_(-(2**63), None, generator=generator).view(torch.int16)[:count].view(shape)


def normal_of(bits: Tensor) -> Tensor:
    """Standard normal float32 numbers from `draw_bits`: each one of 65,536 equally likely ones.

    Their largest is 4.4 and their variance 1; a picture of 8 bits does not show the difference. Drawing and looking
    them up takes about half the time of computing them, and half the memory in between.
    """
    choice = bits.reshape(-1).to(torch.int32).add_(2**15)
    return _quantiles(bits.device).index_select(0, choice).view(bits.shape)


@lru_cache(maxsize=8)
def _quantiles(device: torch.device) -> Tensor:
    """The means of a standard normal number in 65,536 equally likely intervals, scaled to a variance of 1."""
    count = 2**16
    edges = torch.special.ndtri(torch.arange(1, count, dtype=torch.float64) / count)
    heights = torch.zeros(count + 1, dtype=torch.float64)
    heights[1:-1] = torch.exp(-edges.square() / 2) / math.sqrt(2 * math.pi)
    means = (heights[:-1] - heights[1:]) * count
    return (means / means.square().mean().sqrt()).float().to(device)


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal float32 numbers, on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)
