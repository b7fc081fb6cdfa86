"""The public data sets we know: what they are for, where they are, how their files lie.

All facts stand in catalogue.toml, each set with the source we have them from. `verified` is false until somebody
has downloaded the set with this version and found it as described, and no checksum stands there that we did not
compute ourselves. What nobody told us is left out, never guessed.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from unveil.datasets import patterns
from unveil.errors import InvalidRequest

Role = Literal["train", "validation", "test"]
Kind = Literal["pairs", "clean", "degraded"]
Pairing = Literal["names", "order"]

CATALOGUE = Path(__file__).parent / "catalogue.toml"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which a part's files lie: patterns (see patterns.py) relative to the folder of the set.

    With `pairing` "names" the fields of the input's path say which target it has; with "order" both lists are
    sorted and the first belongs to the first. `list` names a text file beside them whose lines are `TARGET INPUT`:
    only those are pairs.
    """

    input: str | None
    target: str | None
    pairing: Pairing = "names"
    list: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a set that is used as one: its training pictures, one of its test sets.

    Attributes:
        count: pairs (or pictures, where there is only one of each), if known.
        size: width and height that all pictures have, if there is one and it is known.
        scale: the target is so many times as large as the input, rounded down.
        border: the target is larger by so many pixels on every side; they are cut off before comparing.
        layouts: the set's own first, then those of common copies.
    """

    name: str
    role: Role
    layouts: tuple[Layout, ...]
    count: int | None
    size: tuple[int, int] | None
    scale: int
    border: int
    note: str

    @property
    def kind(self) -> Kind:
        """What its items are: pairs, clean pictures to degrade oneself, or degraded ones without truth."""
        if self.layouts[0].input is None:
            return "clean"
        return "degraded" if self.layouts[0].target is None else "pairs"


@dataclass(frozen=True, slots=True)
class Download:
    """A file behind a plain address. `{000..499}` in the address stands for that many files.

    Attributes:
        keep: patterns with `*` of the paths inside the archive that are unpacked; everything if there are none.
        into: folder below the set's folder in which it is unpacked or, where it is a picture, put.
        parts: names of the parts that need it; all of them if there are none.
        gigabytes: about how large it is, if known.
    """

    url: str
    keep: tuple[str, ...]
    into: str
    parts: tuple[str, ...]
    gigabytes: float | None

    def urls(self) -> list[str]:
        """All addresses it stands for."""
        found = re.search(r"\{(\d+)\.\.(\d+)\}", self.url)
        if found is None:
            return [self.url]
        first, last = found.groups()
        numbers = range(int(first), int(last) + 1)
        return [f"{self.url[: found.start()]}{n:0{len(first)}d}{self.url[found.end() :]}" for n in numbers]


@dataclass(frozen=True, slots=True)
class DataSet:
    """One public data set. `steps` say how to fetch it by hand, where no plain address serves it."""

    name: str
    title: str
    use: str
    home: str
    licence: str
    source: str
    verified: bool
    gigabytes: float | None
    aliases: tuple[str, ...]
    note: str
    steps: tuple[str, ...]
    downloads: tuple[Download, ...]
    parts: tuple[Part, ...]

    def part(self, name: str | None = None) -> Part:
        """The part called `name`; without a name the only one, or the only one for tests.

        Raises InvalidRequest, naming the parts there are.
        """
        if name is None:
            tests = [part for part in self.parts if part.role == "test"]
            chosen = self.parts if len(self.parts) == 1 else tests
        else:
            chosen = [part for part in self.parts if part.name == name]
        if len(chosen) != 1:
            known = ", ".join(f"{self.name}/{part.name}" for part in self.parts)
            raise InvalidRequest(
                f"{self.name} has no part '{name}'; it has {known}"
                if name
                else f"{self.name} has several parts for tests; name one of {known}"
            )
        return chosen[0]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two parts that share scenes, as `set/part`: who trains on one must know it before testing on the other.

    `names` are the shared pictures of the first one, without endings, where they are known.
    """

    parts: tuple[str, ...]
    text: str
    source: str
    names: tuple[str, ...]


@cache
def sets() -> Mapping[str, DataSet]:
    """All sets under their names, in the order of the file."""
    found = [_data_set(table) for table in _file()["set"]]
    return {entry.name: entry for entry in found}


@cache
def overlaps() -> tuple[Overlap, ...]:
    """What we know of pictures that occur in several sets."""
    return tuple(_overlap(table) for table in _file()["overlap"])


def find(name: str) -> tuple[DataSet, str | None]:
    """`"gopro"` -> the set and `None`; `"gopro/test"` -> the set and the name of the part.

    Upper and lower case, spaces, dots and hyphens play no part, and other usual names are known ("BSD68").
    Raises InvalidRequest with the nearest name.
    """
    wanted, _, part = name.partition("/")
    known = by_plain_name()
    entry = known.get(plain(wanted))
    if entry is None:
        near = difflib.get_close_matches(plain(wanted), known, n=1)
        advice = f"did you mean '{known[near[0]].name}'? " if near else ""
        raise InvalidRequest(f"no data set is called '{wanted}'; {advice}'unveil prepare' lists them")
    return entry, part or None


@cache
def by_plain_name() -> Mapping[str, DataSet]:
    """All sets under every name they go by, written plainly (see `plain`)."""
    return {plain(name): entry for entry in sets().values() for name in (entry.name, entry.title, *entry.aliases)}


def plain(name: str) -> str:
    """Letters and digits of a name, lower case: how names are compared."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _file() -> Any:
    return tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))


def _overlap(table: dict[str, Any]) -> Overlap:
    rest = dict(table)
    found = Overlap(
        parts=_words(rest, "parts"),
        text=_take(rest, "text", str),
        source=_take(rest, "source", str),
        names=_words(rest, "names"),
    )
    _require_empty(rest, f"the overlap of {found.parts}")
    return found


def _data_set(table: dict[str, Any]) -> DataSet:
    rest = dict(table)
    entry = DataSet(
        name=_take(rest, "name", str),
        title=_take(rest, "title", str),
        use=_take(rest, "use", str),
        home=_take(rest, "home", str),
        licence=_take(rest, "licence", str),
        source=_take(rest, "source", str),
        verified=_take(rest, "verified", bool),
        gigabytes=_number(rest),
        aliases=_words(rest, "aliases"),
        note=_take(rest, "note", str, ""),
        steps=_words(rest, "steps"),
        downloads=tuple(_download(inner) for inner in rest.pop("download", [])),
        parts=tuple(_part(one) for inner in rest.pop("part") for one in _each(inner)),
    )
    _require_empty(rest, entry.name)
    unknown = {part for one in entry.downloads for part in one.parts} - {part.name for part in entry.parts}
    if unknown:
        raise ValueError(f"catalogue: {entry.name} downloads for the parts {sorted(unknown)}, which it does not have")
    if not entry.downloads and not entry.steps:
        raise ValueError(f"catalogue: {entry.name} says neither where to download nor how to fetch it by hand")
    return entry


def _download(table: dict[str, Any]) -> Download:
    rest = dict(table)
    found = Download(
        url=_take(rest, "url", str),
        keep=_words(rest, "keep"),
        into=_take(rest, "into", str, ""),
        parts=_words(rest, "parts"),
        gigabytes=_number(rest),
    )
    _require_empty(rest, found.url)
    return found


def _each(table: dict[str, Any]) -> list[dict[str, Any]]:
    """A table with `each = [...]` stands for as many, with `{each}` replaced in its name and patterns."""
    words = table.get("each")
    if words is None:
        return [table]

    def named(word: str) -> dict[str, Any]:
        layouts = [{key: value.replace("{each}", word) for key, value in one.items()} for one in table["layouts"]]
        rest = {key: value for key, value in table.items() if key != "each"}
        return {**rest, "name": table["name"].replace("{each}", word), "layouts": layouts}

    return [named(word) for word in words]


def _part(table: dict[str, Any]) -> Part:
    rest = dict(table)
    size = rest.pop("size", None)
    found = Part(
        name=_take(rest, "name", str),
        role=_take(rest, "role", str),  # pyright: ignore[reportArgumentType]  checked below
        layouts=tuple(_layout(inner) for inner in rest.pop("layouts")),
        count=rest.pop("count", None),
        size=None if size is None else (int(size[0]), int(size[1])),
        scale=_take(rest, "scale", int, 1),
        border=_take(rest, "border", int, 0),
        note=_take(rest, "note", str, ""),
    )
    _require_empty(rest, found.name)
    if found.role not in get_args(Role):
        raise ValueError(f"catalogue: part {found.name} has the role {found.role!r}")
    return found


def _layout(table: dict[str, Any]) -> Layout:
    rest = dict(table)
    found = Layout(
        input=rest.pop("input", None),
        target=rest.pop("target", None),
        pairing=_take(rest, "pairing", str, "names"),  # pyright: ignore[reportArgumentType]  checked below
        list=rest.pop("list", None),
    )
    _require_empty(rest, str(table))
    if found.input is None and found.target is None:
        raise ValueError(f"catalogue: {table} names neither input nor target")
    if found.pairing not in get_args(Pairing):
        raise ValueError(f"catalogue: {table} pairs by {found.pairing!r}")
    if found.input and found.target and found.pairing == "names":
        unknown = patterns.fields(found.target) - patterns.fields(found.input)
        if unknown or "**" in found.target:
            raise ValueError(f"catalogue: the target of {table} does not follow from its input")
    return found


def _take(table: dict[str, Any], key: str, kind: type[T], default: T | None = None) -> T:
    value = table.pop(key, default)
    if not isinstance(value, kind):
        raise ValueError(f"catalogue: {key} is {value!r} where a {kind.__name__} is expected")
    return value


def _words(table: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(word) for word in table.pop(key, ()))


def _number(table: dict[str, Any]) -> float | None:
    value = table.pop("gigabytes", None)
    return None if value is None else float(value)


def _require_empty(table: dict[str, Any], owner: str) -> None:
    if table:
        raise ValueError(f"catalogue: {owner} has the unknown keys {sorted(table)}")
