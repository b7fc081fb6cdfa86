"""What workers have begun, made, finished and given up, written down in the target store while they do it.

The folder `.unveil/manifest` of the target mirrors its tree. Every attempt at a batch has a file there of its own, with
a line an event, so that no two workers ever write to one file, and a store that cannot append rewrites a small object.

    start     a worker has taken the picture in hand
    made      the bytes of the result are known (with their digest) and will get its name next
    finish    the result has its name
    failure   the picture was given up, and why

So after a kill at any moment the result of a `start` without a `made` does not exist, and that of a `made` without a
`finish` is whole if it has the digest of that line. `finish` is written together with the next picture's `start`.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar, cast

from unveil.stores import Folder, Remote, Store

Item = TypeVar("Item")

FOLDER = ".unveil/manifest"

AT_ONCE = 500
"""Files of the manifest that are in memory at once."""

Event = dict[str, Any]
"""`event` and `picture` (see `planning.Task.name`) are always there; `made` and `finish` have the result's `output`."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each picture was begun, finished and given up, by the picture's name below the target."""

    starts: Counter[str] = field(default_factory=Counter[str])
    finishes: Counter[str] = field(default_factory=Counter[str])
    failures: Counter[str] = field(default_factory=Counter[str])


@dataclass(slots=True)
class Journal:
    """The file of one attempt at a batch. Only the worker that makes the attempt writes to it."""

    store: Store
    name: str
    _written: bytes = b""
    _pending: bytes = b""

    def start(self, picture: str, **told: Any) -> None:
        self._write(_line("start", picture, told))

    def made(self, picture: str, **told: Any) -> None:
        self._write(_line("made", picture, told))

    def finish(self, picture: str, **told: Any) -> None:
        """Written with what comes next, or by `close`: until then `made` and the result itself say the same."""
        self._pending += _line("finish", picture, told)

    def fail(self, picture: str, **told: Any) -> None:
        self._pending += _line("failure", picture, told)

    def close(self) -> None:
        if self._pending:
            self._write(b"")

    def _write(self, line: bytes) -> None:
        data, self._pending = self._pending + line, b""
        if self.store.appends:
            self.store.append(self.name, data)
        else:
            self._written += data
            self.store.write(self.name, self._written)


def open_attempt(store: Store, folder: str, batch: str) -> tuple[Journal, int, list[Event]]:
    """A journal for one more attempt at a batch, how many there were before, and what they wrote."""
    place = f"{FOLDER}/{folder}" if folder else FOLDER
    own = [entry.name for entry in store.entries(place) if entry.name.rpartition("/")[2].startswith(f"{batch}.")]
    journal = Journal(store, f"{place}/{batch}.{len(own):03}.jsonl")
    return journal, len(own), list(_events(store, own))


def read(store: Store, folder: str) -> Iterator[Event]:
    """All events about the results that lie directly in a folder, in the order of runs, batches and attempts."""
    place = f"{FOLDER}/{folder}" if folder else FOLDER
    yield from _events(store, (entry.name for entry in store.entries(place) if entry.name.endswith(".jsonl")))


def tally(store: Store) -> Tally:
    """Count starts, finishes and failures of all runs into a target."""
    counted = Tally()
    counters = {"start": counted.starts, "finish": counted.finishes, "failure": counted.failures}
    for folder in folders(store):
        for event in read(store, folder):
            if event["event"] in counters and not event.get("skipped"):
                counters[event["event"]][event["picture"]] += 1
    return counted


def latest(events: Iterable[Event]) -> dict[str, Event]:
    """The last word on each result: its newest `made` or `finish`; `before` holds what was said of other bytes there.

    So a result is known by its digest even where clocks disagree, or a result that was announced never got its name.
    """
    known: dict[str, Event] = {}
    for event in events:
        if event["event"] not in ("made", "finish"):
            continue
        earlier = known.get(event["output"])
        if earlier is not None and earlier["result"] == event["result"]:
            earlier = earlier["before"]
        known[event["output"]] = {**event, "before": earlier}
    return known


def folders(store: Store) -> Iterator[str]:
    """Every folder of the target that the manifest knows."""
    inside = Folder(store.root / FOLDER) if isinstance(store, Folder) else None
    if isinstance(store, Remote):
        inside = Remote(store.place(FOLDER), store.options)
    if inside is None:
        return
    with contextlib.suppress(FileNotFoundError):
        for folder, _ in inside.walk(lambda _: None):
            yield folder


def _events(store: Store, names: Iterable[str]) -> Iterator[Event]:
    for some in batched(sorted(names), AT_ONCE):
        found = store.read_all(some)
        for line in (line for name in some for line in found[name].splitlines()):
            # A line that a kill cut short is passed over.
            with contextlib.suppress(ValueError):
                event: object = json.loads(line)
                if isinstance(event, dict) and {"event", "picture"} <= event.keys():
                    yield cast("Event", event)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter."""
    stream = iter(items)
    while some := list(islice(stream, size)):
        yield some


def _line(event: str, picture: str, told: dict[str, Any]) -> bytes:
    return json.dumps({"event": event, "picture": picture, **told}, ensure_ascii=True).encode() + b"\n"
