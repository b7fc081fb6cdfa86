"""The estimator learns a class more and forgets none (ABAIR, extension to new degradations).

The paper retrains the estimator on all sets. Here the data of the old degradations are made again by their generators,
and the old estimator says what it thinks of them: that is what the new one is to say (distillation; ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.degradations import DEGRADATIONS, quantise
from unveil.methods.abair.estimation import Estimation
from unveil.methods.abair.estimator import Estimator
from unveil.methods.abair.looks import handle
from unveil.methods.phase import to_unit
from unveil.models.card import CLEAN


def extended(estimator: Estimator, classes: Sequence[str]) -> Estimator:
    """The estimator with one class more, before `clean` where that is the last one.

    All old rows of the last layer are kept. The new one starts at zero weights and a bias below all others, so that
    the new class is never the likeliest before it is learnt.
    """
    place = len(classes) - (CLEAN in classes)
    old = estimator.head
    grown = deepcopy(estimator)
    grown.head = nn.Linear(old.in_features, old.out_features + 1)
    kept = [row for row in range(old.out_features + 1) if row != place]
    with torch.no_grad():
        grown.head.weight.zero_()
        grown.head.weight[kept] = old.weight
        grown.head.bias[kept] = old.bias
        grown.head.bias[place] = old.bias.min() - 2
    return grown


class Extension(Estimation):
    """Trains an extended estimator on pairs of the new degradation, and on what the old one said of all others.

    A batch is (degraded, clean, labels) of the pairs and, second, clean crops, all `B 3 2S 2S` uint8.

    Args:
        teacher: the old estimator, left as it is.
        classes: of the old one.
        name: of the new class.
        known: of the old classes, those that a generator can make again.
        temperature: by which logits are divided in use.
        settings: arguments of `Estimation`.
    """

    def __init__(
        self, teacher: Estimator, classes: Sequence[str], name: str, *, temperature: float = 1.0, **settings: Any
    ) -> None:
        place = len(classes) - (CLEAN in classes)
        extended_classes = (*classes[:place], name, *classes[place:])
        known = [entry for entry in classes if entry == CLEAN or entry in DEGRADATIONS]
        super().__init__(extended(teacher, classes), known, **settings)
        self.teacher = deepcopy(teacher).requires_grad_(False).eval()
        self.place, self.all = place, extended_classes
        self.heat = temperature

    def trainable(self) -> list[nn.Parameter]:
        """The last residual block and the layers behind it: what a view looks like is known already."""
        blocks = list(self.estimator.blocks.children())
        parts = [blocks[-1], self.estimator.hidden, self.estimator.head]
        return [parameter for part in parts for parameter in part.parameters()]

    def training_step(self, batch: Any, _: int) -> Tensor:
        (degraded, clean, *_rest), crops = batch
        generator = self.draw()
        shown = to_unit(degraded)
        sturdy = torch.ones(len(shown), dtype=torch.bool)
        shown = quantise(handle(shown, sturdy, generator))
        old = self.pictures(to_unit(torch.cat((clean, crops))), generator)[0]
        views = self.views(torch.cat((shown, old)), generator)
        said = self._mean(self.estimator(views)) / self.heat
        with torch.no_grad():
            thought = (self._mean(self.teacher(views)) / self.heat).softmax(1)
        wanted = F.pad(thought, (0, 1))
        # The class that the teacher does not know stands before `clean`.
        order = [*range(self.place), thought.shape[1], *range(self.place, thought.shape[1])]
        wanted = wanted[:, order]
        new = F.one_hot(torch.tensor(self.place), len(self.all)).to(wanted)
        wanted = torch.cat((new.expand(len(shown), -1), wanted[len(shown) :]))
        loss = F.cross_entropy(said, wanted)
        self.log("cross_entropy", loss, prog_bar=True)
        found = said[: len(shown)].argmax(1) == self.place
        self.log("recognised", found.float().mean(), prog_bar=True)
        return loss

    def _mean(self, logits: Tensor) -> Tensor:
        """Logits of the views to those of the pictures."""
        parts = logits.float().view(self.crops + 1, -1, logits.shape[1])
        return (parts[:-1].sum(0) + self.global_weight * parts[-1]) / (self.crops + self.global_weight)
