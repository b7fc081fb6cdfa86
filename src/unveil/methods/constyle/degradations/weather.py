"""Contrast and snow, as ConStyle v2 has them from the robustness benchmarks; the snow's streaks are blurred by us."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations import quantise
from unveil.errors import InvalidRequest

CONTRASTS = (0.4, 0.3, 0.2, 0.1, 0.05)

# Mean and deviation of the flakes, zoom, threshold, radius and sigma of the streaks, share of the picture's own light.
SNOWS = (
    (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.8),
    (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.8),
    (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.7),
    (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.65),
    (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.6),
)
GREY = (0.299, 0.587, 0.114)


def contrast(image: Tensor, severity: int) -> Tensor:
    """Draw a picture `3 H W`, 0..1, towards the mean of each channel; `severity` 1 to 5."""
    mean = image.mean((1, 2), keepdim=True)
    return ((image - mean) * CONTRASTS[_place(severity)] + mean).clamp(0, 1)


def snow(image: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Bleach a picture `3 H W`, 0..1, and let streaks fall over it; `severity` 1 to 5."""
    mean, deviation, zoom, threshold, radius, sigma, share = SNOWS[_place(severity)]
    height, width = image.shape[-2:]
    flakes = torch.randn(height, width, generator=generator) * deviation + mean
    if zoom > 1:
        flakes = _enlarged(flakes, zoom)
    flakes = quantise(torch.where(flakes < threshold, 0.0, flakes).clamp(0, 1))
    angle = -135 + 90 * float(torch.rand((), generator=generator))
    layer = streaks(flakes, int(radius), sigma, angle)
    grey = torch.einsum("c, c h w -> h w", torch.tensor(GREY), image)
    bleached = share * image + (1 - share) * torch.maximum(image, 1.5 * grey + 0.5)
    return (bleached + layer + layer.flip(0, 1)).clamp(0, 1)


def snowed(image: Tensor, generator: torch.Generator) -> Tensor:
    """What v2 does to 40 % of its pictures before they are cropped: little contrast, and snow twice; 8 bits."""
    return quantise(snow(snow(contrast(image, 1), 1, generator), 2, generator))


def streaks(layer: Tensor, radius: int, sigma: float, angle: float) -> Tensor:
    """Blur `H W` along an angle in degrees with half a Gaussian of `2 radius + 1` pixels, the border repeated.

    ImageMagick's motion blur is a kernel of one side too; which pixels it takes along a line is ours.
    """
    taps = torch.arange(2 * radius + 1, dtype=torch.float32)
    weights = torch.exp(-taps * taps / (2 * sigma * sigma))
    weights /= weights.sum()
    turn = math.radians(angle)
    down, right = (taps * math.sin(turn)).round().long(), (taps * math.cos(turn)).round().long()
    margin = 2 * radius + 1
    padded = functional.pad(layer[None, None], (margin, margin, margin, margin), mode="replicate")[0, 0]
    height, width = layer.shape
    blurred = torch.zeros_like(layer)
    for weight, dy, dx in zip(weights.tolist(), down.tolist(), right.tolist(), strict=True):
        blurred += weight * padded[margin + dy : margin + dy + height, margin + dx : margin + dx + width]
    return blurred


def _enlarged(layer: Tensor, zoom: float) -> Tensor:
    """The middle of a layer, enlarged to its size."""
    height, width = layer.shape
    inner = (math.ceil(height / zoom), math.ceil(width / zoom))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    middle = layer[None, None, top : top + inner[0], left : left + inner[1]]
    return functional.interpolate(middle, (height, width), mode="bilinear", align_corners=True)[0, 0]


def _place(severity: int) -> int:
    if not 1 <= severity <= 5:
        raise InvalidRequest(f"severity is {severity}, expected 1 to 5")
    return severity - 1
