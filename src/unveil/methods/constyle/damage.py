"""What spoils the pictures that a network is trained on: noise that is added, or one of several kinds each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unveil.degradations import DEGRADATIONS, Blur, Degradation, Jpeg, Noise, quantise
from unveil.degradations.base import spread, uniform
from unveil.errors import RecipeError


@dataclass(frozen=True, slots=True)
class AddedNoise:
    """Gaussian noise as v1 trains denoising: sigma in 0..255 uniform in a range, one a picture, *not* clipped."""

    low: float
    high: float

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """`B 3 H W` -> the same shape, outside of 0..1 too."""
        sigma = uniform((len(clean),), generator, self.low, self.high) / 255
        noise = torch.randn(clean.shape, generator=generator)
        return clean + (noise * spread(sigma)).to(clean.device)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of damage in a mixture: a generator, and severities from `low` to `high`."""

    degradation: Degradation
    low: float
    high: float


def _typical(degradation: Degradation) -> Kind:
    return Kind(degradation, *degradation.typical)


KINDS: dict[str, Kind] = {
    **{name: _typical(degradation) for name, degradation in DEGRADATIONS.items()},
    # As in Mix Degradations: motion apart from defocus, sigma 10 to 50, and quality 50 to 10.
    "motion": _typical(Blur(motion=1, gaussian=0, disc=0)),
    "defocus": _typical(Blur(motion=0, gaussian=0, disc=1)),
    "noise": Kind(Noise(signal_dependent=0), Noise.severity_of(10), Noise.severity_of(50)),
    "jpeg": Kind(Jpeg(), Jpeg.severity_of(50), Jpeg.severity_of(10)),
}
"""The small analogue of Mix Degradations from our generators: its eight kinds are `motion`, `defocus`, `haze`, `dark`,
`jpeg`, `noise`, `snow` and `rain`. What is `blur` or `bits` besides is of our own table."""

MIX = ("motion", "defocus", "haze", "dark", "jpeg", "noise", "snow", "rain")
"""The kinds of Mix Degradations, in the order of its table."""


class Mixture:
    """One kind a picture, drawn by its share, as Mix Degradations has it; rounded to 8 bits.

    Args:
        shares: kind -> relative frequency.

    Raises:
        RecipeError: a kind has no generator, or no share is positive.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        if unknown := [name for name in shares if name not in KINDS]:
            raise RecipeError(f"mixture: no generator for {', '.join(unknown)}; known: {', '.join(KINDS)}")
        if not shares or min(shares.values()) < 0 or not sum(shares.values()):
            raise RecipeError(f"mixture: found {dict(shares)}, expected shares of at least one kind")
        self.names = tuple(shares)
        self.shares = torch.tensor([float(share) for share in shares.values()])

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """`B 3 H W`, 0..1 -> the same."""
        return self.labelled(clean, generator)[0]

    def labelled(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Degraded pictures, and the place of each one's kind in `names`, `B`."""
        labels = torch.multinomial(self.shares, len(clean), replacement=True, generator=generator)
        return self.apply(clean, labels, generator), labels

    def apply(self, clean: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Give each picture the kind of its label."""
        degraded = torch.empty_like(clean)
        for place, name in enumerate(self.names):
            mine = torch.nonzero(labels == place)[:, 0]
            if len(mine):
                kind, here = KINDS[name], mine.to(clean.device)
                severity = uniform((len(mine),), generator, kind.low, kind.high)
                degraded[here] = kind.degradation(clean[here], severity, generator)
        return quantise(degraded)
