"""A step whose loss or gradients are no numbers never reaches the weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from unveil.errors import Diverged
from unveil.training.checkpoints import LAST, TrainingWarning, keep

MOST_NAMES = 20


class Guard(Callback):
    """Looks at losses and gradients before each optimiser step, while the weights are still sound.

    A bad step is left out where the recipe allows some; one more ends the run. What the step was made of is kept then,
    in `bad-step-N.pt`: seed, step, parts, the batches themselves, and which gradients were bad.

    Args:
        folder: of the phase.
        batches: called with (step, part), as `fitting.Batches`.
        parts: of every step's batch.
        allowed: bad steps that are left out in the whole phase before one ends it.
    """

    def __init__(self, folder: Path, batches: Callable[[int, int], Any], *, parts: int, allowed: int = 0) -> None:
        self.folder, self.batches, self.parts, self.allowed = folder, batches, parts, allowed
        self.skipped = 0
        self._losses: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped"]

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Tensor
    ) -> None:
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: Optimizer
    ) -> None:
        losses, self._losses = self._losses, []
        sound = (
            torch.isfinite(torch.stack([loss.float().sum() for loss in losses])).all() if losses else torch.tensor(True)
        )
        # Lightning's half precision scales the loss, and takes gradients that overflow for a scale that is too large.
        scaled = trainer.precision == "16-mixed"
        if not scaled:
            gradients = [parameter.grad for parameter in _parameters(optimizer) if parameter.grad is not None]
            sound = sound & torch.isfinite(torch.nn.utils.get_total_norm(gradients)).to(sound.device)
        if trainer.strategy.reduce_boolean_decision(bool(sound), all=True):
            return
        step = trainer.global_step
        said = f"{self.folder.name}: in step {step} {_described(losses, pl_module)}"
        if self.skipped < self.allowed:
            self.skipped += 1
            for parameter in [] if scaled else _parameters(optimizer):
                parameter.grad = None
            left = f"it is left out, number {self.skipped} of {self.allowed} that may be"
            warnings.warn(f"{said}; {left}", TrainingWarning, stacklevel=2)
            return
        begins = f"goes on from {LAST}" if (self.folder / LAST).exists() else "begins anew"
        raise Diverged(
            f"{said}. The weights have not been touched. {self._kept(trainer, pl_module, losses)} "
            f"The same command {begins} and meets this step again; a lower learning_rate or clip helps most "
            "often, and skip_steps in the recipe leaves out so many."
        )

    def _kept(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, losses: list[Tensor]) -> str:
        """Write down what the step was made of, and say where."""
        step, world, rank = trainer.global_step, trainer.world_size, trainer.global_rank
        parts = [part for part in range(self.parts) if part % world == rank]
        path = self.folder / (f"bad-step-{step}.pt" if world == 1 else f"bad-step-{step}-of-{rank}.pt")
        found = {
            "phase": self.folder.name,
            "step": step,
            "seed": getattr(pl_module, "seed", None),
            "parts": parts,
            "losses": [float(loss.float().sum()) for loss in losses],
            "gradients": _unsound(pl_module),
            "record": getattr(pl_module, "record", {}),
            "batches": [self.batches(step, part) for part in parts],
        }
        try:
            keep(found, path)
        except OSError as error:
            return f"What it was made of could not be written to {path} ({error})."
        return f"{path} holds its seed and its batch."


def _parameters(optimizer: Optimizer) -> Iterator[nn.Parameter]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _unsound(module: nn.Module) -> list[str]:
    named = ((name, parameter.grad) for name, parameter in module.named_parameters())
    bad = (name for name, gradient in named if gradient is not None and not bool(torch.isfinite(gradient).all()))
    return [name for name, _ in zip(bad, range(MOST_NAMES), strict=False)]


def _described(losses: list[Tensor], module: nn.Module) -> str:
    values = [float(loss.float().sum()) for loss in losses]
    if bad := [value for value in values if not torch.isfinite(torch.tensor(value))]:
        return f"the loss is {bad[0]}"
    names = _unsound(module)
    return f"gradients are no numbers ({names[0]} first)" if names else "another process found no numbers"
