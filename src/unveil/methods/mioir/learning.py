"""Learning seven tasks in one network, one after the other or mixed, with or without prompts (MiOIR)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from unveil.methods.mioir.curriculum import Curriculum
from unveil.methods.mioir.degradations import TRAINING, TaskDegradation, degrade
from unveil.methods.mioir.prompting import ExplicitNetwork
from unveil.methods.mioir.tasks import TASKS
from unveil.methods.phase import Phase, to_unit

LOGGED = 50
"""Every so many steps the error of each task is told."""


class Learning(Phase):
    """The whole curriculum: L1 to the clean picture, all tasks of a stage in every batch.

    Crops get one degradation each. Where a stage begins, the optimiser forgets its moments, and the weights and their
    running average go on; what the stage before has reached is kept in `stage-K.ckpt`. Crops must be upright: they are
    mirrored and turned after they were degraded, with the rain, as in the authors' loader.

    Args:
        network: any network of `unveil.networks`; under explicit prompts it takes `prompts`.
        curriculum: what is shown when, and the law of the learning rate.
        prompts: (7, side, side), for a network under explicit prompts.
        decay: of the running average of the weights, `average`; 0 keeps none.
        betas: of AdamW, which without `weight_decay` is Adam.
        degradations: by task.
        optimisation: arguments of `Phase`, without iterations and warm-up, which are those of the curriculum.
    """

    def __init__(
        self,
        network: nn.Module,
        curriculum: Curriculum,
        *,
        prompts: Tensor | None = None,
        decay: float = 0.999,
        betas: Sequence[float] = (0.9, 0.99),
        degradations: Mapping[str, TaskDegradation] = TRAINING,
        **optimisation: Any,
    ) -> None:
        super().__init__(iterations=curriculum.iterations, warm_up=0, **optimisation)
        self.network = network
        self.curriculum = curriculum
        self.average = deepcopy(network).requires_grad_(False) if decay else None
        self.decay, self.betas, self.degradations = decay, tuple(betas), degradations
        self.register_buffer("prompts", prompts)

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.network.parameters()

    def rate_factor(self, step: int) -> float:
        floor = self.floor
        return floor + (1 - floor) * self.curriculum.factor(step)

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(
            self.trainable(),
            lr=self.learning_rate,
            betas=(self.betas[0], self.betas[1]),
            weight_decay=self.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.rate_factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.global_step in self.curriculum.joints:
            cast("torch.optim.Optimizer", self.optimizers(use_pl_optimizer=False)).state.clear()

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        generator = self.draw()
        # Some networks leave out blocks at random, from PyTorch's own source of chance.
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        clean = to_unit(batch)
        labels = self.curriculum.labels(self.global_step, len(clean), generator)
        degraded = degrade(clean, labels, generator, degradations=self.degradations)
        degraded, clean = turned(degraded, clean, generator)
        errors = (self.restore(degraded, labels.to(clean.device)).float() - clean).abs().mean((1, 2, 3))
        loss = errors.mean()
        self.log("l1", loss, prog_bar=True)
        if self.global_step % LOGGED == 0:
            for index in labels.unique().tolist():
                self.log(f"l1/{TASKS[index]}", errors.detach()[labels == index].mean())
        return loss

    def restore(self, degraded: Tensor, labels: Tensor) -> Tensor:
        """The network's answer, under the prompts of the labels where it takes any."""
        if not isinstance(self.network, ExplicitNetwork):
            return self.network(degraded)
        assert self.prompts is not None
        # A prompt is summarised once, however many pictures of a batch are under it.
        rows, places = labels.unique(return_inverse=True)
        code = self.network.summarise(cast("Tensor", self.prompts)[rows])[places]
        fit = self.network.fit(degraded)
        return fit.cut(self.network.restore(fit.extend(degraded), code))

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        super().optimizer_step(*arguments, **options)
        if self.average is not None:
            with torch.no_grad():
                for averaged, trained in zip(self.average.parameters(), self.network.parameters(), strict=True):
                    averaged.lerp_(trained, 1 - self.decay)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        joints = self.curriculum.joints
        is_whole = (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0
        if is_whole and self.global_step in joints:
            kept = Path(self.trainer.default_root_dir, f"stage-{joints.index(self.global_step) + 1}.ckpt")
            self.trainer.save_checkpoint(kept, weights_only=True)


def turned(degraded: Tensor, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror left and right, mirror up and down and transpose, each with probability 0.5, a pair alike."""
    across, down, over = (torch.rand(3, len(clean), generator=generator) < 0.5).to(clean.device)[..., None, None, None]
    both = torch.stack((degraded, clean))
    both = torch.where(across, both.flip(-1), both)
    both = torch.where(down, both.flip(-2), both)
    both = torch.where(over, both.transpose(-1, -2), both)
    first, second = (part.contiguous(memory_format=torch.channels_last) for part in both)
    return first, second
