"""Snow: flakes of many sizes drifting through the picture, and a light veil."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, spread, uniform
from unveil.degradations.points import draw_points, laid, ranks

KERNEL = 33
# Radii of five layers: two of small flakes, two of middling ones, one of large ones.
SMALLEST = (0.5, 0.8, 1.2, 1.7, 2.6)
LARGEST = (0.8, 1.2, 1.7, 2.6, 5.5)
SHARES = (0.2, 0.2, 0.2, 0.2, 0.2)
FAINTEST = 0.2
MEAN_FLAKE = FAINTEST + (1 - FAINTEST) / 2


class Snow(Degradation):
    """`I = J (1 - a S) + a S c` with S a mask of flakes in 0..1, over a light veil of haze.

    ABAIR gives no formula; ours.
    The mask: sparse random points in five layers, each made a soft ellipse of the layer's size and drawn out along the
    common direction of fall. Large flakes are near the lens: fewer, softer, drawn out longer.

    Args:
        softness: width of the flakes' edges, in that of plain ones.
        veil: most of the haze.
        unevenness: of the layers' shares of the flakes. At 1 all layers are there; at 6, say, flakes are mostly of one
            size or two.
    """

    name = "snow"
    printed = "snow"
    severity_note = "mean of the flake mask = s (0.02 + 0.33 s) before overlap; veil up to 0.25 s"
    typical = (0.1, 1.0)

    def __init__(self, *, softness: float = 1.0, veil: float = 0.25, unevenness: float = 1.0) -> None:
        self.softness, self.veil, self.unevenness = softness, veil, unevenness

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch = shape[0]
        each = (batch, len(SMALLEST))
        smallest, largest = (torch.tensor(sizes, device=generator.device) for sizes in (SMALLEST, LARGEST))
        radius = smallest + (largest - smallest) * uniform(each, generator)
        drawn = {
            "radius": radius,
            "ratio": uniform(each, generator, 0.6, 1.0),
            "turn": uniform(each, generator, 0, math.pi),
            "fall": uniform((batch, 1), generator, -1.2, 1.2) + uniform(each, generator, -0.15, 0.15),
            "drift": radius * uniform((batch, 1), generator).square_() * 1.5,
            "weight": uniform(each, generator, 0.3, 1.0) ** self.unevenness,
            "opacity": uniform((batch,), generator, 0.6, 0.95),
            "colour": uniform((batch,), generator, 0.88, 1.0),
            "veil": uniform((batch,), generator, 0.0, self.veil),
        }
        reach = (radius + self._soft(radius) / 2 + drawn["drift"]).ceil().long().clamp_max(KERNEL // 2)
        densest = self._density(torch.ones(batch, device=generator.device), drawn, self._ellipses(drawn))
        return drawn | draw_points(densest, reach, shape[2:], KERNEL, generator)

    def flakes(self, severity: Tensor, drawn: Mapping[str, Tensor], height: int, width: int) -> Tensor:
        """The mask S: (B, 1, H, W), 0..1."""
        kernels = self._ellipses(drawn)
        rank = ranks(drawn, self._density(severity, drawn, kernels))
        points = torch.where(rank > 0, rank.mul(1 - FAINTEST).add_(FAINTEST), 0.0)
        return laid(points, drawn, kernels, height, width).clamp(0, 1)

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        alpha = self.flakes(severity, drawn, images.shape[-2], images.shape[-1]).mul_(spread(drawn["opacity"]))
        colour = spread(drawn["colour"])
        veil = spread(drawn["veil"] * severity)
        kept = 1 - alpha
        # (J t + A (1 - t)) (1 - a S) + a S c with A = 0.9 c.
        added = alpha.add_(kept * (0.9 * veil)).mul_(colour)
        return torch.addcmul(added, images, kept.mul_(1 - veil))

    def _density(self, severity: Tensor, drawn: Mapping[str, Tensor], kernels: Tensor) -> Tensor:
        """The share of pixels with a flake: (B, L)."""
        shares = torch.tensor(SHARES, device=severity.device) * drawn["weight"]
        covered = (severity * (0.02 + 0.33 * severity))[:, None] * (shares / shares.sum(1, keepdim=True))
        return (covered / (MEAN_FLAKE * kernels.sum((-2, -1)))).clamp_max(0.2)

    def _soft(self, radius: Tensor) -> Tensor:
        """Widths of the edges."""
        return self.softness * (0.5 + 0.6 * radius)

    def _ellipses(self, drawn: Mapping[str, Tensor]) -> Tensor:
        """Flakes (B, L, K, K) with a peak of 1: soft ellipses, drawn out along the fall."""
        names = ("radius", "ratio", "turn", "fall", "drift")
        radius, ratio, turn, fall, drift = (drawn[name][:, :, None, None] for name in names)
        place = torch.arange(KERNEL, device=radius.device, dtype=torch.float32) - KERNEL // 2
        down, right = place[:, None], place[None, :]
        # The distance to the nearest point of the segment that the flake moved along.
        toward_down, toward_right = fall.cos(), fall.sin()
        moved = (down * toward_down + right * toward_right).clamp(-drift, drift)
        down, right = down - moved * toward_down, right - moved * toward_right
        sine, cosine = turn.sin(), turn.cos()
        along, across = right * cosine + down * sine, (down * cosine - right * sine) / ratio
        distance = (along * along + across * across).sqrt_()
        return ((radius - distance) / self._soft(radius) + 0.5).clamp_(0, 1)
