"""Where the pairs of a set lie on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from unveil.datasets import catalogue, pairing, patterns
from unveil.datasets.catalogue import DataSet, Layout, Part
from unveil.datasets.pairing import Match, Pair
from unveil.errors import DataSetMissing

ITEMS = {"pairs": "pairs", "clean": "clean pictures", "degraded": "degraded pictures"}
"""What the items of a part are called, by its kind."""


@dataclass(frozen=True, slots=True)
class Located:
    """A part of a set as it lies on this machine.

    Attributes:
        name: `set/part`.
        folder: the set's folder.
        pairs: sorted by name; see `Pair` for what may be missing in one.
        expected: how many there should be, if known.
        scale: a target is so many times as large as its input, rounded down.
        border: a target is larger by so many pixels on every side, to be cut off before comparing.
        faults: what is wrong with names and counts, one line each. Files are not opened; 'unveil data check' does.
    """

    name: str
    folder: Path
    pairs: tuple[Pair, ...]
    expected: int | None
    scale: int
    border: int
    faults: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pairs)


def default_root() -> Path:
    """Where data sets lie if nobody says it: `$UNVEIL_DATA`, or `data` in the current folder."""
    return Path(os.environ.get("UNVEIL_DATA") or "data").expanduser()


def locate(root: str | os.PathLike[str] | None, name: str, part: str | None = None) -> Located:
    """The pairs of a set below `root` (`default_root()` for `None`): `locate("data", "gopro/test")`.

    The set's folder is `root/NAME`, in any spelling and under any usual name of the set; `part` may stand in the name,
    and may be left out where a set has one part, or one for tests.

    Raises InvalidRequest for a name that is not in the catalogue, and DataSetMissing, saying what was expected where.
    """
    entry, named = catalogue.find(name)
    wanted = entry.part(part or named)
    place = default_root() if root is None else Path(root)
    tried: list[str] = []
    for folder in folders_of(entry, place):
        found = match_part(entry, wanted, folder)
        if found is not None:
            return _located(entry, wanted, folder, found)
        tried.append(str(folder))
    label = f"{entry.name}/{wanted.name}"
    got = f"{', '.join(tried)} has no such files" if tried else f"there is no folder {place / entry.name}"
    raise DataSetMissing(
        f"{label} is not there: {got}; expected {expectation(wanted)} in {place / entry.name}. "
        f"'unveil prepare {entry.name} --root {place}' fetches it or says how to"
    )


def pairs_in(folder: str | os.PathLike[str]) -> tuple[Pair, ...]:
    """The items of any folder: pairs of two sibling folders with usual names (`input` and `target`, `low` and `high`,
    ...), or else every picture below it as a clean one.

    Raises DataSetMissing where there is no picture, or where two such folders have no names in common.
    """
    place = Path(folder)
    pictures = patterns.pictures_below(place) if place.is_dir() else []
    if not pictures:
        raise DataSetMissing(f"{place} has no pictures; expected a folder of them, or one with 'input' and 'target'")
    found = pairing.generic_match(pictures, place)
    if found is not None and not found.pairs:
        first, wanted = found.lonely_inputs[0]
        raise DataSetMissing(f"{place} has inputs without targets: expected {wanted} beside {first}, with any ending")
    if found is not None:
        return _pairs(found, place)
    return tuple(Pair(patterns.stem(path), None, place / path) for path in pictures)


def folders_of(entry: DataSet, root: Path) -> list[Path]:
    """Folders below `root` that are called like the set, its own name first."""
    if not root.is_dir():
        return []
    names = {catalogue.plain(name) for name in (entry.name, entry.title, *entry.aliases)}
    found = [path for path in root.iterdir() if catalogue.plain(path.name) in names and path.is_dir()]
    return sorted(found, key=lambda path: (path.name != entry.name, path.name))


def match_part(entry: DataSet, part: Part, folder: Path, pictures: list[str] | None = None) -> Match | None:
    """What of a part lies in the set's folder, or `None`; `pictures` spares looking through the folder again."""
    listed = patterns.pictures_below(folder) if pictures is None else pictures
    return pairing.best_match(layouts_of(entry, part), listed, folder)


def layouts_of(entry: DataSet, part: Part) -> tuple[Layout, ...]:
    """All layouts in which a part of a set is known, its own first; see `pairing.layouts_of`."""
    tests = [other for other in entry.parts if other.role == "test"]
    return pairing.layouts_of(part, alone=len(entry.parts) == 1 or tests == [part])


def expectation(part: Part) -> str:
    """How a part's files should lie, for people."""
    first = part.layouts[0]
    shown = [f"{pattern}.png" for pattern in (first.input, first.target) if pattern]
    count = f"{part.count} times " if part.count else ""
    return count + " with ".join(shown) + " (or another format)"


def faults_of(part: Part, found: Match) -> tuple[str, ...]:
    """What is wrong with the names and counts of a part, one line each."""
    faults: list[str] = []
    if part.count is not None and len(found.pairs) != part.count:
        faults.append(count_fault(part, found))
    for path, wanted in found.lonely_inputs[:_SHOWN]:
        faults.append(f"{path} has no target; expected {wanted} with any ending of a picture")
    faults += _rest(len(found.lonely_inputs), "inputs have no target")
    faults += [f"{path} is the target of nothing" for path in found.lonely_targets[:_SHOWN]]
    faults += _rest(len(found.lonely_targets), "targets belong to nothing")
    faults += [f"{stem} is there twice, with different endings" for stem in found.doubles[:_SHOWN]]
    return tuple(faults + _rest(len(found.doubles), "files are there twice"))


def count_fault(part: Part, found: Match) -> str:
    """How many are there, of how many."""
    return f"{len(found.pairs)} of {part.count} are there"


_SHOWN = 5


def _rest(count: int, text: str) -> list[str]:
    return [f"{count - _SHOWN} further {text}"] if count > _SHOWN else []


def _located(entry: DataSet, part: Part, folder: Path, found: Match) -> Located:
    return Located(
        name=f"{entry.name}/{part.name}",
        folder=folder,
        pairs=_pairs(found, folder),
        expected=part.count,
        scale=part.scale,
        border=part.border,
        faults=faults_of(part, found),
    )


def _pairs(found: Match, folder: Path) -> tuple[Pair, ...]:
    def place(path: str | None) -> Path | None:
        return None if path is None else folder / path

    return tuple(Pair(name, place(one), place(other)) for name, one, other in sorted(found.pairs))
