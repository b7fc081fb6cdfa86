"""Where photographs lie: in folders, in object stores, in tar shards. Each is reached by its number, in any order.

WebDataset's own library is not used: it streams shards through a shuffling buffer, so what a step sees depends on all
steps before it and on the number of workers. Here an index gives every photograph a number and a range of bytes.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Protocol

from unveil.datasets import shards
from unveil.datasets.shards import SUFFIXES, Member, Shard
from unveil.errors import DataError, RecipeError, StoreError, UnreadablePicture
from unveil.stores import Folder, Store, open_store, spelled

INDEXES = 64
"""Indexes of shards that are kept in memory."""


class Place(Protocol):
    """Photographs in a fixed order."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """A photograph's name, relative to the folder or to what was packed."""
        ...

    def read(self, index: int) -> Path | bytes:
        """A photograph's file, or its bytes. Raises UnveilError or OSError where it cannot be had."""
        ...

    def lines(self, chosen: Iterable[int]) -> Iterator[str]:
        """What tells these photographs from others, for a digest."""
        ...

    def lost(self) -> dict[str, str]:
        """What could not even be counted: name -> reason."""
        ...


def open_place(place: Path | str) -> Place:
    """The photographs of a folder, of tar files that a pattern names (`shards/*.tar`, `{000..015}`), or at a URL.

    A place with the index of `unveil data shards` is taken for shards.

    Raises:
        RecipeError: nothing is there.
        MissingExtra, StoreError: a URL that cannot be opened.
    """
    text = spelled(place)
    parent, _, last = text.rstrip("/").rpartition("/")
    if last.endswith(".tar"):
        return _tars(open_store(parent or "."), last, text)
    store = open_store(text)
    if isinstance(store, Folder) and not store.root.is_dir():
        raise RecipeError(f"{text} is not a folder; training data are folders of clean photographs, or shards of them")
    try:
        return Shards(store, shards.read_index(store))
    except FileNotFoundError:
        return Files(store)
    except DataError as error:
        raise RecipeError(str(error)) from error


class Files:
    """Files below a folder, or below a URL."""

    def __init__(self, store: Store) -> None:
        self._store = store
        try:
            entries = [entry for _, files in store.walk(_refuse) for entry in files]
        except FileNotFoundError as error:
            raise RecipeError(f"{store.place()}: {error.strerror}") from error
        found = [entry for entry in entries if PurePosixPath(entry.name).suffix.lower() in SUFFIXES]
        # The order of paths, as it was before there were stores: runs that were stopped go on with the same crops.
        self._entries = sorted(found, key=lambda entry: PurePosixPath(entry.name))

    def __len__(self) -> int:
        return len(self._entries)

    def name(self, index: int) -> str:
        return self._entries[index].name

    def read(self, index: int) -> Path | bytes:
        name = self._entries[index].name
        return self._store.root / name if isinstance(self._store, Folder) else self._store.read(name)

    def lines(self, chosen: Iterable[int]) -> Iterator[str]:
        for index in chosen:
            entry = self._entries[index]
            yield f"{PurePosixPath(entry.name).name} {entry.size}"

    def lost(self) -> dict[str, str]:
        return {}


class Shards:
    """Photographs in tar files; one is read as a range of bytes.

    Args:
        store: where the tar files lie.
        parts: the tar files.
        scanned: the members of those without an index.
        lost: tar files that were left out, and why.
    """

    def __init__(
        self,
        store: Store,
        parts: Sequence[Shard],
        *,
        scanned: dict[str, tuple[Member, ...]] | None = None,
        lost: dict[str, str] | None = None,
    ) -> None:
        self._store, self._parts = store, tuple(parts)
        self._ends = list(accumulate(part.photographs for part in self._parts))
        self._scanned = scanned or {}
        self._lost = lost or {}
        self._members: OrderedDict[str, tuple[Member, ...]] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def name(self, index: int) -> str:
        part, place = self._find(index)
        try:
            return self._index(part)[place].of
        except (DataError, StoreError, FileNotFoundError):
            return f"{part.name}, photograph {place}"

    def read(self, index: int) -> Path | bytes:
        part, place = self._find(index)
        member = self._index(part)[place]
        data = self._store.read(part.name, member.offset, member.offset + member.size)
        if len(data) < member.size:
            raise UnreadablePicture(None, f"cut off: {part.name} ends before it does")
        if member.sha256 and hashlib.sha256(data).hexdigest() != member.sha256:
            raise UnreadablePicture(None, f"damaged: its bytes in {part.name} are not those that were packed")
        return data

    def lines(self, chosen: Iterable[int]) -> Iterator[str]:
        yield from (f"{part.name} {part.bytes} {part.sha256}" for part in self._parts)
        # Which of them are used, without naming each.
        total = hashlib.sha256()
        for index in chosen:
            total.update(index.to_bytes(8, "little"))
        yield total.hexdigest()

    def lost(self) -> dict[str, str]:
        return dict(self._lost)

    def _find(self, index: int) -> tuple[Shard, int]:
        shard = bisect_right(self._ends, index)
        return self._parts[shard], index - (self._ends[shard - 1] if shard else 0)

    def _index(self, part: Shard) -> tuple[Member, ...]:
        if part.name in self._scanned:
            return self._scanned[part.name]
        if part.name not in self._members:
            self._members[part.name] = shards.read_members(self._store, part)
            if len(self._members) > INDEXES:
                self._members.popitem(last=False)
        self._members.move_to_end(part.name)
        return self._members[part.name]


def _tars(store: Store, pattern: str, said: str) -> Shards:
    """The tar files that a pattern names. Those of `unveil data shards` have an index; others are read once."""
    wanted = _spread(pattern)
    names = [entry.name for entry in store.entries("") if any(fnmatch.fnmatchcase(entry.name, one) for one in wanted)]
    if not names:
        raise RecipeError(f"{said}: no such tar files; a pattern reads 'shards/*.tar' or 'shards/a-{{000..015}}.tar'")
    try:
        known = {part.name: part for part in shards.read_index(store)}
    except FileNotFoundError:
        known = {}
    parts: list[Shard] = []
    scanned: dict[str, tuple[Member, ...]] = {}
    lost: dict[str, str] = {}
    for name in names:
        if name in known:
            parts.append(known[name])
            continue
        try:
            scanned[name] = shards.scan(store, name)
        except (DataError, StoreError) as error:
            lost[name] = str(error)
            continue
        size = store.entry(name).size
        parts.append(Shard(name, len(scanned[name]), size, ""))
    return Shards(store, parts, scanned=scanned, lost=lost)


def _spread(pattern: str) -> list[str]:
    """`a-{000..002}.tar` -> three names; other patterns as they are."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if found is None:
        return [pattern]
    first, last = int(found[1]), int(found[2])
    numbers = (f"{number:0{len(found[1])}}" for number in range(first, last + 1))
    return [name for number in numbers for name in _spread(pattern[: found.start()] + number + pattern[found.end() :])]


def _refuse(error: OSError) -> None:
    raise RecipeError(f"{error.filename}: cannot be listed ({error.strerror or error})") from error
