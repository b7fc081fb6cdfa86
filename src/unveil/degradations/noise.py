"""Sensor noise: Gaussian, or shot and read noise that depends on the light."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, draw_bits, normal_of, spread, uniform

LARGEST_SIGMA = 60 / 255
LARGEST_SHOT = 0.02
LARGEST_READ = 20 / 255


class Noise(Degradation):
    """`I = J + n`, `n ~ N(0, sigma^2)`, independent in every pixel and channel.

    Some samples are signal dependent instead: variance `shot * J + read^2`. ABAIR gives no formula; ours.

    Args:
        signal_dependent: share of samples with shot and read noise. 0 gives pure Gaussian noise.
    """

    name = "noise"
    printed = "noise"
    severity_note = "sigma = 60 s / 255; signal-dependent samples: shot = 0.02 s, read = 2..20 s / 255"
    typical = (5 / 60, 1.0)

    def __init__(self, signal_dependent: float = 0.2) -> None:
        self.signal_dependent = signal_dependent

    @staticmethod
    def severity_of(sigma: float) -> float:
        """The severity whose Gaussian noise has this sigma, in grey levels of 255."""
        return sigma / 255 / LARGEST_SIGMA

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {
            "bits": draw_bits(shape, generator),
            "signal_dependent": uniform(shape[:1], generator) < self.signal_dependent,
            "read": uniform(shape[:1], generator, 0.1, 1.0),
        }

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        dependent, field = drawn["signal_dependent"], normal_of(drawn["bits"])
        sigma = spread(severity * torch.where(dependent, drawn["read"] * LARGEST_READ, LARGEST_SIGMA))
        if images.device.type != "cpu":
            shot = spread(torch.where(dependent, severity * LARGEST_SHOT, 0.0))
            return (images * shot).add_(sigma * sigma).sqrt_().mul_(field).add_(images)
        # Most samples need no square roots, which are most of the work.
        noisy = torch.addcmul(images, field, sigma)
        for index in torch.nonzero(dependent)[:, 0].tolist():
            deviation = (images[index] * (severity[index] * LARGEST_SHOT)).add_(sigma[index] ** 2).sqrt_()
            noisy[index] = deviation.mul_(field[index]).add_(images[index])
        return noisy
