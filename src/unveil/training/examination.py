"""What a taught model has gained and what it has lost, measured as users get it: blind, through `Restorer`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unveil.data import middle
from unveil.degradations import DEGRADATIONS, quantise
from unveil.metrics import sheets
from unveil.metrics.fidelity import capped, psnr
from unveil.models import Model
from unveil.models.card import CLEAN
from unveil.restoration import Restorer
from unveil.training.teaching import Material

SIDE = 512
"""Side of the middle of a clean picture that old degradations are made of."""
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One old degradation (or `clean`), made of held-back clean pictures: mean PSNR in dB, and what was seen.

    `mistaken` is the share of pictures that the new model takes for the taught damage.
    """

    degraded: float
    before: float
    after: float
    mistaken: float


@dataclass(frozen=True, slots=True)
class Examination:
    """The report of a lesson.

    Attributes:
        name: of what was taught.
        pictures: held-back pairs that nothing was learnt from or decided on.
        degraded, before, after: their mean PSNR as they were, restored blind by the old model, and by the new one.
        known_to_user: the same with the new adapter named, so that the estimator plays no part.
        named: what the new model takes them for, with shares; the row of the confusion matrix of the new class.
        others: the old degradations.
    """

    name: str
    pictures: int
    degraded: float
    before: float
    after: float
    known_to_user: float
    named: Mapping[str, float]
    others: Mapping[str, Change] = field(default_factory=dict[str, Change])

    @property
    def gain(self) -> float:
        """Of the new model over the damaged pictures, in dB."""
        return self.after - self.degraded

    @property
    def largest_loss(self) -> tuple[str, float]:
        """The old degradation that lost most by the lesson, and how much its mean PSNR changed."""
        changes = {name: change.after - change.before for name, change in self.others.items()}
        worst = min(changes, key=lambda name: changes[name])
        return worst, changes[worst]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "gain": self.gain}


def examine(
    old: Model,
    new: Model,
    material: Material,
    name: str,
    *,
    sheet: Path | None = None,
    threads: int | None = None,
    tick: Callable[[int, int], object] = lambda done, of: None,
) -> Examination:
    """Measure a lesson on what was held back from it.

    Args:
        old, new: the model before and after.
        material: of the lesson.
        name: of what was taught.
        sheet: a PNG to draw some pictures on, before and after.
        threads: processor cores.
        tick: called with pictures done and their number.
    """
    former, taught = (Restorer(model, threads=threads) for model in (old, new))
    pairs = material.pairs(material.kept, shortest=1)
    found = [pair for index in range(len(pairs)) if (pair := pairs.pixels(index)) is not None]
    recognises = new.card.estimator is not None
    ways = [*(key for key in DEGRADATIONS if key in old.adapters), CLEAN] if recognises else []
    clean = [middle(pair[1], SIDE) for pair in found]
    total, done = len(found) + len(ways) * len(clean), 0
    scores: list[tuple[float, ...]] = []
    named: Counter[str] = Counter()
    strips: list[sheets.Strip] = []
    for degraded, truth in found:
        named_by_user = taught.run(degraded, weights={name: 1.0})
        result = taught.run(degraded) if recognises else named_by_user
        asked = named_by_user.image
        before = former.run(degraded).image
        scores.append(tuple(_psnr(picture, truth) for picture in (degraded, before, result.image, asked)))
        named[result.diagnosis.main if result.diagnosis else name] += 1
        if len(strips) < SHOWN:
            strips.append(_strip(degraded, result.image, truth, pairs.names[len(strips)], scores[-1]))
        done += 1
        tick(done, total)
    others: dict[str, Change] = {}
    for way in ways:
        rows: list[tuple[float, ...]] = []
        for index, picture in enumerate(clean):
            spoilt = _spoilt(picture, way, index)
            result = taught.run(spoilt)
            before = former.run(spoilt).image
            mistaken = result.diagnosis is not None and result.diagnosis.main == name
            rows.append((*(_psnr(each, picture) for each in (spoilt, before, result.image)), float(mistaken)))
            done += 1
            tick(done, total)
        others[way] = Change(*np.mean(rows, axis=0).tolist())
    if sheet is not None:
        title = f"{name}: held-back pictures, restored without being told what is wrong"
        sheets.draw(title, strips).save(sheet)
    was, by_old, by_new, by_name = np.mean(scores, axis=0).tolist()
    shares = {key: count / len(found) for key, count in named.most_common()}
    return Examination(name, len(found), was, by_old, by_new, by_name, shares, others)


def _strip(
    degraded: NDArray[Any], restored: NDArray[Any], truth: NDArray[Any], name: str, scores: tuple[float, ...]
) -> sheets.Strip:
    part = sheets.cutout(degraded, truth)
    panels = (
        sheets.Panel(part(degraded), f"before   {scores[0]:.2f} dB"),
        sheets.Panel(part(restored), f"after   {scores[2]:.2f} dB"),
        sheets.Panel(part(truth), "clean"),
    )
    return sheets.Strip(f"{name}   {scores[2] - scores[0]:+.2f} dB", panels)


def _spoilt(picture: NDArray[np.uint8], way: str, index: int) -> NDArray[np.uint8]:
    """A clean picture with an old degradation, in the middle of its typical range."""
    if way == CLEAN:
        return picture
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    severity = sum(DEGRADATIONS[way].typical) / 2
    degraded = quantise(DEGRADATIONS[way](image, severity, torch.Generator().manual_seed(index)))
    return (degraded[0].permute(1, 2, 0) * 255).round().byte().contiguous().numpy()


def _psnr(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    return capped(psnr(picture, truth))
