"""Blur, as MiOIR makes it: an isotropic Gaussian in a window that is drawn apart from its width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import Shape
from unveil.degradations.convolution import reflected
from unveil.methods.mioir.degradations.base import Span, TaskDegradation, integers

WINDOWS = (7, 9, 11, 13, 15, 17, 19, 21)
MARGIN = WINDOWS[-1] // 2


class Blur(TaskDegradation):
    """Gaussian blur with a reflected border. Window and sigma are independent, so a wide sigma may be cut off hard."""

    name = "blur"
    ranges: ClassVar = {"in": (1.0, 3.0), "out": (3.0, 5.0)}

    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        windows = torch.tensor(WINDOWS, device=generator.device)
        return {
            "sigma": self.strengths(shape[0], generator, span, decimals=2),
            "window": windows[integers(shape[0], generator, 0, len(WINDOWS))],
        }

    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        batch, channels, height, width = images.shape
        # The kernel is a product of two, and its window a square: one axis after the other.
        taps = lines(drawn).repeat_interleave(channels, 0)
        padded = reflected(images, MARGIN, height + 2 * MARGIN, width + 2 * MARGIN)
        planes = padded.reshape(1, batch * channels, height + 2 * MARGIN, width + 2 * MARGIN)
        planes = functional.conv2d(planes, taps[:, None, :, None], groups=batch * channels)
        planes = functional.conv2d(planes, taps[:, None, None, :], groups=batch * channels)
        return planes.view(batch, channels, height, width)


def lines(drawn: Mapping[str, Tensor]) -> Tensor:
    """(B, 21): a row of each kernel's factor, of sum 1, zero outside its window."""
    place = torch.arange(-MARGIN, MARGIN + 1, device=drawn["sigma"].device, dtype=torch.float64)
    line = torch.exp(-(place**2) / (2 * drawn["sigma"].double()[:, None] ** 2))
    line = line * (place.abs() <= drawn["window"][:, None] // 2)
    return (line / line.sum(1, keepdim=True)).float()
