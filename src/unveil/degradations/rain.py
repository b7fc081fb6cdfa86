"""Rain: bright streaks of falling drops in several layers, and the veil of a downpour."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, spread, uniform
from unveil.degradations.convolution import field_sides, layered
from unveil.degradations.haze import veiled

KERNEL = 61
LAYERS = 3
JITTER = 0.07
SHORTEST, LONGEST = 8.0, 60.0
THINNEST, WIDEST = 1.0, 3.0
# Mean of the mask before it is clipped to 1, for each unit of severity: in a drizzle and in the densest rain.
FEWEST, MOST = 0.03, 0.4
# Most drops are faint: the brightness of a drop of rank r in 0..1 is FAINTEST + (1 - FAINTEST) r^2.
FAINTEST = 0.15
MEAN_DROP = FAINTEST + (1 - FAINTEST) / 3


class Rain(Degradation):
    """`I = J (1 - a S) + a S c`, or with drops that add light, `I = J + a S c`; S is a mask of streaks in 0..1.

    The mask: sparse random points, each drawn out by the line kernel of its layer (own length, width and angle; the
    layers of a picture share a direction but for `fan`, and sometimes one crosses). A downpour adds a veil of
    haze with t of at least 0.75. ABAIR gives no formula; ours.

    Args:
        additive: share of samples whose drops add light.
        downpour: share of samples with a veil.
        length, width: ranges of the streaks in pixels; a length of more than 60 is cut to the kernel.
        opacity: range of the streaks' opacity.
        layers: the most layers of streaks.
        fan: how far, in radians, the direction of a layer may lie from that of the picture.
        densest: mean of the mask for each unit of severity in the densest rain, 0.4 unless told.
    """

    name = "rain"
    printed = "rain"
    severity_note = "mean of the streak mask = s (0.03 + 0.37 s) before overlap; opacity 0.6..1"
    typical = (0.1, 1.0)

    def __init__(
        self,
        *,
        additive: float = 0.5,
        downpour: float = 0.3,
        length: tuple[float, float] = (SHORTEST, LONGEST),
        width: tuple[float, float] = (THINNEST, WIDEST),
        opacity: tuple[float, float] = (0.6, 1.0),
        layers: int = LAYERS,
        fan: float = JITTER,
        densest: float = MOST,
    ) -> None:
        self.additive = additive
        self.downpour = downpour
        self.length = length
        self.width = width
        self.opacity = opacity
        self.layers = layers
        self.fan = fan
        self.densest = densest

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch = shape[0]
        each = (batch, self.layers)
        jitter = uniform(each, generator, -self.fan, self.fan)
        crossing = (uniform((batch,), generator) < 0.15).float() * uniform((batch,), generator, -0.6, 0.6)
        jitter[:, -1] += crossing
        layers = uniform((batch, 1), generator, 1, self.layers + 1).floor()
        length = uniform((batch, 1), generator).sqrt_() * uniform(each, generator, 0.6, 1.0)
        return {
            "field": uniform((*each, *field_sides(shape[2], shape[3], KERNEL)), generator),
            "share": (torch.arange(self.layers, device=generator.device) >= self.layers - layers) / layers,
            "angle": uniform((batch, 1), generator, -math.pi / 4, math.pi / 4) + jitter,
            "length": self.length[0] + (self.length[1] - self.length[0]) * length,
            "width": self.width[0] + (self.width[1] - self.width[0]) * uniform(each, generator).square_(),
            "opacity": uniform((batch,), generator, *self.opacity),
            "colour": uniform((batch,), generator, 0.8, 1.0),
            "is_additive": uniform((batch,), generator) < self.additive,
            "veil": uniform((batch,), generator, 0, 0.25) * (uniform((batch,), generator) < self.downpour),
            "airlight": uniform((batch,), generator, 0.6, 0.9),
        }

    def streaks(self, severity: Tensor, drawn: Mapping[str, Tensor], height: int, width: int) -> Tensor:
        """The mask S: (B, 1, H, W), 0..1."""
        kernels = _lines(drawn["length"], drawn["width"], drawn["angle"])
        light = (severity * (FEWEST + (self.densest - FEWEST) * severity))[:, None] * drawn["share"]
        density = (light / (MEAN_DROP * kernels.sum((-2, -1))))[:, :, None, None]
        # A drop that just passes the threshold is faint, and grows brighter as the rain gets denser.
        rank = (drawn["field"] - (1 - density)).div_(density.clamp_min(1e-12))
        is_drop = rank > 0
        drops = rank.square_().mul_(1 - FAINTEST).add_(FAINTEST).mul_(is_drop)
        return layered(drops, kernels, height, width).clamp_(0, 1)

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        alpha = self.streaks(severity, drawn, images.shape[-2], images.shape[-1]).mul_(spread(drawn["opacity"]))
        veil = spread(drawn["veil"] * severity)
        lit = veiled(images, 1 - veil, spread(drawn["airlight"]))
        kept = 1 - alpha * ~spread(drawn["is_additive"])
        return lit.mul_(kept).add_(alpha.mul_(spread(drawn["colour"])))


def _lines(length: Tensor, width: Tensor, angle: Tensor) -> Tensor:
    """Streaks (B, L, K, K) with a peak of 1, Gaussian across and with soft ends; angles are from the vertical."""
    place = torch.arange(KERNEL, device=length.device, dtype=torch.float32) - KERNEL // 2
    down, right = place[:, None], place[None, :]
    sine, cosine = angle.sin()[:, :, None, None], angle.cos()[:, :, None, None]
    length, width = length[:, :, None, None], width[:, :, None, None]
    along, across = down * cosine + right * sine, right * cosine - down * sine
    soft = 0.1 * length
    ends = ((length / 2 - along.abs()) / soft).clamp_(0, 1)
    across.div_(width * 0.425)
    # Bounded, because denormal numbers are slow on a CPU.
    return across.square_().mul_(-0.5).clamp_min_(-20).exp_().mul_(ends)
