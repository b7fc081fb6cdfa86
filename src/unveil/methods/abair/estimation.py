"""Phase III: the estimator learns to tell degradations apart, alone and mixed (ABAIR, section on the estimator)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unveil.degradations import DEGRADATIONS, quantise
from unveil.degradations.mixtures import compose
from unveil.methods.abair.cutmix import DegradationCutMix
from unveil.methods.abair.estimator import Estimator
from unveil.methods.phase import Phase, step_generator, to_unit
from unveil.models.card import CLEAN
from unveil.restoration import diagnosis


class Estimation(Phase):
    """Trains the estimator with (soft) cross entropy.

    Every batch is split (the shares are ours): `composed` of it carry two degradations one after the other with target
    1/2 each, `cut` of it go through Degradation CutMix with targets by area, the rest carry one degradation or none.
    Some samples are made smaller after degrading, as the global view of a large picture is.

    Args:
        estimator: with one output per entry of `classes`.
        classes: degradations in the order of the logits; `clean` last.
        composed, cut: shares of a batch.
        reduced: share of the batch that is degraded at twice the side and then halved.
        clean_weight: how much more often `clean` is drawn than a degradation.
        optimisation: arguments of `Phase`.

    Batches are crops of twice the estimator's side, so that reduced views see as much as they will in use.
    """

    def __init__(
        self,
        estimator: Estimator,
        classes: Sequence[str],
        *,
        composed: float = 0.2,
        cut: float = 0.15,
        reduced: float = 0.15,
        clean_weight: float = 2.0,
        **optimisation: Any,
    ) -> None:
        super().__init__(**optimisation)
        self.estimator = estimator
        self.classes = tuple(classes)
        self.temperature = 1.0
        self.accuracy = float("nan")
        self.composed, self.cut, self.reduced = composed, cut, reduced
        self.frequencies = torch.tensor([clean_weight if name == CLEAN else 1.0 for name in self.classes])
        self.cutmix = DegradationCutMix({name: 1.0 for name in self.classes if name != CLEAN}, regions=(0.0, 1.0))

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        views, targets = self.views(to_unit(batch), self.draw())
        logits = self.estimator(views).float()
        loss = F.cross_entropy(logits, targets)
        self.log("cross_entropy", loss, prog_bar=True)
        single = targets.amax(1) == 1
        right = (logits.argmax(1) == targets.argmax(1))[single].float().mean()
        self.log("accuracy", right, prog_bar=True)
        return loss

    def views(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Clean crops `B 3 2S 2S` to degraded views `B 3 S S` and targets `B classes` that sum to 1."""
        batch, _, double, _ = clean.shape
        side = double // 2
        many = [round(batch * share) for share in (self.reduced, self.composed, self.cut)]
        wide = clean[: many[0]]
        native = clean[many[0] :, :, :side, :side]
        parts = [self._single(wide, generator), self._composed(native[: many[1]], generator)]
        parts.append(self._cut(native[many[1] : many[1] + many[2]], generator))
        parts.append(self._single(native[many[1] + many[2] :], generator))
        images = [F.avg_pool2d(parts[0][0], 2), *(image for image, _ in parts[1:])]
        stacked = torch.cat(images).contiguous(memory_format=torch.channels_last)
        return stacked, torch.cat([target for _, target in parts])

    def _single(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One degradation, or none, a sample."""
        drawn = torch.multinomial(self.frequencies, max(1, len(clean)), replacement=True, generator=generator)
        drawn = drawn[: len(clean)]
        degraded = clean.clone()
        for index, name in enumerate(self.classes):
            samples = torch.nonzero(drawn == index)[:, 0]
            if len(samples) and name != CLEAN:
                chosen = samples.to(clean.device)
                degraded[chosen] = DEGRADATIONS[name](
                    clean[chosen], self._severity(name, len(samples), generator), generator
                )
        return quantise(degraded), F.one_hot(drawn, len(self.classes)).float().to(clean.device)

    def _composed(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two different degradations a sample, one after the other; target one half each."""
        degraded = clean.clone()
        targets = torch.zeros(len(clean), len(self.classes))
        choices = torch.tensor([0.0 if name == CLEAN else 1.0 for name in self.classes])
        for sample in range(len(clean)):
            pair = torch.multinomial(choices, 2, generator=generator).tolist()
            names = [self.classes[index] for index in pair]
            severities = [self._severity(name, 1, generator) for name in names]
            degraded[sample : sample + 1] = compose(clean[sample : sample + 1], names, severities, generator)
            targets[sample, pair] = 0.5
        return quantise(degraded), targets.to(clean.device)

    def _cut(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two regions a sample; targets are their shares of the area."""
        if len(clean) == 0:
            return clean, torch.zeros(0, len(self.classes), device=clean.device)
        degraded, labels = self.cutmix(clean, generator)
        places = torch.tensor([self.classes.index(name) for name in self.cutmix.classes], device=clean.device)
        return degraded, F.one_hot(places[labels], len(self.classes)).float().mean((1, 2))

    def calibrate(
        self, photographs: Iterable[NDArray[np.uint8]], *, side: int, crops: int, global_weight: float
    ) -> None:
        """Fit the temperature and measure the accuracy on whole photographs: sets `temperature` and `accuracy`.

        Each photograph (`H W 3`, clean) gets one degradation or none and is looked at as in use: several views, their
        logits averaged. The temperature minimises the cross entropy over a grid fine enough for two digits.
        """
        self.eval()
        generator = step_generator(self.seed, self.iterations)
        scores: list[Tensor] = []
        wanted: list[Tensor] = []
        for photograph in photographs:
            clean = torch.from_numpy(photograph).permute(2, 0, 1)[None].float().div_(255)
            degraded, target = self._single(clean, generator)
            seen = diagnosis.views(degraded[0].permute(1, 2, 0).numpy(), side=side, crops=crops)
            with torch.inference_mode():
                logits = self.estimator(torch.from_numpy(seen)).float().numpy()
            scores.append(torch.from_numpy(diagnosis.average(logits, global_weight=global_weight)))
            wanted.append(target[0].argmax())
        score, target = torch.stack(scores), torch.stack(wanted)
        grid = torch.linspace(0.1, 3.0, 291, dtype=torch.float64)
        losses = torch.stack([F.cross_entropy(score / temperature, target) for temperature in grid])
        self.temperature = float(grid[losses.argmin()])
        self.accuracy = float((score.argmax(1) == target).float().mean())

    @staticmethod
    def _severity(name: str, count: int, generator: torch.Generator) -> Tensor:
        low, high = DEGRADATIONS[name].typical
        return low + (high - low) * torch.rand(count, generator=generator)
