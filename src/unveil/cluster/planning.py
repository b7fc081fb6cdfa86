"""Which pictures are to be restored, where their results go, and in which batches: folder by folder, never all at once.

Names are those of `unveil restore FOLDER -o OUT`: a picture keeps its name and its place in the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from unveil.cluster import manifest
from unveil.commands import formats
from unveil.errors import InvalidRequest
from unveil.stores import PART, Entry, Folder, Store, Unlistable, is_url, open_store, spelled


@dataclass(frozen=True, slots=True)
class Task:
    """One picture: its name in its source, and the name of its result in the target.

    `name` is what the manifest calls it: its own name, in the folder of its result.
    `open_suffix`: the input is of a kind that cannot be written, and whether the result is a .jpg or a .png follows
    from its pixels. `known` holds what the manifest knows of every name that the result may have.
    """

    name: str
    source: str
    stamp: str
    size: int
    target: str
    open_suffix: bool
    known: dict[str, manifest.Event]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Every name that the result may have."""
        return tuple(self.target + suffix for suffix in (".jpg", ".png")) if self.open_suffix else (self.target,)

    def settle(self, *, depth: int, has_alpha: bool) -> str:
        """The name of the result for a picture of `depth` bits, with alpha or without."""
        if not self.open_suffix:
            return self.target
        jpeg, png = self.candidates
        return jpeg if depth == 8 and not has_alpha else png


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one folder for one worker. `folder` is that of the results, `source` counts the inputs."""

    name: str
    source: int
    folder: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A picture that an earlier run has done, by name, time and size of its files."""

    source: int
    task: Task
    event: manifest.Event


@dataclass(frozen=True, slots=True)
class Source:
    """One input: a store, the file in it that was named (None: all), and its folder below the target."""

    store: Store
    file: str | None
    below: str

    def pictures(self, unlistable: Unlistable, without: str) -> Iterator[tuple[str, list[Entry]]]:
        """Every folder with its pictures, in order of name."""
        if self.file is not None:
            yield "", [self.store.entry(self.file)]
            return
        endings = formats.readable_endings()
        for folder, entries in self.store.walk(unlistable, without=without):
            pictures = [entry for entry in entries if PurePosixPath(entry.name).suffix.lower() in endings]
            if pictures:
                yield folder, pictures


def open_sources(places: Sequence[str], options: dict[str, Any]) -> list[Source]:
    """The inputs at some paths and URLs. Several keep their own names below the target.

    Raises InvalidRequest where two would have the same one, or a local path does not exist.
    """
    found: list[Source] = []
    for place in map(spelled, places):
        given = options if is_url(place) else {}
        if is_url(place):
            parent, _, name = place.rstrip("/").rpartition("/")
        else:
            parent, name = str(Path(place).parent), Path(place).resolve().name
        if PurePosixPath(name).suffix.lower() in formats.readable_endings() and not Path(place).is_dir():
            found.append(Source(open_store(parent, **given), PurePosixPath(place).name, ""))
            continue
        store = open_store(place, **given)
        own = name if len(places) > 1 else ""
        if isinstance(store, Folder) and not store.root.is_dir():
            raise InvalidRequest(f"{place}: there is no such folder; name a folder, a picture or a URL")
        found.append(Source(store, None, own))
    named = [source.below for source in found if source.below]
    if len(set(named)) < len(named):
        raise InvalidRequest("two inputs have the same name, and their results would meet; give them one at a time")
    return found


def refuse_overlap(sources: Sequence[Source], target: Store) -> None:
    """Raises InvalidRequest where results would be put among the inputs. A target below an input is left out of it."""
    whole = _whole(target)
    for source in sources:
        if source.file is None and _whole(source.store).startswith(whole):
            raise InvalidRequest(
                f"{source.store.place()} lies in the output {target.place()}; "
                "an input is never overwritten, so name another output with -o"
            )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do."""

    sources: Sequence[Source]
    target: Store
    settings: str
    suffix: str | None
    overwrite: bool
    run: str
    earlier: dict[str, manifest.Event]
    """What a plain run in this folder has written down, by the names of results."""

    def count(self, unlistable: Callable[[OSError], object]) -> int:
        """How many pictures there are. Raises InvalidRequest if two would have the same result."""
        return sum(
            len(self._tasks(source, folder, pictures, {}))
            for source in self.sources
            for folder, pictures in source.pictures(unlistable, self.target.place())
        )

    def walk(self, size: int) -> Iterator[Batch | Done]:
        """The pictures that are done, and batches of at most `size` of the others; one folder is in memory at a time.

        What killed workers left under temporary names goes away.
        """
        for number, source in enumerate(self.sources):
            for folder, pictures in source.pictures(lambda _: None, self.target.place()):
                results = _under(source.below, folder)
                there: dict[str, str] = {}
                for entry in self.target.entries(results):
                    if PART.fullmatch(PurePosixPath(entry.name).name):
                        self.target.remove(entry.name)
                    there[entry.name] = entry.stamp
                known = dict(self.earlier)
                for name, event in manifest.latest(manifest.read(self.target, results)).items():
                    # A plain run may have replaced what a cluster had made, or the other way round.
                    known[name] = {**event, "before": event["before"] or self.earlier.get(name)}
                left: list[Task] = []
                for task in self._tasks(source, folder, pictures, known):
                    event = None if self.overwrite else self._finished(task, there)
                    if event is None:
                        left.append(task)
                    else:
                        yield Done(number, task, event)
                for part, tasks in enumerate(manifest.batched(left, size)):
                    yield Batch(f"{self.run}-{number}-{part:06}", number, results, tuple(tasks))

    def _finished(self, task: Task, there: dict[str, str]) -> manifest.Event | None:
        """The event that says that a picture is done, as far as can be known without opening a file."""
        for name, event in task.known.items():
            stamps = [task.source, task.stamp, there.get(name)]
            if event.get("stamps") == stamps and event.get("settings") == self.settings:
                return event
        return None

    def _tasks(
        self, source: Source, folder: str, pictures: list[Entry], known: dict[str, manifest.Event]
    ) -> list[Task]:
        writable = formats.writable_endings()
        writers: dict[str, str] = {}
        tasks: list[Task] = []
        for entry in pictures:
            name = PurePosixPath(entry.name)
            ending = self.suffix or (name.suffix if name.suffix.lower() in writable else None)
            results = _under(source.below, folder)
            target = _under(results, name.stem + (ending or ""))
            task = Task(
                name=_under(results, name.name),
                source=entry.name,
                stamp=entry.stamp,
                size=entry.size,
                target=target,
                open_suffix=ending is None,
                known={},
            )
            for candidate in task.candidates:
                other = writers.setdefault(candidate, entry.name)
                if other != entry.name:
                    raise InvalidRequest(
                        f"{source.store.place(other)} and {source.store.place(entry.name)} would both be written to "
                        f"{self.target.place(candidate)}; rename one of them, or give --format"
                    )
                if candidate in known:
                    task.known[candidate] = known[candidate]
            tasks.append(task)
        return tasks


def _under(folder: str, name: str) -> str:
    return "/".join(part for part in (folder, name) if part)


def _whole(store: Store) -> str:
    place = store.root.resolve().as_posix() if isinstance(store, Folder) else store.place()
    return place.rstrip("/") + "/"
