"""Rain: bright streaks of falling drops in several layers, and the veil of a downpour."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, spread, uniform
from unveil.degradations.points import draw_points, laid, ranks

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
# What is fainter than exp(-8) of the middle of a streak is left out: less than a tenth of a level of 255.
CUT = 8.0


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
        drawn = {
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
        # Half the longest way across a streak.
        reach = (drawn["length"] / 2 + drawn["width"] * (0.425 * math.sqrt(2 * CUT))).ceil().long()
        densest = self._density(torch.ones(batch, device=generator.device), drawn, _lines(drawn))
        return drawn | draw_points(densest, reach.clamp_max(KERNEL // 2), shape[2:], KERNEL, generator)

    def streaks(self, severity: Tensor, drawn: Mapping[str, Tensor], height: int, width: int) -> Tensor:
        """The mask S: (B, 1, H, W), 0..1."""
        kernels = _lines(drawn)
        # A drop that just passes the threshold is faint, and grows brighter as the rain gets denser.
        rank = ranks(drawn, self._density(severity, drawn, kernels))
        drops = torch.where(rank > 0, rank.square().mul_(1 - FAINTEST).add_(FAINTEST), 0.0)
        return laid(drops, drawn, kernels, height, width).clamp(0, 1)

    def _density(self, severity: Tensor, drawn: Mapping[str, Tensor], kernels: Tensor) -> Tensor:
        """The share of pixels with a drop: (B, L)."""
        light = (severity * (FEWEST + (self.densest - FEWEST) * severity))[:, None] * drawn["share"]
        return light / (MEAN_DROP * kernels.sum((-2, -1)))

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        alpha = self.streaks(severity, drawn, images.shape[-2], images.shape[-1]).mul_(spread(drawn["opacity"]))
        veil = spread(drawn["veil"] * severity)
        kept = 1 - alpha * ~spread(drawn["is_additive"])
        # (J t + A (1 - t)) (1 - a S) + a S c, or with 1 for 1 - a S.
        added = (kept * (veil * spread(drawn["airlight"]))).add_(alpha.mul_(spread(drawn["colour"])))
        return torch.addcmul(added, images, kept.mul_(1 - veil))


def _lines(drawn: Mapping[str, Tensor]) -> Tensor:
    """Streaks (B, L, K, K) with a peak of 1, Gaussian across and with soft ends; angles are from the vertical."""
    length, width, angle = (drawn[name][:, :, None, None] for name in ("length", "width", "angle"))
    place = torch.arange(KERNEL, device=length.device, dtype=torch.float32) - KERNEL // 2
    down, right = place[:, None], place[None, :]
    sine, cosine = angle.sin(), angle.cos()
    along, across = down * cosine + right * sine, right * cosine - down * sine
    soft = 0.1 * length
    ends = ((length / 2 - along.abs()) / soft).clamp_(0, 1)
    exponent = across.div_(width * 0.425).square_().mul_(-0.5)
    is_seen = exponent > -CUT
    # Bounded, because denormal numbers are slow on a CPU.
    return exponent.clamp_min_(-CUT).exp_().mul_(ends).mul_(is_seen)
