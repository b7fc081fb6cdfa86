"""Degradation CutMix: different degradations in different regions of the same photograph (ABAIR, Phase I).

Unlike CutMix for classification, all sources are degraded copies of one clean picture, so the target stays that
picture. The paper's figure shows one rectangle on a background; probabilities, sizes and the number of rectangles are
ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from unveil.degradations import DEGRADATIONS, quantise
from unveil.degradations.varieties import degrade_plainly, degrade_variously
from unveil.models.card import CLEAN


class DegradationCutMix:
    """Degrades batches region by region.

    Args:
        degradations: identifier to relative frequency; `clean` stands for regions that stay as they are.
        regions: probability of one, two, three ... degradations in a picture; the first one fills the picture, each
            further one a rectangle.
        area: smallest and largest share of the picture that a rectangle may take.
        various: draw every phenomenon in all its `VARIETIES` rather than in its plain form.
    """

    def __init__(
        self,
        degradations: Mapping[str, float],
        *,
        regions: Sequence[float] = (0.3, 0.5, 0.2),
        area: tuple[float, float] = (1 / 16, 3 / 4),
        various: bool = False,
    ) -> None:
        unknown = [name for name in degradations if name not in DEGRADATIONS and name != CLEAN]
        if unknown:
            raise ValueError(f"unknown degradations {unknown}; known: {[*DEGRADATIONS, CLEAN]}")
        if len(degradations) < len(regions):
            raise ValueError(f"{len(regions)} regions need as many degradations, got {len(degradations)}")
        self.classes = tuple(degradations)
        self.frequencies = torch.tensor(list(degradations.values()), dtype=torch.float32)
        self.regions = torch.tensor(list(regions), dtype=torch.float32)
        self.area = area
        self.degrade = degrade_variously if various else degrade_plainly

    def __call__(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Degrade a batch.

        Args:
            clean: `B 3 H W`, 0..1.
            generator: source of all randomness, on the CPU.

        Returns:
            The degraded batch, rounded to 8 bit, and the map of classes, `B H W` int64, indices into `classes`.
        """
        batch, _, height, width = clean.shape
        count = torch.multinomial(self.regions, batch, replacement=True, generator=generator) + 1
        most = len(self.regions)
        drawn = torch.multinomial(self.frequencies.expand(batch, -1), most, generator=generator)
        layers = [clean.clone() for _ in range(int(count.max()))]
        for index, name in enumerate(self.classes):
            where = (drawn == index) & (torch.arange(most) < count[:, None])
            samples, layer = torch.nonzero(where, as_tuple=True)
            if len(samples) == 0 or name == CLEAN:
                continue
            low, high = DEGRADATIONS[name].typical
            severity = low + (high - low) * torch.rand(len(samples), generator=generator)
            degraded = self.degrade(name, clean[samples.to(clean.device)], severity, generator)
            for position, (sample, depth) in enumerate(zip(samples.tolist(), layer.tolist(), strict=True)):
                layers[depth][sample] = degraded[position]
        result = layers[0]
        labels = drawn[:, 0, None, None].expand(batch, height, width).clone()
        for depth in range(1, len(layers)):
            inside = self._rectangles(batch, height, width, generator) & (count > depth)[:, None, None]
            labels = torch.where(inside, drawn[:, depth, None, None], labels)
            result = torch.where(inside[:, None].to(clean.device), layers[depth], result)
        return quantise(result), labels.to(clean.device)

    def _rectangles(self, batch: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """One rectangle a sample as a mask `B H W`: sides from a Beta(1, 1) share of the area, centre anywhere."""
        low, high = self.area
        share = torch.rand(batch, generator=generator).clamp(low, high).sqrt()
        half = torch.stack((share * height, share * width)) / 2
        centre = torch.rand(2, batch, generator=generator) * torch.tensor([[height], [width]])
        first, last = (centre - half).round(), (centre + half).round()
        rows, columns = torch.arange(height), torch.arange(width)
        tall = (rows >= first[0, :, None]) & (rows < last[0, :, None])
        wide = (columns >= first[1, :, None]) & (columns < last[1, :, None])
        return tall[:, :, None] & wide[:, None, :]
