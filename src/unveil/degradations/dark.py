"""Low light: too few photons, and what a camera makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, draw_bits, normal_of, spread, uniform

DARKEST = 0.02
GAMMA = 2.2
LARGEST_SHOT = 0.002
LARGEST_READ = 0.0015


class Dark(Degradation):
    """An underexposed picture, or one with a darkening tone curve.

    Exposure: `L = J^2.2`, `L' = e L cast`, shot and read noise in linear light, `I = L'^(1/2.2)`.
    Tone curve: `I = b (a J)^gamma + n`. ABAIR gives no formula; ours.

    Args:
        curves: share of samples that get the tone curve instead of the exposure.
        noise: factor on both kinds of noise. 0 darkens only.
    """

    name = "dark"
    printed = "low light"
    severity_note = "exposure e = 0.02^s, so 0.35 at 0.27; tone curves: gamma = 1 + 4 s"
    typical = (0.27, 1.0)

    def __init__(self, *, curves: float = 0.3, noise: float = 1.0) -> None:
        self.curves = curves
        self.noise = noise

    @staticmethod
    def severity_of(exposure: float) -> float:
        """The severity whose exposure, in linear light, is this factor of the original's."""
        return math.log(exposure) / math.log(DARKEST)

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch, channels = shape[:2]
        return {
            "is_curve": uniform((batch,), generator) < self.curves,
            "cast": uniform((batch, channels), generator, -0.08, 0.08),
            "shot": uniform((batch,), generator, 0, LARGEST_SHOT * self.noise),
            "read": uniform((batch,), generator, 0, LARGEST_READ * self.noise),
            "gain": uniform((batch,), generator, 0, 0.1),
            "ceiling": uniform((batch,), generator, 0, 0.5),
            "sigma": uniform((batch,), generator, 0, 10 / 255 * self.noise),
            "bits": draw_bits(shape, generator),
        }

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        # Both kinds are I = (scale * J^power + noise)^root, so one pass serves a mixed batch.
        is_curve = drawn["is_curve"]
        gamma = 1 + 4 * severity
        power = torch.where(is_curve, gamma, GAMMA)
        root = torch.where(is_curve, 1.0, 1 / GAMMA)
        exposure = torch.exp(severity * math.log(DARKEST))[:, None] * (1 + severity[:, None] * drawn["cast"])
        curve = (1 - severity * drawn["ceiling"]) * (1 - severity * drawn["gain"]) ** gamma
        scale = torch.where(is_curve[:, None], curve[:, None], exposure)
        shot = torch.where(is_curve, 0.0, drawn["shot"] * severity)
        sigma = torch.where(is_curve, drawn["sigma"], drawn["read"]) * severity
        # J^p is 2^(p log J), black included, in half of the time that powers take; the noise is far coarser.
        light = images.log2().mul_(spread(power)).exp2_().mul_(scale[:, :, None, None])
        deviation = (light * spread(shot)).add_(spread(sigma * sigma)).sqrt_()
        light.addcmul_(deviation, normal_of(drawn["bits"])).clamp_min_(0)
        return light.log2_().mul_(spread(root)).exp2_()
