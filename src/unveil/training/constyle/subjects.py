"""A finished run of ConStyle as something to measure in PyTorch: its network on whole pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from unveil.evaluation.damage import Pixels
from unveil.evaluation.sets import EvaluationSet
from unveil.evaluation.subjects import Answer, Subject, Tick
from unveil.training.chain import restored

if TYPE_CHECKING:
    from unveil.training.constyle.chain import ConStyleChain


def of(chain: ConStyleChain) -> list[Subject]:
    """The trained network."""
    return [NetworkSubject("network", chain.trained())]


@dataclass(frozen=True, slots=True)
class NetworkSubject:
    """A network that restores without being told anything."""

    name: str
    network: nn.Module
    checksum: str = ""

    def applies(self, benchmark: EvaluationSet) -> bool:
        return True

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        return Answer(restored(self.network, degraded))
