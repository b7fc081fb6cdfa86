"""What the seven published degradations share: a strength drawn from a range, chance apart from arithmetic, 8 bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from unveil.degradations import quantise
from unveil.degradations.base import Shape, uniform
from unveil.errors import InvalidRequest

Span: TypeAlias = Literal["in", "out"]
"""Strengths as in training (In-Dis) or beyond them (Out-Dis)."""


class TaskDegradation(ABC):
    """One of the seven degradations, with the arithmetic of the authors' scripts, batched and seeded.

    As in `unveil.degradations`, `draw` makes every random number and `degrade` is a fixed function of the picture and
    of what was drawn, so that a draw gives the same on any device but for rounding.

    Class attributes
        name: identifier, one of `TASKS`.
        ranges: lowest and highest strength, in and out of the distribution of training.
    """

    name: ClassVar[str]
    ranges: ClassVar[Mapping[Span, tuple[float, float]]]

    @abstractmethod
    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        """Draw all chance for a batch of `shape` (B, 3, H, W), on the generator's device."""

    @abstractmethod
    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """The formula itself, on 8-bit pictures as float32 in 0..1; it may leave 0..1 and need not round."""

    @torch.no_grad()
    def apply(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """Degrade `images` deterministically.

        Args:
            images: B 3 H W, float, 0..1, sRGB; not changed.
            drawn: what `draw` gave for this shape, on any device.

        Returns:
            B 3 H W, float32, on the grid of 8 bits, on the device of `images`.

        Raises:
            InvalidRequest: when `images` have another shape or kind.
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise InvalidRequest(
                f"{self.name}: found images of shape {tuple(images.shape)} and type {images.dtype}, "
                "expected floating B 3 H W; convert them to RGB, float, 0 to 1, channels first"
            )
        here = {key: value.to(images.device, non_blocking=True) for key, value in drawn.items()}
        # Inside a training step autocast would do the products of the formulas in bfloat16.
        with torch.autocast(images.device.type, enabled=False):
            return quantise(self.degrade(quantise(images.float()), here))

    def __call__(self, images: Tensor, generator: torch.Generator, span: Span = "in") -> Tensor:
        """Draw on the generator's device, apply on that of `images`."""
        shape = (images.shape[0], images.shape[1], images.shape[2], images.shape[3])
        return self.apply(images, self.draw(shape, generator, span))

    def strengths(self, count: int, generator: torch.Generator, span: Span, *, decimals: int) -> Tensor:
        """`count` uniform strengths of the range, rounded to so many decimals."""
        return torch.round(uniform((count,), generator, *self.ranges[span]), decimals=decimals)


def integers(count: int, generator: torch.Generator, low: int, high: int) -> Tensor:
    """`count` integers in low..high-1, equally likely."""
    return torch.randint(low, high, (count,), generator=generator, device=generator.device)
