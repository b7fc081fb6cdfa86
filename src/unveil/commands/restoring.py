"""One picture of `unveil restore`: what an earlier run has done stays, everything else is restored and written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from unveil.commands.batch import Record, Tick
from unveil.commands.history import History, State, digest_of, digest_of_settings
from unveil.commands.naming import Job
from unveil.errors import OutputExists, UnreadablePicture

if TYPE_CHECKING:
    from unveil.engines import Precision
    from unveil.images.metadata import What
    from unveil.restoration import Restoration, Restorer
    from unveil.restoration.options import Choices


@dataclass(frozen=True, slots=True)
class Wishes:
    """How pictures are to be restored and written. `pixel_limit` is a number of pixels."""

    strength: float
    only: list[str] | None
    weights: dict[str, float] | None
    quality: int | None
    overwrite: bool
    pixel_limit: int
    blend: str | None = None
    strip: What = "none"
    precision: Precision = "fp32"
    rounds: int | None = None
    ensemble: int | None = None

    @property
    def asks_for_encoding(self) -> bool:
        """Whether a picture that needs nothing must be written anew all the same."""
        return self.quality is not None or self.strip != "none"

    @property
    def choices(self) -> Choices:
        """How to restore, as `Restorer.run` takes it."""
        return {
            "strength": self.strength,
            "weights": self.weights,
            "only": self.only,
            "blend": self.blend,
            "rounds": self.rounds,
            "ensemble": self.ensemble,
        }

    def digest(self, model: Path) -> str:
        """What tells results of these wishes and this model file from all others."""
        only = None if self.only is None else sorted(self.only)
        wished = {"strength": self.strength, "only": only, "weights": self.weights, "quality": self.quality}
        # Named only where it was given, so that results of earlier versions are still known.
        blend = {} if self.blend is None else {"blend": self.blend}
        strip = {} if self.strip == "none" else {"strip": self.strip}
        precision = {} if self.precision == "fp32" else {"precision": self.precision}
        later = {"rounds": self.rounds, "ensemble": self.ensemble}
        given = {name: value for name, value in later.items() if value is not None}
        return digest_of_settings({"model": digest_of(model), **wished, **blend, **strip, **precision, **given})


@dataclass(slots=True)
class Histories:
    """The histories of the folders that jobs write to."""

    settings: str
    overwrite: bool
    folders: dict[Path, History] = field(default_factory=dict[Path, History])

    def of(self, job: Job) -> History | None:
        """The history that a job's result belongs to, read when first asked for."""
        if job.base is None:
            return None
        if job.base not in self.folders:
            self.folders[job.base] = History(job.base)
            self.folders[job.base].load()
        return self.folders[job.base]

    @contextlib.contextmanager
    def opened(self, places: Mapping[Path, Iterable[Path]]) -> Generator[None]:
        """Inside, these folders are this run's alone; each comes with those in which results will be put.

        Raises InvalidRequest if another run has one.
        """
        with contextlib.ExitStack() as stack:
            for base, targets in places.items():
                self.folders[base] = stack.enter_context(History(base).opened(targets))
            yield

    def look(self, job: Job, source: str | None = None) -> tuple[State, Path]:
        """What is at the place of a job's result, and where that is. `source` is the digest of the input.

        Raises OSError where the input cannot be read.
        """
        there = [target for target in job.candidates if os.path.lexists(target)]
        if not there:
            return "new", job.target
        history = self.of(job)
        if history is None:
            return "foreign", there[0]
        known = source or digest_of(job.source)
        states: list[tuple[State, Path]] = [(history.state(target, known, self.settings), target) for target in there]
        # Of a .jpg and a .png for one input, the one that was made from it is its result.
        return min(states, key=lambda found: ("done", "stale", "foreign", "new").index(found[0]))


def places(jobs: Iterable[Job]) -> dict[Path, set[Path]]:
    """For every folder with a history, the folders in which jobs put results."""
    found: dict[Path, set[Path]] = {}
    for job in jobs:
        if job.base is not None:
            found.setdefault(job.base, set()).add(job.target.parent)
    return found


@dataclass(slots=True)
class Restoring:
    """Restores one job at a time; what `run_batch` calls."""

    restorer: Restorer
    wishes: Wishes
    histories: Histories

    def __call__(self, job: Job, record: Record, tick: Tick) -> None:
        history = self.histories.of(job)
        source = None
        # What cannot be read is reported in better words below.
        with contextlib.suppress(OSError):
            source = digest_of(job.source) if job.source.is_file() else None
        stale: Path | None = None
        if not self.wishes.overwrite:
            state, place = self.histories.look(job, source) if source else ("new", job.target)
            if state == "done" and history is not None:
                record |= {**history.details(place), "output": str(place), "skipped": True}
                return
            stale = place if state == "stale" else None
            if not job.open_suffix:
                refuse_existing(job.target, job.target == stale)
        record |= self._restore(job, tick, stale, history, source)

    def _restore(self, job: Job, tick: Tick, stale: Path | None, history: History | None, source: str | None) -> Record:
        from unveil import images
        from unveil.images import metadata

        wishes = self.wishes
        picture = images.read(job.source, pixel_limit=wishes.pixel_limit)
        target = job.settle(depth=picture.depth, has_alpha=picture.alpha is not None)
        overwrite = wishes.overwrite or target == stale
        refuse_existing(target, overwrite)
        done = self.restorer.run(picture, **wishes.choices, progress=tick)
        details = details_of(done)

        def announce(data: bytes) -> None:
            # One that has vanished was read as a whole before, or it would have been refused.
            with contextlib.suppress(OSError):
                if source is not None and digest_of(job.source) != source:
                    raise UnreadablePicture(job.source, "changed while it was restored; give the command once more")
            if history is not None and source is not None:
                settings = self.histories.settings
                history.add(target, source=source, settings=settings, result=data, details=details)

        target.parent.mkdir(parents=True, exist_ok=True)
        same_format = target.suffix.lower() in images.FORMATS[picture.format].suffixes
        if done.untouched and not wishes.asks_for_encoding and same_format:
            # Encoding it once more would cost quality for nothing.
            images.copy(job.source, target, overwrite=overwrite, announce=announce)
        else:
            result = metadata.strip(done.image, wishes.strip)
            images.write(result, target, quality=wishes.quality, overwrite=overwrite, announce=announce)
        return {"output": str(target), **details}


def details_of(done: Restoration) -> Record:
    """What records and histories keep of how a picture was restored.

    `shrunk_to` is there only where memory ran out, `later` only where more was undone after a second look.
    """
    later = {"later": list(done.later)} if done.later else {}
    shrunk = {"shrunk_to": done.shrunk_to} if done.shrunk_to else {}
    return {
        "diagnosis": dict(done.diagnosis.ranked) if done.diagnosis else None,
        "weights": done.weights,
        **later,
        "untouched": done.untouched,
        "seconds": round(done.seconds, 3),
        **shrunk,
    }


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Say that a result is in the way before the work is done, not after."""
    if not overwrite and os.path.lexists(target):
        raise OutputExists(target, "exists already; give --overwrite to replace it, or another output with -o")
