"""The classifier learns to tell the seven tasks apart, so that it can choose their prompts (MiOIR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from unveil.methods.mioir.classifier import Classifier
from unveil.methods.mioir.curriculum import Curriculum
from unveil.methods.mioir.degradations import TRAINING, TaskDegradation, degrade
from unveil.methods.mioir.learning import Learning, turned
from unveil.methods.phase import to_unit


class Classification(Learning):
    """Cross-entropy against the degradation that a crop was given, all tasks equally often.

    The authors put the classifier's probabilities, not its logits, into a cross-entropy that expects logits, so that a
    softmax is applied twice and errors that are sure of themselves cost little. Without `twice`, logits go in, which is
    ours, as is a single cosine for the learning rate.

    Args:
        classifier: what is trained.
        order: the tasks to tell apart.
        iterations: steps.
        twice: apply the softmax twice, as published.
        degradations: by task.
        optimisation: arguments of `Learning`.
    """

    def __init__(
        self,
        classifier: Classifier,
        order: Sequence[str],
        iterations: int,
        *,
        twice: bool = False,
        degradations: Mapping[str, TaskDegradation] = TRAINING,
        **optimisation: Any,
    ) -> None:
        one = Curriculum(["+".join(order)], iterations)
        super().__init__(classifier, one, decay=0.0, degradations=degradations, **optimisation)
        self.twice = twice

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        generator = self.draw()
        clean = to_unit(batch)
        labels = self.curriculum.labels(self.global_step, len(clean), generator)
        degraded = degrade(clean, labels, generator, degradations=self.degradations)
        degraded = turned(degraded, clean, generator)[0]
        labels = labels.to(clean.device)
        assert isinstance(self.network, Classifier)
        logits = self.network.logits(degraded).float()
        loss = F.cross_entropy(logits.softmax(1) if self.twice else logits, labels)
        self.log("cross_entropy", loss, prog_bar=True)
        self.log("accuracy", (logits.argmax(1) == labels).float().mean(), prog_bar=True)
        return loss
