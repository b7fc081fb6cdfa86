"""Photographs packed into tar files of bounded size, in WebDataset's layout, with an index that says where each lies.

    photographs-000000.tar      members 000000-000000.jpg, 000000-000001.png, ...: one key a photograph
    photographs-000000.jsonl    a line a member: its name, the file it was, offset and size of its bytes, their SHA-256
    shards.json                 written last: the shards with their counts, sizes and SHA-256

What goes into which shard follows from names and sizes of the photographs, so a run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any, cast

from unveil.datasets.watching import SILENT, Watch
from unveil.errors import DataError, InvalidRequest
from unveil.stores import Entry, Store

INDEX = "shards.json"
FORMAT = 1
SIZE = 256 << 20
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif")
OWN = re.compile(r"photographs-(\d{6,})\.(tar|jsonl)")
BLOCK = 512
END = 20 * BLOCK


@dataclass(frozen=True, slots=True)
class Member:
    """One photograph in a shard. `of` is the file it was; `sha256` is empty for shards that others have written."""

    name: str
    of: str
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shard:
    """One tar file. `photographs` counts its members, `bytes` is its own size."""

    name: str
    photographs: int
    bytes: int
    sha256: str

    @property
    def index(self) -> str:
        """The name of the file with its members."""
        return str(PurePosixPath(self.name).with_suffix(".jsonl"))


@dataclass(frozen=True, slots=True)
class Written:
    """What `write` has done: all shards, how many of them were there already, and folders that cannot be listed."""

    shards: tuple[Shard, ...]
    kept: int
    unlistable: tuple[str, ...]

    @property
    def photographs(self) -> int:
        return sum(shard.photographs for shard in self.shards)

    @property
    def bytes(self) -> int:
        return sum(shard.bytes for shard in self.shards)


def write(source: Store, target: Store, *, size: int = SIZE, watch: Watch = SILENT) -> Written:
    """Pack the photographs of a store into shards of at most `size` bytes (a larger photograph has one to itself).

    Files are packed as they are, none is decoded. A shard gets its name when it is complete; each one, also one that
    was there, is read again at the end and compared with its index. One shard is in memory at a time.

    Raises:
        InvalidRequest: no photographs, or a size too small for anything.
        StoreError: the source or the target does not answer.
        DataError: a shard does not hold what was written to it.
    """
    if size < 4 * BLOCK:
        raise InvalidRequest(f"shards of {size} bytes hold nothing; give at least {4 * BLOCK}")
    there = {entry.name: entry for entry in target.entries("")}
    # An index that is there while shards change would speak of others.
    target.remove(INDEX)
    unlistable: list[str] = []
    shards: list[Shard] = []
    kept = packed = 0
    for number, group in enumerate(_groups(source, size, unlistable, target.place())):
        name = f"photographs-{number:06}.tar"
        shard = _kept(target, name, group, there)
        kept += shard is not None
        if shard is None:
            shard = _pack(source, target, name, number, group)
        _verify(target, shard)
        shards.append(shard)
        packed += shard.photographs
        watch.tick(name, packed, None)
    if not shards:
        raise InvalidRequest(f"no photographs in {source.place()}; looked for {', '.join(SUFFIXES)}")
    for name in there:
        found = OWN.fullmatch(name)
        if found and int(found[1]) >= len(shards):
            target.remove(name)
    index = {"format": FORMAT, "shards": [asdict(shard) for shard in shards]}
    target.write(INDEX, json.dumps(index, indent=1).encode())
    return Written(tuple(shards), kept, tuple(unlistable))


def read_index(store: Store) -> tuple[Shard, ...]:
    """The shards of a place that `write` has filled.

    Raises FileNotFoundError where there is no index, DataError where it cannot be understood.
    """
    data = store.read(INDEX)
    try:
        found: Any = json.loads(data)
        if found["format"] != FORMAT:
            raise DataError(f"{store.place(INDEX)}: has format {found['format']}, and {FORMAT} is known; update unveil")
        return tuple(Shard(**shard) for shard in found["shards"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{store.place(INDEX)}: not an index of shards ({error}); pack them again") from error


def read_members(store: Store, shard: Shard) -> tuple[Member, ...]:
    """Where each photograph of a shard lies. Raises DataError where its index does not fit it."""
    members = _members(store.read(shard.index), store.place(shard.index))
    if len(members) != shard.photographs:
        raise DataError(
            f"{store.place(shard.index)}: lists {len(members)} photographs, and {INDEX} says {shard.photographs}"
        )
    return members


def scan(store: Store, name: str) -> tuple[Member, ...]:
    """The photographs of a tar file without an index; of a damaged one, those before the damage.

    Raises DataError where it is no tar file.
    """
    found: list[Member] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(store.read(name)), mode="r:") as tar:
            for info in tar:
                if not info.isfile() or PurePosixPath(info.name).suffix.lower() not in SUFFIXES:
                    continue
                found.append(Member(info.name, info.name, info.offset_data, info.size, ""))
    except tarfile.TarError as error:
        if not found:
            raise DataError(f"{store.place(name)}: not a tar file, or a damaged one ({error})") from error
    return tuple(found)


def _groups(source: Store, size: int, unlistable: list[str], without: str) -> Iterator[list[Entry]]:
    """Photographs that go into one shard, in order of name."""
    group: list[Entry] = []
    filled = END

    def fail(error: OSError) -> None:
        unlistable.append(f"{error.filename}: {error.strerror or error}")

    for _, entries in source.walk(fail, without=without):
        for entry in entries:
            if PurePosixPath(entry.name).suffix.lower() not in SUFFIXES:
                continue
            needed = BLOCK + _padded(entry.size)
            if group and filled + needed > size:
                yield group
                group, filled = [], END
            group.append(entry)
            filled += needed
    if group:
        yield group


def _kept(target: Store, name: str, group: list[Entry], there: Mapping[str, Entry]) -> Shard | None:
    """The shard of an earlier run, if it holds these photographs."""
    index = str(PurePosixPath(name).with_suffix(".jsonl"))
    if name not in there or index not in there:
        return None
    try:
        members = _members(target.read(index), index)
    except DataError:
        return None
    if [(member.of, member.size) for member in members] != [(entry.name, entry.size) for entry in group]:
        return None
    data = target.read(name)
    return Shard(name, len(members), len(data), hashlib.sha256(data).hexdigest())


def _pack(source: Store, target: Store, name: str, number: int, group: list[Entry]) -> Shard:
    stream = io.BytesIO()
    members: list[Member] = []
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for place, entry in enumerate(group):
            data = source.read(entry.name)
            info = tarfile.TarInfo(f"{number:06}-{place:06}{PurePosixPath(entry.name).suffix.lower()}")
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
            offset = tar.offset - _padded(len(data))
            members.append(Member(info.name, entry.name, offset, len(data), hashlib.sha256(data).hexdigest()))
    packed = stream.getvalue()
    shard = Shard(name, len(members), len(packed), hashlib.sha256(packed).hexdigest())
    target.write(name, packed)
    target.write(shard.index, "".join(json.dumps(asdict(member)) + "\n" for member in members).encode())
    return shard


def _verify(target: Store, shard: Shard) -> None:
    """Read a shard as it lies in the target, and compare each photograph with its index."""
    data = target.read(shard.name)
    wrong = [
        member.of
        for member in read_members(target, shard)
        if hashlib.sha256(data[member.offset : member.offset + member.size]).hexdigest() != member.sha256
    ]
    if wrong or hashlib.sha256(data).hexdigest() != shard.sha256:
        target.remove(shard.index)
        raise DataError(
            f"{target.place(shard.name)}: does not hold what was written to it"
            f"{f', first {wrong[0]}' if wrong else ''}; look at the disk, then give the same command again"
        )


def _members(data: bytes, place: str) -> tuple[Member, ...]:
    known = {entry.name for entry in fields(Member)}
    try:
        lines = [cast("dict[str, Any]", json.loads(line)) for line in data.splitlines()]
        return tuple(Member(**{name: line[name] for name in known}) for line in lines)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{place}: not an index of a shard ({error}); pack the photographs again") from error


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
