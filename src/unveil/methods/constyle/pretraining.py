"""Stage 1 of v2: the encoder alone learns to look through damage, on any pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from unveil.methods.constyle.averaging import AveragedPhase
from unveil.methods.constyle.encoder import ConStyle, ConStyleV2
from unveil.methods.constyle.losses import distillation_loss
from unveil.methods.constyle.memory import Memory, look
from unveil.methods.constyle.restoring import recalibrate_on, unsupervised_losses
from unveil.methods.phase import to_unit

Spoiling = Callable[[Tensor, Tensor, torch.Generator], Tensor]

ALL: Mapping[str, float] = {"contrast": 1.0, "content": 1.0, "style": 1.0, "classification": 1.0, "distillation": 1.0}
"""The five losses, each with its published weight."""


class EncoderTraining(AveragedPhase):
    """The unsupervised losses, the class pretext and the distillation from the momentum encoder (v2, stage 1).

    A batch is (queries, keys, classes, spoilt): crops `B 3 P P` uint8 twice, that of the query to be degraded and that
    of the key clean; the class of each picture; and whether its query was degraded before it was cropped.

    Args:
        encoder: of v2; one of v1, without a head, has the unsupervised losses alone.
        damage: degrades the queries that are not spoilt yet: (`B 3 P P`, spoilt, generator).
        weights: of the losses; those that are missing are off.
        classification_until, distillation_until: steps in which these losses are on.
        memory: arguments of `Memory`.
        optimisation: arguments of `AveragedPhase`.
    """

    def __init__(
        self,
        encoder: ConStyle | ConStyleV2,
        damage: Spoiling,
        *,
        weights: Mapping[str, float] = ALL,
        classification_until: int = 50000,
        distillation_until: int = 999999,
        memory: Mapping[str, Any] | None = None,
        **optimisation: Any,
    ) -> None:
        super().__init__(encoder, **optimisation)
        self.damage, self.weights = damage, dict(weights)
        self.classification_until, self.distillation_until = classification_until, distillation_until
        self.memory = Memory(encoder, **(memory or {}))

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], _: int) -> Tensor:
        clean, classes = batch[1], batch[2]
        degraded = self.queries(batch, self.draw())
        seen = look(self.network, degraded)
        self.memory.follow(self._encoder)
        found = self.memory.compare(seen, to_unit(clean))
        losses = unsupervised_losses(found, self.weights)
        if seen.classes is not None and found.classes is not None:
            if self.weights.get("classification") and self.global_step < self.classification_until:
                losses["classification"] = F.cross_entropy(seen.classes.float(), classes)
            if self.weights.get("distillation") and self.global_step < self.distillation_until:
                losses["distillation"] = distillation_loss(seen.classes, found.classes)
        for name, value in losses.items():
            self.log(name, value, prog_bar=True)
        return torch.stack([self.weights[name] * value for name, value in losses.items()]).sum()

    def queries(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], generator: torch.Generator) -> Tensor:
        """The degraded pictures of a batch."""
        crops, spoilt = batch[0], batch[3]
        return self.damage(to_unit(crops), spoilt, generator).contiguous(memory_format=torch.channels_last)

    def on_train_end(self) -> None:
        if self.norms == "recalibrated" and self.global_step >= self.iterations:
            recalibrate_on(self.result, self, self.queries)

    @property
    def _encoder(self) -> ConStyle | ConStyleV2:
        return cast("ConStyle | ConStyleV2", self.network)
