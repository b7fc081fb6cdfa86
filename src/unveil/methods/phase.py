"""What the training phases of all methods share: optimiser, schedule, seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import lightning
import torch
from torch import Tensor, nn


def warm_up_cosine(step: int, *, iterations: int, warm_up: int, floor: float) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine down to `floor` (a share of the peak)."""
    if step < warm_up:
        return (step + 1) / warm_up
    progress = min(1.0, (step - warm_up) / max(1, iterations - warm_up))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def step_generator(seed: int, step: int, part: int = 0) -> torch.Generator:
    """A generator that depends on (seed, step, part of the batch) alone.

    So a resumed run draws what the first one would have, and several processes what one alone would have.
    """
    mixed = seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + part * 0xD6E8FEB86659FD93 + 0x94D049BB133111EB
    return torch.Generator().manual_seed(mixed & 0x7FFF_FFFF_FFFF_FFFF)


class Phase(lightning.LightningModule):
    """A phase of training: AdamW with warm-up and cosine, gradient clipping left to the trainer.

    Subclasses give `trainable()` and `training_step`.

    Args:
        iterations: optimiser steps of the whole phase.
        learning_rate: peak.
        weight_decay: of AdamW.
        warm_up: steps of linear warm-up.
        floor: last learning rate as a share of the peak.
        seed: of all random draws of this phase.
    """

    def __init__(
        self,
        *,
        iterations: int,
        learning_rate: float,
        weight_decay: float = 0.0,
        warm_up: int = 200,
        floor: float = 1e-3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warm_up = min(warm_up, max(1, iterations // 10))
        self.floor = floor
        self.seed = seed
        self.record: dict[str, Any] = {}
        """Plain values that travel in every checkpoint: the resolved recipe, the code's version, the data's digest."""
        self.is_done = False
        """Whether it has ended before its last step, because more would not help."""
        self.part = 0
        """Which part of the step's batch is at hand."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        mine = batch_idx % self.trainer.accumulate_grad_batches
        self.part = mine * self.trainer.world_size + self.trainer.global_rank

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["unveil"] = self.record

    def trainable(self) -> Iterable[nn.Parameter]:
        """The parameters that this phase changes."""
        return self.parameters()

    def draw(self) -> torch.Generator:
        """The generator of the present part of the present step."""
        return step_generator(self.seed, self.global_step, self.part)

    def compile_network(self) -> None:
        """Compile what the network runs, in place, so that the names of its weights stay."""
        network = getattr(self, "network", None)
        for name in ("encode", "decode"):
            if hasattr(network, name):
                setattr(network, name, torch.compile(getattr(network, name)))

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(
            self.trainable(), lr=self.learning_rate, betas=(0.9, 0.999), weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser,
            lambda step: warm_up_cosine(step, iterations=self.iterations, warm_up=self.warm_up, floor=self.floor),
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def to_unit(batch: Tensor) -> Tensor:
    """8-bit crops `B C H W` to floats in 0..1, channels last in memory (the fast order on a CPU)."""
    return batch.float().div_(255).contiguous(memory_format=torch.channels_last)
