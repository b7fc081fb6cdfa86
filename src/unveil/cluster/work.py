"""What one worker does with one batch: each picture is read, restored and written, and the manifest says how far it is.

Nothing here knows of Ray: the same worker runs in this process, and once in every actor.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from unveil.cluster.manifest import Event, Journal, open_attempt
from unveil.cluster.planning import Batch, Task
from unveil.commands.restoring import Wishes, details_of
from unveil.errors import OutputExists, PictureError, PictureTooLarge, StoreError, UnveilError
from unveil.stores import Store

if TYPE_CHECKING:
    from unveil.models import Model
    from unveil.restoration import Restoration

Record = dict[str, Any]
"""What is said of one picture, with the keys that `unveil restore --json` prints, and `warnings`."""

Result = TypeVar("Result")

RETRIES = 2
"""How often a picture is tried again whose worker died, and a store is asked again that did not answer."""

PAUSE = 0.5
"""Seconds before a store is asked again; twice as many the next time."""

METADATA = 256 << 20
"""Bytes that a file may have beside its pixels."""


@dataclass(frozen=True, slots=True)
class Order:
    """What every worker must know; it travels to them. `settings` is the digest of the wishes and the model."""

    sources: tuple[Store, ...]
    target: Store
    wishes: Wishes
    settings: str
    engine: str
    threads: int | None
    retries: int = RETRIES


class Worker:
    """One restorer and the batches it is given."""

    def __init__(self, order: Order, model: Model) -> None:
        from unveil.restoration import Restorer

        self.order = order
        # A worker that many others run beside keeps few sessions: each holds memory, and opening one takes little time.
        self.restorer = Restorer(
            model, engine=order.engine, threads=order.threads, sessions=2, precision=order.wishes.precision
        )

    def __call__(self, batch: Batch) -> Iterator[Record]:
        """The record of each picture of a batch, in order, when it is finished or given up.

        What earlier attempts have finished is not done again.
        """
        journal, attempt, events = open_attempt(self.order.target, batch.folder, batch.name)
        try:
            for task in batch.tasks:
                own = [event for event in events if event["picture"] == task.name]
                yield {**self._record(batch, task, journal, own), "attempt": attempt}
        finally:
            journal.close()

    def _record(self, batch: Batch, task: Task, journal: Journal, events: list[Event]) -> Record:
        store = self.order.sources[batch.source]
        record = begin(store.place(task.source))
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                record |= self._settled(task, events, journal) or self._do(task, store, journal)
            except Exception as error:
                record["error"] = _reason(error)
                record["unexpected"] = not isinstance(error, UnveilError | OSError)
                journal.fail(task.name, error=record["error"])
        record["warnings"] = [str(warning.message) for warning in heard]
        return record

    def _settled(self, task: Task, events: list[Event], journal: Journal) -> Record | None:
        """What earlier attempts at this batch have made of a picture, if they came to an end with it."""
        for event in events:
            if event["event"] == "failure":
                return {"error": event["error"]}
            if event["event"] == "finish":
                return self._told(event)
        for event in reversed(events):
            if event["event"] == "made" and self._digest(event["output"]) == event["result"]:
                # The worker died between giving the result its name and saying so.
                self._finish(journal, task, event)
                return self._told(event)
        starts = sum(event["event"] == "start" for event in events)
        if starts > self.order.retries:
            raise StoreError(f"given up: {starts} workers died while they had it in hand")
        return None

    def _do(self, task: Task, store: Store, journal: Journal) -> Record:
        data = self._insist(lambda: self._read(store, task))
        source = hashlib.sha256(data).hexdigest()
        stale: str | None = None
        if not self.order.wishes.overwrite:
            state, place, known = self._look(task, source)
            if state == "done" and known is not None:
                # What a run that died has made was finished by nobody yet.
                self._finish(journal, task, known, skipped=known["event"] == "finish")
                return {**self._told(known), "skipped": True}
            stale = place if state == "stale" else None
            if state == "foreign" and not task.open_suffix:
                self._refuse(place)
        journal.start(task.name, worker=os.getpid(), time=round(time.time(), 3))
        output, result, restored = self._restore(task, data)
        blocked = task.open_suffix and not self.order.wishes.overwrite and output != stale
        if blocked and self._digest(output) is not None:
            self._refuse(output)
        event: Event = {
            "output": output,
            "input": source,
            "settings": self.order.settings,
            "result": hashlib.sha256(result).hexdigest(),
            "details": details_of(restored),
        }
        journal.made(task.name, **event)
        self._insist(lambda: self.order.target.write(output, result))
        self._finish(journal, task, event)
        return self._told(event)

    def _look(self, task: Task, source: str) -> tuple[str, str | None, Event | None]:
        """What is at the place of a result (`done`; `stale`: ours, of another input or other settings; `foreign`),
        where that is, and what the manifest says of it. Of a .jpg and a .png the one that is ours is the result.
        """
        states: list[tuple[str, str | None, Event | None]] = []
        for name in task.candidates:
            digest = self._digest(name)
            if digest is None:
                continue
            known = task.known.get(name)
            while known is not None and known.get("result") != digest:
                # A line whose result never got its name: what lies there is still the result that it was to replace.
                known = known.get("before")
            if known is None:
                states.append(("foreign", name, None))
                continue
            same = known.get("settings") == self.order.settings and known.get("input") == source
            states.append(("done" if same else "stale", name, known))
        order = ("done", "stale", "foreign")
        return min(states, key=lambda found: order.index(found[0]), default=("new", None, None))

    def _refuse(self, name: str | None) -> None:
        place = self.order.target.place(name or "")
        raise OutputExists(place, "exists already; give --overwrite to replace it, or another output with -o")

    def _restore(self, task: Task, data: bytes) -> tuple[str, bytes, Restoration]:
        """The result's name and bytes, as `unveil restore` would write them."""
        from unveil import images
        from unveil.images import metadata

        wishes = self.order.wishes
        picture = images.read(data, pixel_limit=wishes.pixel_limit)
        output = task.settle(depth=picture.depth, has_alpha=picture.alpha is not None)
        suffix = PurePosixPath(output).suffix.lower()
        done = self.restorer.run(picture, **wishes.choices)
        if done.untouched and not wishes.asks_for_encoding and suffix in images.FORMATS[picture.format].suffixes:
            # Encoding it once more would cost quality for nothing.
            return output, data, done
        form = next(form.name for form in images.FORMATS.values() if suffix in form.suffixes)
        return output, images.encode(metadata.strip(done.image, wishes.strip), form, quality=wishes.quality), done

    def _read(self, store: Store, task: Task) -> bytes:
        most = self.order.wishes.pixel_limit * 8 + METADATA
        if task.size > most:
            raise PictureTooLarge(None, f"{task.size:,} bytes, more than a picture of the limit's pixels can have")
        return store.read(task.source)

    def _digest(self, name: str) -> str | None:
        """The digest of what is at a result's place, None where there is nothing."""
        try:
            return hashlib.sha256(self._insist(lambda: self.order.target.read(name))).hexdigest()
        except FileNotFoundError:
            return None

    def _finish(self, journal: Journal, task: Task, event: Event, **told: Any) -> None:
        """Write that a result has its name, and by what the next run will know it without opening it."""
        there = self._insist(lambda: self.order.target.entry(event["output"]))
        kept = {name: event.get(name) for name in ("output", "input", "settings", "result", "details")}
        journal.finish(task.name, **kept, stamps=[task.source, task.stamp, there.stamp], **told)

    def _told(self, event: Event) -> Record:
        return {**(event.get("details") or {}), "output": self.order.target.place(event["output"])}

    def _insist(self, ask: Callable[[], Result]) -> Result:
        """Ask a store again that did not answer; a few times, each after a longer pause."""
        for attempt in range(self.order.retries):
            try:
                return ask()
            except StoreError:
                time.sleep(PAUSE * 2**attempt)
        return ask()


def begin(source: str) -> Record:
    """The record of a picture that nothing is known of yet."""
    return {
        "input": source,
        "output": None,
        "diagnosis": None,
        "weights": None,
        "untouched": None,
        "seconds": None,
        "skipped": False,
        "error": None,
    }


def _reason(error: Exception) -> str:
    if isinstance(error, PictureError):
        return error.cause if error.path is None else f"{error.path}: {error.cause}"
    if isinstance(error, FileNotFoundError):
        return "is no longer there"
    return str(error) if isinstance(error, UnveilError | OSError) else f"unexpected {type(error).__name__}: {error}"
