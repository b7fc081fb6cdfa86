"""Phase II: one adapter for one degradation on the frozen base (ABAIR, section on adapters)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.degradations import DEGRADATIONS, quantise
from unveil.degradations.mixtures import ORDER
from unveil.degradations.varieties import degrade_plainly, degrade_variously
from unveil.methods.abair.adapters import Adapter
from unveil.methods.phase import Phase, to_unit
from unveil.restoration import exposure

Undo = Callable[[str, Tensor], Tensor]
"""What takes a degradation, by its identifier, from pictures `B 3 H W`, 0..1."""

COMPANIONS: dict[str, tuple[float, float]] = {"noise": (0.05, 0.45), "jpeg": (0.1, 0.75)}
"""What most often comes along with something else, a sensor's noise and a file's blocks, and how severely it may."""


class Adaptation(Phase):
    """Trains the factors of one adapter; the base is frozen and stays bit for bit what it was.

    Args:
        network: the frozen base.
        degradation: identifier in the table of degradations; one that is not there learns from pairs alone.
        adapter: its fresh or earlier factors, of any variant.
        clean_share: share of samples that are left clean, so that the adapter does no harm where there is nothing to
            undo (ours).
        severities: range to draw from; `None` takes the degradation's typical one.
        various: draw the phenomenon in all its `VARIETIES` rather than in its plain form.
        company: share of samples that carry a second, milder damage, one of `COMPANIONS`, so that the adapter serves
            where its degradation does not come alone (ours).
        exposing: expose every sample fully as a whole, as is then done in use (`unveil.restoration.exposure`; ours).
        teacher: what undoes the same samples, for the adapter to learn from (distillation; ours).
        taught: share of the loss that is the distance to the teacher's pictures rather than to the clean ones.
        optimisation: arguments of `Phase`.
    """

    def __init__(
        self,
        network: nn.Module,
        degradation: str,
        adapter: Adapter,
        *,
        clean_share: float = 0.05,
        severities: tuple[float, float] | None = None,
        various: bool = False,
        company: float = 0.0,
        exposing: bool = False,
        teacher: Undo | None = None,
        taught: float = 0.5,
        **optimisation: Any,
    ) -> None:
        super().__init__(**optimisation)
        self.network = network.requires_grad_(False).eval()
        self.degradation = degradation
        self.adapter = adapter
        self.clean_share = clean_share
        self.degrade = degrade_variously if various else degrade_plainly
        self.company = company
        self.exposing = exposing
        self.teacher, self.taught = teacher, taught
        self.severities = severities or (DEGRADATIONS[degradation].typical if degradation in DEGRADATIONS else (0, 1))

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.adapter.parameters()

    def restore(self, image: Tensor) -> Tensor:
        """Run the base with the adapter; gradients reach the factors alone."""
        return self.adapter.run(self.network, image)

    def training_step(self, batch: Any, _: int) -> Tensor:
        """Clean crops are degraded here; of pairs, degraded and clean come in one batch."""
        if isinstance(batch, Tensor):
            clean = to_unit(batch)
            degraded = self._degraded(clean)
        else:
            degraded, clean = to_unit(batch[0]), to_unit(batch[1])
            spared = torch.rand(len(clean), generator=self.draw()) < self.clean_share
            degraded = torch.where(spared.to(clean.device)[:, None, None, None], clean, degraded)
        given = torch.stack([exposed(picture) for picture in degraded]) if self.exposing else degraded
        restored = self.restore(given.contiguous(memory_format=torch.channels_last)).float()
        loss = F.l1_loss(restored, clean)
        self.log("l1", loss, prog_bar=True)
        if self.teacher is None:
            return loss
        with torch.no_grad():
            # It exposes by itself what it wants exposed.
            wanted = self.teacher(self.degradation, degraded).float()
        return (1 - self.taught) * loss + self.taught * F.l1_loss(restored, wanted)

    def _degraded(self, clean: Tensor) -> Tensor:
        generator = self.draw()
        low, high = self.severities
        severity = low + (high - low) * torch.rand(len(clean), generator=generator)
        severity = severity * (torch.rand(len(clean), generator=generator) >= self.clean_share)
        present = {self.degradation: severity}
        if self.company:
            present |= self._companions(len(clean), generator)
        degraded = clean
        for name in ORDER:
            if name in present:
                degraded = self.degrade(name, degraded, present[name], generator)
        return quantise(degraded)

    def _companions(self, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Severities (B,) of what comes along, 0 where nothing does."""
        names = [name for name in COMPANIONS if name != self.degradation]
        chosen = torch.randint(0, len(names), (batch,), generator=generator)
        comes = torch.rand(batch, generator=generator) < self.company
        found: dict[str, Tensor] = {}
        for index, name in enumerate(names):
            low, high = COMPANIONS[name]
            severity = low + (high - low) * torch.rand(batch, generator=generator)
            found[name] = severity * (comes & (chosen == index))
        return found


def exposed(picture: Tensor) -> Tensor:
    """A picture `3 H W`, 0..1, exposed as a whole."""
    return exposure.measure(picture.permute(1, 2, 0).cpu().numpy())(picture)
