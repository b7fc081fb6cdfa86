"""A running average of what is trained, and what becomes of the statistics of its norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from unveil.errors import InvalidRequest
from unveil.methods.phase import Phase

NORMS = ("averaged", "recalibrated", "published")
"""What becomes of the running statistics of an encoder's norms in the average:

- `averaged`: they are averaged as the parameters are (ours, the default).
- `recalibrated`: after training they are measured anew, with the averaged weights, on batches of the training (ours).
- `published`: they are left as they were at the start, mean 0 and variance 1 of a fresh encoder, while training uses
  those of each batch, in a frozen encoder too. That is what the authors' code does.
"""

CALIBRATION = 50
"""Batches that `recalibrated` looks at."""


class AveragedPhase(Phase):
    """A phase that keeps a running average of its network, and holds the learning rate before a cosine.

    As published, the average follows the weights *before* each step, so it is one step behind.

    Args:
        network: what is trained and averaged.
        decay: of the average; 0 keeps none, and the network itself is the result.
        norms: one of `NORMS`.
        hold: steps at the peak learning rate after the warm-up, before the cosine begins.
        optimisation: arguments of `Phase`.
    """

    def __init__(
        self, network: nn.Module, *, decay: float = 0.999, norms: str = "averaged", hold: int = 0, **optimisation: Any
    ) -> None:
        super().__init__(**optimisation)
        if norms not in NORMS:
            raise InvalidRequest(f"norms is {norms!r}, expected one of {', '.join(NORMS)}")
        self.network = network
        self.average = deepcopy(network).requires_grad_(False).eval() if decay else None
        self.decay, self.norms, self.hold = decay, norms, hold

    @property
    def result(self) -> nn.Module:
        """What the phase hands on: the average where there is one."""
        return self.network if self.average is None else self.average

    def rate_factor(self, step: int) -> float:
        """Factor of the learning rate: linear warm-up, the peak, then a cosine to the floor."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        start = max(self.hold, self.warm_up)
        progress = min(1.0, max(0, step - start) / max(1, self.iterations - start))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(
            self.trainable(), lr=self.learning_rate, betas=(0.9, 0.999), weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.rate_factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def trainable(self) -> Iterable[nn.Parameter]:
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def draw(self) -> torch.Generator:
        generator = super().draw()
        # What a network leaves out at random comes from PyTorch's own source of chance.
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return generator

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.average is None:
            return
        approach(self.average.parameters(), self.network.parameters(), 1 - self.decay)
        if self.norms == "averaged":
            approach(_statistics(self.average), _statistics(self.network), 1 - self.decay)


def _statistics(network: nn.Module) -> list[Tensor]:
    return [value for value in network.buffers() if value.is_floating_point()]


@torch.no_grad()
def approach(slow: Iterable[Tensor], fast: Iterable[Tensor], share: float) -> None:
    """Move each of some tensors by a share of its distance to another, in place."""
    for own, leading in zip(slow, fast, strict=True):
        own.lerp_(leading, share)


@torch.no_grad()
def recalibrate(encoder: nn.Module, look: Callable[[Tensor], object], pictures: Iterable[Tensor]) -> None:
    """Measure the statistics of an encoder's norms anew, as means over batches of pictures.

    Args:
        encoder: in evaluation mode, as it is afterwards.
        look: calls it with a batch.
        pictures: batches `B 3 H W`.
    """
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm1d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in pictures:
        look(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
