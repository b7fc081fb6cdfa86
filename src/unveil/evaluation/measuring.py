"""Pictures one after the other: what is missing is measured, what still holds is taken from the ledger."""

from __future__ import annotations

import hashlib
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from unveil import __version__
from unveil.evaluation.ledger import Circumstances, Ledger, Record
from unveil.evaluation.sets import FoundSet, Item
from unveil.evaluation.subjects import Subject, Tick
from unveil.metrics import protocol

PACKAGES = ("numpy", "onnxruntime", "torch", "pillow", "pyvips")


@dataclass(frozen=True, slots=True)
class Task:
    """One picture and the subjects that it is still to be measured with."""

    of: FoundSet
    item: Item
    missing: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Agenda:
    """What there is to do, how many figures are there, and why others no longer hold: (set, reason) -> count."""

    tasks: tuple[Task, ...]
    kept: int
    outdated: Mapping[tuple[str, str], int]


class Measuring:
    """One evaluation: sets, subjects, a seed, and the ledger that holds what is known.

    Args:
        sets: whose pictures are there.
        subjects: the columns; those that do not apply to a set are left out there.
        ledger: of the folder of results.
        seed: of all damage.
    """

    def __init__(self, sets: Sequence[FoundSet], subjects: Sequence[Subject], ledger: Ledger, *, seed: int = 0) -> None:
        self.sets, self.subjects, self.ledger, self.seed = tuple(sets), tuple(subjects), ledger, seed
        self.versions = versions()

    def agenda(self) -> Agenda:
        """Compare the ledger with the files as they are now."""
        tasks: list[Task] = []
        kept = 0
        outdated: Counter[tuple[str, str]] = Counter()
        for found in self.sets:
            for item in found.items:
                missing: list[Subject] = []
                for subject in self._subjects(found):
                    record = self.ledger.get(found.of.name, item.name, subject.name)
                    changed = record and record.under.differs_from(self._circumstances(found, item, subject))
                    if record and not changed:
                        kept += 1
                        continue
                    if changed:
                        outdated[found.of.name, changed] += 1
                    missing.append(subject)
                if missing:
                    tasks.append(Task(found, item, tuple(missing)))
        return Agenda(tuple(tasks), kept, outdated)

    def work(self, task: Task, tick: Tick) -> None:
        """Measure one picture with every subject that misses it; each figure is kept at once.

        Raises:
            UnveilError: a file cannot be read, or a network cannot be run.
            Whatever `tick` raises, between subjects and tiles.
        """
        degraded, truth = task.of.load(task.item, self.seed)
        protocols = [protocol(name) for name in task.of.of.protocols]
        for subject in task.missing:
            tick(0, 1)
            started = time.perf_counter()
            answer = subject.restore(degraded, task.of.of, tick)
            seconds = time.perf_counter() - started
            self.ledger.add(
                Record(
                    set=task.of.of.name,
                    picture=task.item.name,
                    subject=subject.name,
                    scores={entry.name: entry.score(answer.pixels, truth) for entry in protocols},
                    under=self._circumstances(task.of, task.item, subject),
                    diagnosis=answer.diagnosis,
                    weights=answer.weights,
                    seconds=round(seconds, 4),
                )
            )

    def records(self, found: FoundSet) -> Iterator[tuple[Item, dict[str, Record]]]:
        """What is known and still holds of each picture of a set, by subject."""
        for item in found.items:
            known: dict[str, Record] = {}
            for subject in self._subjects(found):
                record = self.ledger.get(found.of.name, item.name, subject.name)
                if record and not record.under.differs_from(self._circumstances(found, item, subject)):
                    known[subject.name] = record
            yield item, known

    def _subjects(self, found: FoundSet) -> list[Subject]:
        return [subject for subject in self.subjects if subject.applies(found.of)]

    def _circumstances(self, found: FoundSet, item: Item, subject: Subject) -> Circumstances:
        return Circumstances(
            files=found.digest_of(item),
            settings=_short(f"{found.of.settings} seed {self.seed}"),
            subject=_short(subject.checksum),
            versions=_short(str(sorted(self.versions.items()))),
        )


def versions() -> dict[str, str]:
    """Versions of unveil, of Python and of the packages that figures depend on."""
    found = {"unveil": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
