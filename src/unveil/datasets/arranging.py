"""Putting the files of an unpacked archive, or of a folder fetched by hand, where a set's layout wants them.

Archives wrap the same files into other folders every time. So the layouts are looked for at any depth, and what lies
above the place where they fit is dropped.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from unveil.datasets import catalogue, locating, patterns
from unveil.datasets.catalogue import DataSet, Layout, Part
from unveil.datasets.watching import SILENT, Watch
from unveil.errors import DataError


@dataclass(frozen=True, slots=True)
class Arranged:
    """How many files were put into the set's folder, were there already, and were left out as no part of the set."""

    placed: int
    present: int
    left: int


def arrange(
    source: Path, entry: DataSet, home: Path, *, called: str = "", move: bool = False, watch: Watch = SILENT
) -> Arranged:
    """Put the files of a set that lie somewhere below `source` into `home`, keeping names and folders from the place on
    where a layout fits.

    `called` is the name of the folder, or of the archive without its ending: `low` and `high` are recognised in a
    folder called `eval15`. Files are moved if `move`, otherwise hard links to the originals where the file system
    allows it (no space is taken), or else copies.

    Raises DataError where nothing below `source` looks like the set, or another file lies in the way.
    """
    top = f"{called or source.resolve().name}/"
    files = sorted(patterns.files_below(source))
    wanted = _destinations(entry, [top + path for path in files])
    if not wanted:
        raise DataError(_unlike(entry, source, files))
    placed = present = 0
    for path in files:
        there = wanted.get(top + path)
        if there is None:
            continue
        if _put(source / path, home / there, move=move):
            placed += 1
        else:
            present += 1
        watch.tick(f"arranging {entry.name}", placed + present, len(wanted))
    return Arranged(placed, present, len(files) - len(wanted))


def _destinations(entry: DataSet, paths: list[str]) -> dict[str, str]:
    """Where each file goes, relative to the set's folder."""
    stems = [patterns.stem(path) for path in paths if patterns.is_picture(path)]
    fits = [found for part in entry.parts if (found := _best_fit(entry, part, stems)) is not None]
    # Where all parts agree, everything beside the pictures (lists, masks, licences) comes along.
    if len({base for _, base in fits}) == 1:
        base = fits[0][1]
        return {path: path[len(base) :] for path in paths if path.startswith(base)}
    wanted: dict[str, str] = {}
    for layout, base in fits:
        for path in paths:
            if path.startswith(base) and _belongs(layout, path[len(base) :]):
                wanted[path] = path[len(base) :]
    return wanted


def _best_fit(entry: DataSet, part: Part, stems: list[str]) -> tuple[Layout, str] | None:
    """The layout that fits best, and the folder in which it does; the first of equals.

    A folder that is called like the set goes before others, as some archives hold several sets of one layout; then
    comes one with as many files as the set has, then the one with most.
    """
    names = {catalogue.plain(name) for name in (entry.name, entry.title, *entry.aliases)}
    best: tuple[tuple[bool, bool, int], Layout, str] | None = None
    for layout in locating.layouts_of(entry, part):
        expressions = [_anywhere(pattern) for pattern in (layout.input, layout.target) if pattern]
        bases: Counter[str] = Counter()
        for stem in stems:
            found = next((match for one in expressions if (match := one.fullmatch(stem))), None)
            if found is not None:
                bases[found["base_"]] += 1
        for base, count in bases.items():
            named = any(catalogue.plain(folder) in names for folder in base.split("/"))
            rank = (named, part.count is not None and count == part.count * len(expressions), count)
            if best is None or rank > best[0]:
                best = (rank, layout, base)
    return None if best is None else best[1:]


@cache
def _anywhere(pattern: str) -> re.Pattern[str]:
    return re.compile(f"(?P<base_>(?:.+?/)?){patterns.compiled(pattern).pattern}")


def _belongs(layout: Layout, path: str) -> bool:
    if path == layout.list:
        return True
    stem = patterns.stem(path)
    expressions = [patterns.compiled(pattern) for pattern in (layout.input, layout.target) if pattern]
    return patterns.is_picture(path) and any(one.fullmatch(stem) for one in expressions)


def _put(source: Path, target: Path, *, move: bool) -> bool:
    """Whether anything had to be done."""
    if target.exists():
        if target.stat().st_size != source.stat().st_size:
            raise DataError(f"{target} is there already with another size than {source}; remove the older one first")
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if move:
            shutil.move(source, target)
            return True
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copyfile(source, target)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error})") from error
    return True


def _unlike(entry: DataSet, source: Path, files: list[str]) -> str:
    expected = "; ".join(f"{part.name}: {locating.expectation(part)}" for part in entry.parts[:4])
    pictures = [path for path in files if patterns.is_picture(path)]
    examples = ", ".join(pictures[:3]) or "no picture at all"
    return f"{source} does not look like {entry.title}: found {examples}; expected, in any folder, {expected}"
