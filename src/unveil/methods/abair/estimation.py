"""Phase III: the estimator learns to tell degradations apart, alone and mixed (ABAIR, section on the estimator)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unveil.degradations import DEGRADATIONS, quantise
from unveil.degradations.mixtures import ORDER
from unveil.degradations.varieties import degrade_variously
from unveil.methods.abair import reliability
from unveil.methods.abair.adaptation import Undo
from unveil.methods.abair.cutmix import DegradationCutMix
from unveil.methods.abair.estimator import Estimator
from unveil.methods.abair.looks import handle, look
from unveil.methods.abair.reliability import Reliability
from unveil.methods.phase import Phase, step_generator, to_unit
from unveil.models.card import CLEAN
from unveil.restoration import diagnosis

HELD = 0.005
"""How firmly the bias of the calibration is held to zero."""
FREQUENT = 3.0
"""How much more often what yields is drawn where two degradations come together."""
FEWEST = 20
"""Pictures below which a half of them is too few to fit on."""


class Estimation(Phase):
    """Trains the estimator with cross entropy on whole little pictures, looked at as in use.

    Every picture of a batch is a clean crop of twice the side of a view, given a look of its own (`looks`) and one
    degradation, or none; `composed` of the batch carry two, `cut` of it go through Degradation CutMix. The estimator
    sees some crops of it at native resolution and all of it halved; the loss is that of the averaged logits. So a view
    that shows nothing, a blurred background say, learns to leave the word to the others. Shares and onsets are ours.

    Args:
        estimator: with one output per entry of `classes`.
        classes: degradations in the order of the logits; `clean` last.
        composed, cut: shares of a batch.
        crops: views at native resolution.
        global_weight: of the halved picture where a crop weighs 1.
        clean_weight: how much more often `clean` is drawn than a degradation.
        emphasis: how much more often a degradation is drawn than another, in training; calibration draws all evenly.
        onsets: for each degradation, the severity up to which a picture counts as clean because its adapter would do
            harm, and the one from which it counts fully as degraded. Severities are drawn from half of the first one
            on, half of them evenly in their logarithm. Without an entry: fully from the lowest typical severity.
        yielding: degradations that yield to others, as (share, severity): beside another one, and up to that severity,
            they count for so much of what they would. An adapter that was trained in company undoes some noise and
            blocks itself, so theirs may yield to it. They are drawn three times as often where two come together.
        undone: shares of the pictures with two degradations, and with one, whose last degradation is undone before the
            estimator sees them. What counts then is the other one, or that the picture is clean: so a second look in
            use, at what a restoration has left, is at nothing new.
        undo: what undoes it; wanted where a share is above 0.
        optimisation: arguments of `Phase`.
    """

    def __init__(
        self,
        estimator: Estimator,
        classes: Sequence[str],
        *,
        composed: float = 0.2,
        cut: float = 0.05,
        crops: int = 2,
        global_weight: float = 1.0,
        clean_weight: float = 4.0,
        emphasis: Mapping[str, float] | None = None,
        onsets: Mapping[str, Sequence[float]] | None = None,
        yielding: Mapping[str, Sequence[float]] | None = None,
        undone: tuple[float, float] = (0.0, 0.0),
        undo: Undo | None = None,
        **optimisation: Any,
    ) -> None:
        super().__init__(**optimisation)
        self.estimator = estimator
        self.classes = tuple(classes)
        self.temperature = 1.0
        self.bias = torch.zeros(len(self.classes))
        self.accuracy = float("nan")
        self.reliability: Reliability | None = None
        self.composed, self.cut, self.crops, self.global_weight = composed, cut, crops, global_weight
        self.frequencies = torch.tensor([clean_weight if name == CLEAN else 1.0 for name in self.classes])
        self.emphasis = torch.tensor([(emphasis or {}).get(name, 1.0) for name in self.classes])
        given = onsets or {}
        spoilt = [name for name in self.classes if name != CLEAN]
        self.onsets = {name: given.get(name, (DEGRADATIONS[name].typical[0],) * 2) for name in spoilt}
        self.yielding = dict(yielding or {})
        if any(undone) and undo is None:
            raise ValueError("undone wants undo, something that undoes a degradation")
        self.undone, self.undo = undone, undo
        company = dict.fromkeys(self.yielding, FREQUENT) | {CLEAN: 0.0}
        self.meeting = torch.tensor([company.get(name, 1.0) for name in self.classes])
        self.cutmix = DegradationCutMix(dict.fromkeys(spoilt, 1.0), regions=(0.0, 1.0))

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        generator = self.draw()
        pictures, targets = self.pictures(to_unit(batch), generator)
        views = self.views(pictures, generator)
        logits = self.estimator(views).float().view(self.crops + 1, len(pictures), -1)
        mean = (logits[:-1].sum(0) + self.global_weight * logits[-1]) / (self.crops + self.global_weight)
        loss = F.cross_entropy(mean, targets)
        self.log("cross_entropy", loss, prog_bar=True)
        plain = targets.amax(1) > 0.9
        self.log("accuracy", (mean.argmax(1) == targets.argmax(1))[plain].float().mean(), prog_bar=True)
        return loss

    def pictures(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Clean pictures `B 3 H W` to degraded ones, rounded to 8 bits, and targets `B classes` that sum to 1."""
        batch = len(clean)
        looked = quantise(look(clean, generator))
        cut, composed = (round(batch * share) for share in (self.cut, self.composed))
        parts = [self._cut(looked[:cut], generator)] if cut else []
        parts.append(self._degraded(looked[cut:], composed, generator, emphasis=self.emphasis, undone=self.undone))
        return torch.cat([images for images, _ in parts]), torch.cat([target for _, target in parts])

    def views(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Pictures `B 3 2S 2S` to `(crops + 1) * B 3 S S`: crops anywhere in them, then all of them halved."""
        side = pictures.shape[-1] // 2
        places = torch.randint(0, side + 1, (self.crops, 2), generator=generator).tolist()
        native = [pictures[:, :, top : top + side, left : left + side] for top, left in places]
        return torch.cat([*native, F.avg_pool2d(pictures, 2)]).contiguous(memory_format=torch.channels_last)

    def _degraded(
        self,
        clean: Tensor,
        composed: int,
        generator: torch.Generator,
        *,
        emphasis: Tensor | float = 1.0,
        undone: tuple[float, float] = (0.0, 0.0),
    ) -> tuple[Tensor, Tensor]:
        """Two degradations for the first `composed` samples, in their natural order; one or none for the others."""
        batch = len(clean)
        single = torch.multinomial((self.frequencies * emphasis).expand(batch, -1), 1, generator=generator)
        double = torch.multinomial((self.meeting * emphasis).expand(batch, -1), 2, generator=generator)
        are_two = torch.arange(batch) < composed
        drawn = torch.where(are_two[:, None], double, single.expand(-1, 2))
        degraded = clean.clone()
        shares = torch.zeros(batch, len(self.classes))
        standing = torch.ones(batch, len(self.classes))
        last = torch.full((batch,), -1)
        for name in ORDER:
            if name not in self.onsets:
                continue
            index = self.classes.index(name)
            samples = torch.nonzero((drawn == index).any(1))[:, 0]
            last[samples] = index
            severity = self._severity(name, len(samples), generator)
            first, full = self.onsets[name]
            shares[samples, index] = ((severity - first) / max(full - first, 1e-6)).clamp(0, 1)
            if name in self.yielding:
                share, limit = self.yielding[name]
                standing[samples, index] = torch.where(severity <= limit, share, 1.0)
            if len(samples):
                here = samples.to(clean.device)
                degraded[here] = degrade_variously(name, degraded[here], severity, generator)
        fragile = [self.classes.index(name) for name in ("bits", "jpeg") if name in self.classes]
        sturdy = ~torch.isin(drawn, torch.tensor(fragile)).any(1)
        finished = quantise(handle(quantise(degraded), sturdy, generator))
        if any(undone):
            chance = torch.where(are_two, *undone)
            # No second look follows where a picture has been sharpened.
            sharpened = [index for index, name in enumerate(self.classes) if name in diagnosis.SHARPENING]
            open_to_it = (last >= 0) & ~torch.isin(last, torch.tensor(sharpened))
            chosen = (torch.rand(batch, generator=generator) < chance) & open_to_it
            finished = self._undone(finished, torch.where(chosen, last, -1))
            shares[chosen, last[chosen]] = 0
        # A full measure of two damages is shared by their standing; what is missing to a full measure counts as clean.
        measure = shares.sum(1, keepdim=True).clamp_max(1)
        weighed = shares * standing
        targets = measure * weighed / weighed.sum(1, keepdim=True).clamp_min(1e-6)
        if CLEAN in self.classes:
            targets[:, self.classes.index(CLEAN)] = 1 - targets.sum(1)
        return finished, targets.to(clean.device)

    def _undone(self, pictures: Tensor, which: Tensor) -> Tensor:
        """Pictures with a degradation of each undone, `which (B,)` by its place among the classes; -1 for none."""
        assert self.undo is not None
        result = pictures.clone()
        for index in which[which >= 0].unique().tolist():
            here = torch.nonzero(which == index)[:, 0].to(pictures.device)
            with torch.no_grad():
                result[here] = quantise(self.undo(self.classes[index], pictures[here]).float().clamp(0, 1))
        return result

    def _cut(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two regions a sample; targets are their shares of the area."""
        degraded, labels = self.cutmix(clean, generator)
        places = torch.tensor([self.classes.index(name) for name in self.cutmix.classes], device=clean.device)
        return degraded, F.one_hot(places[labels], len(self.classes)).float().mean((1, 2))

    def calibrate(
        self,
        photographs: Iterable[NDArray[np.uint8]],
        *,
        side: int,
        crops: int,
        global_weight: float,
        sharpening: float = 1.0,
    ) -> None:
        """Fit and measure on whole photographs: sets `temperature`, `bias`, `accuracy` and `reliability`.

        Each photograph (`H W 3`, clean) gets one degradation or none, as often as in training, and is looked at as in
        use: several views, their logits averaged. `softmax(averaged / temperature + bias)` then has the least cross
        entropy; the bias is held small, for it must not learn the photographs.

        Measured is what is said in use, at `sharpening` times the temperature, of all pictures but those that lie
        between two classes: each half of them with what was fitted on the other half.
        """
        self.eval()
        generator = step_generator(self.seed, self.iterations)
        scores: list[Tensor] = []
        wanted: list[Tensor] = []
        for photograph in photographs:
            clean = torch.from_numpy(photograph).permute(2, 0, 1)[None].float().div_(255)
            degraded, target = self._degraded(quantise(look(clean, generator)), 0, generator)
            seen = diagnosis.views(degraded[0].permute(1, 2, 0).numpy(), side=side, crops=crops)
            with torch.inference_mode():
                logits = self.estimator(torch.from_numpy(seen)).float().numpy()
            scores.append(torch.from_numpy(diagnosis.average(logits, global_weight=global_weight)))
            wanted.append(target[0])
        logits, targets = torch.stack(scores), torch.stack(wanted)
        self.temperature, self.bias = fit_calibration(logits, targets)
        plain = targets.amax(1) > 0.9
        said = cross_calibrated(logits, targets, sharpening=sharpening)[plain]
        self.reliability = reliability.measure(said, targets[plain].argmax(1), self.classes)
        self.accuracy = self.reliability.accuracy

    def _severity(self, name: str, count: int, generator: torch.Generator) -> Tensor:
        low, high = max(self.onsets[name][0] / 2, 1e-3), DEGRADATIONS[name].typical[1]
        drawn, is_even = torch.rand(2, count, generator=generator)
        return torch.where(is_even < 0.5, low + (high - low) * drawn, low * (high / low) ** drawn)


def cross_calibrated(scores: Tensor, targets: Tensor, *, sharpening: float) -> Tensor:
    """Probabilities `N C` of logits `N C`, every other picture calibrated by what was fitted on the rest."""
    if len(scores) < FEWEST:
        temperature, bias = fit_calibration(scores, targets)
        return ((scores / temperature + bias) / sharpening).softmax(1)
    found = torch.empty(scores.shape, dtype=torch.float64)
    for half in (0, 1):
        temperature, bias = fit_calibration(scores[1 - half :: 2], targets[1 - half :: 2])
        found[half::2] = ((scores[half::2].double() / temperature + bias) / sharpening).softmax(1)
    return found


def fit_calibration(scores: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """Temperature and bias for logits `N C` and targets `N C` that sum to 1, by Newton-like descent."""
    scores, targets = scores.double(), targets.double()
    logarithm = torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(scores.shape[1], dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([logarithm, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = F.cross_entropy(scores / logarithm.exp() + bias, targets) + HELD * bias.square().sum()
        value.backward()
        return value

    descent.step(loss)
    return float(logarithm.detach().exp()), bias.detach()
