"""Sheets of pictures: input, output, truth and error of the best, the median and the worst picture of a set."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from unveil.evaluation.ledger import Record
from unveil.evaluation.measuring import Measuring
from unveil.evaluation.sets import FoundSet, Item
from unveil.evaluation.subjects import INPUT, Subject, Tick
from unveil.metrics import Score
from unveil.metrics.fidelity import capped
from unveil.metrics.sheets import FULL_ERROR, Panel, Strip, cutout, draw, error_map

KEY = "unveil"


@dataclass(frozen=True, slots=True)
class Chosen:
    """One picture of a sheet: how it stands among the others, and its figures."""

    rank: str
    item: Item
    before: Record
    after: Record


@dataclass(frozen=True, slots=True)
class Sheet:
    """The sheet of one subject on one set."""

    found: FoundSet
    subject: Subject
    chosen: tuple[Chosen, ...]

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.found.of.name}--{re.sub('[^a-z0-9.-]+', '-', self.subject.name.lower())}.png"

    def is_drawn(self, folder: Path) -> bool:
        """Whether the file is there and shows the pictures with these very figures."""
        try:
            with Image.open(folder / self.name) as there:
                return there.info.get(KEY) == self._made_from()
        except OSError:
            return False

    def draw(self, folder: Path, seed: int, tick: Tick) -> None:
        """Restore the chosen pictures once more and write the sheet."""
        strips: list[Strip] = []
        first = self.found.of.protocols[0]
        for entry in self.chosen:
            tick(0, 1)
            degraded, truth = self.found.load(entry.item, seed)
            restored = self.subject.restore(degraded, self.found.of, tick).pixels
            part = cutout(degraded, truth)
            before, after = entry.before.scores[first], entry.after.scores[first]
            said = f", taken for {entry.after.diagnosis}" if entry.after.diagnosis else ""
            panels = (
                Panel(part(degraded), f"input   {_said(before)}"),
                Panel(part(restored), f"output   {_said(after)}{said}"),
                Panel(part(truth), "truth"),
                Panel(part(error_map(restored, truth)), "error of the output"),
            )
            gain = capped(after.psnr) - capped(before.psnr)
            strips.append(Strip(f"{entry.rank}: {entry.item.name}   {gain:+.2f} dB", panels))
        title = f"{self.subject.name} on {self.found.of.printed}, {self.found.of.label}"
        sheet = draw(title, strips, foot=f"Protocol {first}. Errors are white from {FULL_ERROR} of 255 on.")
        text = PngInfo()
        text.add_text(KEY, self._made_from())
        folder.mkdir(parents=True, exist_ok=True)
        sheet.save(folder / self.name, pnginfo=text)

    def _made_from(self) -> str:
        lines = [line for entry in self.chosen for line in (entry.rank, entry.before.to_json(), entry.after.to_json())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sheets(measuring: Measuring) -> Iterator[Sheet]:
    """One sheet for every set and every subject that can be looked at: classical restorers are left out."""
    from unveil.evaluation.subjects import ModelSubject, OnnxSubject

    for found in measuring.sets:
        known = list(measuring.records(found))
        for subject in measuring.subjects:
            if not isinstance(subject, ModelSubject | OnnxSubject):
                continue
            both = [
                (item, records[INPUT], records[subject.name])
                for item, records in known
                if INPUT in records and subject.name in records
            ]
            if both:
                yield Sheet(found, subject, tuple(_choose(both, found.of.protocols[0])))


def _said(score: Score) -> str:
    return "equal to the truth" if math.isinf(score.psnr) else f"{score.psnr:.2f} dB / {score.ssim:.3f}"


def _choose(known: list[tuple[Item, Record, Record]], protocol: str) -> list[Chosen]:
    """Best, median and worst by what they gain in PSNR; fewer where there are fewer pictures."""

    def gain(entry: tuple[Item, Record, Record]) -> float:
        return capped(entry[2].scores[protocol].psnr) - capped(entry[1].scores[protocol].psnr)

    ranked = sorted(known, key=gain, reverse=True)
    places = {0: "best", len(ranked) // 2: "median", len(ranked) - 1: "worst"}
    if len(ranked) == 1:
        places = {0: "only picture"}
    elif len(ranked) == 2:
        places = {0: "best", 1: "worst"}
    return [Chosen(rank, *ranked[place]) for place, rank in sorted(places.items())]
