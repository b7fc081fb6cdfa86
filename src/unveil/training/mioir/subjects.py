"""A finished run of MiOIR as something to measure in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from unveil.evaluation.damage import Pixels
from unveil.evaluation.sets import EvaluationSet
from unveil.evaluation.subjects import Answer, Subject, Tick
from unveil.methods.mioir.classifier import Classifier
from unveil.methods.mioir.prompting import ExplicitNetwork
from unveil.methods.mioir.tasks import TASKS
from unveil.networks import Network
from unveil.training.chain import restored

if TYPE_CHECKING:
    from unveil.training.mioir.chain import MioirChain


def of(chain: MioirChain) -> list[Subject]:
    """`network`; under explicit prompts `classifier`, which chooses the prompt, and `oracle`, which knows it."""
    network = chain.trained()
    if not isinstance(network, ExplicitNetwork):
        return [PlainSubject("network", network)]
    prompts, classifier = chain.prompts(), chain.classifier()
    blind = [] if classifier is None else [ExplicitSubject("classifier", network, prompts, classifier)]
    return [*blind, ExplicitSubject("oracle", network, prompts, None)]


@dataclass(slots=True)
class PlainSubject:
    """A network that needs nothing but the picture."""

    name: str
    network: Network
    checksum: str = field(default="", init=False)

    def applies(self, benchmark: EvaluationSet) -> bool:
        return True

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        return Answer(restored(self.network, degraded))


@dataclass(slots=True)
class ExplicitSubject:
    """A network under the prompt that its classifier chooses, or without one under that of what the set has."""

    name: str
    network: ExplicitNetwork
    prompts: torch.Tensor
    classifier: Classifier | None
    checksum: str = field(default="", init=False)

    def applies(self, benchmark: EvaluationSet) -> bool:
        return self.classifier is not None or benchmark.degradation in TASKS

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        image = torch.from_numpy(np.ascontiguousarray(degraded)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            task = benchmark.degradation
            if self.classifier is not None:
                task = TASKS[int(self.classifier.logits(image).argmax())]
            result = self.network(image, self.prompts[[TASKS.index(task)]])
        pixels = result[0].permute(1, 2, 0).clamp(0, 1).float().numpy()
        return Answer(np.ascontiguousarray(pixels), task if self.classifier is not None else None, {task: 1.0})
