"""Training a U-Net: alone (`Original`), together with its encoder (v1), or under a frozen encoder (stage 2 of v2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.methods.constyle.averaging import CALIBRATION, AveragedPhase, recalibrate
from unveil.methods.constyle.guidance import Steered
from unveil.methods.constyle.losses import content_loss, contrast_loss, style_loss
from unveil.methods.constyle.memory import Comparison, Memory, Seen, look
from unveil.methods.phase import step_generator, to_unit
from unveil.networks.base import Network

Damaging = Callable[[Tensor, torch.Generator], Tensor]

EVERYTHING: Mapping[str, float] = {"contrast": 1.0, "content": 1.0, "style": 1.0}
"""The unsupervised losses, each with its published weight."""

KEYS = ("clean", "degraded")


class RestorationTraining(AveragedPhase):
    """L1 to the clean picture, and while the encoder learns along, the unsupervised losses (both ConStyles).

    A batch is `B 3 P P` uint8 of clean crops, or (degraded, clean, labels) of pairs.

    Args:
        network: any; one that is steered by an encoder has it inside.
        damage: makes degraded pictures of clean ones; None for pairs.
        encoder_until: steps in which the encoder learns along (`ConStyle_iter`): it is frozen afterwards. 0 freezes it
            from the start, as v2 does.
        weights: of the losses `contrast`, `content` and `style`; those that are missing are off.
        key: what a degraded picture is compared with: its `clean` version (guideline 3), or the `degraded` one itself,
            mirrored, as contrastive learning has it elsewhere (ours, to turn the guideline off).
        memory: arguments of `Memory`.
        optimisation: arguments of `AveragedPhase`.
    """

    def __init__(
        self,
        network: nn.Module,
        damage: Damaging | None = None,
        *,
        encoder_until: int = 0,
        weights: Mapping[str, float] = EVERYTHING,
        key: str = "clean",
        memory: Mapping[str, Any] | None = None,
        **optimisation: Any,
    ) -> None:
        super().__init__(network, **optimisation)
        self.damage, self.key, self.weights = damage, key, dict(weights)
        self.steered = isinstance(network, Steered)
        self.encoder_until = encoder_until if self.steered else 0
        self.memory = Memory(self._steered.encoder, **(memory or {})) if self.encoder_until else None
        if self.steered and not self.encoder_until:
            self._steered.encoder.requires_grad_(False)
        if isinstance(network, Network):
            idle = network.idle()
            for name, parameter in network.named_parameters():
                if name.startswith(idle):
                    parameter.requires_grad_(False)

    @property
    def _steered(self) -> Steered:
        return cast("Steered", self.network)

    def training_step(self, batch: Any, _: int) -> Tensor:
        degraded, clean = self.pictures(batch, self.draw())
        if not self.steered:
            return self._told("l1", F.l1_loss(self.network(degraded).float(), clean))
        joint = self.global_step < self.encoder_until
        encoder = self._steered.encoder
        encoder.requires_grad_(joint)
        # With the stored statistics a frozen encoder says in training what it says in use.
        encoder.train(joint or self.norms == "published")
        with torch.set_grad_enabled(joint):
            seen = look(encoder, degraded)
        restored = self._steered.answer(degraded, seen.maps, seen.queries[-1])
        loss = self._told("l1", F.l1_loss(restored.float(), clean))
        if joint:
            for name, value in self.unsupervised(seen, degraded, clean).items():
                loss = loss + self.weights[name] * self._told(name, value)
        return loss

    def unsupervised(self, seen: Seen, degraded: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """The losses of the encoder that have a weight."""
        assert self.memory is not None
        self.memory.follow(self._steered.encoder)
        found = self.memory.compare(seen, clean if self.key == "clean" else degraded.flip(-1))
        return unsupervised_losses(found, self.weights)

    def pictures(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Degraded and clean pictures of a batch."""
        if self.damage is None:
            degraded, clean, _ = batch
            return to_unit(degraded), to_unit(clean)
        clean = to_unit(batch)
        degraded = self.damage(clean, generator)
        return degraded.contiguous(memory_format=torch.channels_last), clean

    def on_train_end(self) -> None:
        if self.norms == "recalibrated" and self.encoder_until and self.global_step >= self.iterations:
            encoder = cast("Steered", self.result).encoder
            recalibrate_on(encoder, self, lambda batch, generator: self.pictures(batch, generator)[0])

    def _told(self, name: str, value: Tensor) -> Tensor:
        self.log(name, value, prog_bar=True)
        return value


def unsupervised_losses(found: Comparison, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The three losses of the encoder, those without a weight left out."""
    losses: dict[str, Tensor] = {}
    if weights.get("contrast"):
        losses["contrast"] = contrast_loss(found.logits)
    if weights.get("content"):
        losses["content"] = content_loss(found.queries[1], found.key)
    if weights.get("style"):
        losses["style"] = style_loss(found.queries, found.negatives)
    return losses


def recalibrate_on(
    encoder: nn.Module, phase: AveragedPhase, pictures: Callable[[Any, torch.Generator], Tensor]
) -> None:
    """Measure an encoder's norms on batches of the phase that has just ended."""
    batches = phase.trainer.train_dataloader
    assert batches is not None
    drawn = zip(range(CALIBRATION), batches, strict=False)
    given = (
        pictures(phase.transfer_batch_to_device(batch, phase.device, 0), step_generator(phase.seed, -1 - number))
        for number, batch in drawn
    )
    recalibrate(encoder, lambda image: look(encoder, image), given)
