"""From the files of a folder to pairs of input and target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unveil.datasets import patterns
from unveil.datasets.catalogue import Layout, Part

_GENERIC = (
    ("input", "target"),
    ("input", "gt"),
    ("lq", "gt"),
    ("lq", "hq"),
    ("hazy", "clear"),
    ("hazy", "gt"),
    ("rain", "norain"),
    ("low", "high"),
    ("low", "normal"),
    ("blur", "sharp"),
    ("blur", "gt"),
    ("synthetic", "gt"),
    ("snow", "gt"),
    ("degraded", "clean"),
)
"""Names of two sibling folders whose pictures are pairs."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One item of a set. `name` tells it from the others of its part and is a path without ending.

    `input` is None where only clean pictures are given, to be degraded by whoever measures; `target` is None where
    there is no truth.
    """

    name: str
    input: Path | None
    target: Path | None


@dataclass(frozen=True, slots=True)
class Match:
    """What a layout found in a folder; all paths are relative to it, with forward slashes.

    Attributes:
        pairs: (name, input, target).
        lonely_inputs: inputs whose target is missing, each with where it was expected (without ending).
        lonely_targets: pictures where targets lie that belong to no input.
        doubles: stems that two files share; which of them is meant is not known.
    """

    layout: Layout
    pairs: tuple[tuple[str, str | None, str | None], ...]
    lonely_inputs: tuple[tuple[str, str], ...] = ()
    lonely_targets: tuple[str, ...] = ()
    doubles: tuple[str, ...] = ()


def layouts_of(part: Part, *, alone: bool) -> tuple[Layout, ...]:
    """The part's own layouts and, for people who arrange sets themselves, `PART/input` beside `PART/target`.

    `alone` says that the part is the only one of its set, or the only one for tests: then its name may be missing.
    """
    homes = (f"{part.name}/", "") if alone else (f"{part.name}/",)
    if part.kind == "pairs":
        own = tuple(Layout(f"{home}input/{{name}}", f"{home}target/{{name}}") for home in homes)
    elif part.kind == "clean":
        own = tuple(Layout(None, f"{home}{{name}}") for home in homes)
    else:
        own = tuple(Layout(f"{home}{{name}}", None) for home in homes)
    return part.layouts + tuple(layout for layout in own if layout not in part.layouts)


def match(layout: Layout, pictures: list[str], folder: Path) -> Match:
    """Apply a layout to the pictures of a folder (relative paths, sorted)."""
    stems = patterns.by_stem(pictures)
    if layout.input is None or layout.target is None:
        pattern = patterns.compiled(layout.input or layout.target or "")
        found = [key for key in stems if pattern.fullmatch(key)]
        single = [stems[key][0] for key in found]
        pairs = tuple(
            (key, path, None) if layout.target is None else (key, None, path)
            for key, path in zip(found, single, strict=True)
        )
        return Match(layout, pairs, doubles=_doubles(found, stems))
    if layout.list is not None:
        return _match_by_list(layout, folder / layout.list, stems)
    if layout.pairing == "order":
        return _match_in_order(layout, layout.input, layout.target, stems)
    return _match_by_names(layout, layout.input, layout.target, stems)


def best_match(layouts: tuple[Layout, ...], pictures: list[str], folder: Path) -> Match | None:
    """What the layout found that found most pairs, the first of equals; `None` where none found anything at all."""
    found = [match(layout, pictures, folder) for layout in layouts]
    best = max(found, key=lambda one: (len(one.pairs), len(one.lonely_inputs)))
    return best if best.pairs or best.lonely_inputs else None


def generic_match(pictures: list[str], folder: Path) -> Match | None:
    """Pairs in a folder of no known set: two sibling folders with usual names, such as `input` and `target`, with equal
    names in both or, as in RESIDE, with `0001_0.8_0.2` beside `0001`.
    """
    homes = {path.rpartition("/")[0].rpartition("/")[0] for path in pictures}
    stems = {path.rpartition("/")[0].lower() for path in pictures}
    candidates: list[Layout] = []
    for home in sorted(homes):
        prefix = f"{home}/" if home else ""
        for inputs, targets in _GENERIC:
            if {f"{prefix}{inputs}".lower(), f"{prefix}{targets}".lower()} <= stems:
                candidates.append(Layout(f"{prefix}{inputs}/{{name}}", f"{prefix}{targets}/{{name}}"))
                candidates.append(Layout(f"{prefix}{inputs}/{{name}}_{{rest}}", f"{prefix}{targets}/{{name}}"))
    return best_match(tuple(candidates), pictures, folder) if candidates else None


def _match_by_names(layout: Layout, inputs: str, targets: str, stems: dict[str, list[str]]) -> Match:
    pattern = patterns.compiled(inputs)
    pairs: list[tuple[str, str | None, str | None]] = []
    lonely: list[tuple[str, str]] = []
    used: list[str] = []
    for key, paths in stems.items():
        fields = pattern.fullmatch(key)
        if fields is None:
            continue
        wanted = patterns.filled(targets, fields.groupdict())
        used.append(key)
        if wanted in stems:
            used.append(wanted)
            pairs.append((key, paths[0], stems[wanted][0]))
        else:
            lonely.append((paths[0], wanted))
    known = set(used)
    pattern = patterns.compiled(targets)
    orphans = tuple(paths[0] for key, paths in stems.items() if key not in known and pattern.fullmatch(key))
    # Without a single input the layout is not there at all, and its targets are no orphans.
    return Match(layout, tuple(pairs), tuple(lonely), orphans if used else (), _doubles(known, stems))


def _match_by_list(layout: Layout, listing: Path, stems: dict[str, list[str]]) -> Match:
    if not listing.is_file():
        return Match(layout, ())
    pairs: list[tuple[str, str | None, str | None]] = []
    lonely: list[tuple[str, str]] = []
    for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
        target, _, source = line.strip().partition(" ")
        first, second = patterns.stem(source.strip()), patterns.stem(target)
        if first in stems and second in stems:
            pairs.append((first, stems[first][0], stems[second][0]))
        elif first in stems:
            lonely.append((stems[first][0], second))
    return Match(layout, tuple(pairs), tuple(lonely))


def _match_in_order(layout: Layout, inputs: str, targets: str, stems: dict[str, list[str]]) -> Match:
    first, second = patterns.compiled(inputs), patterns.compiled(targets)
    left = sorted(key for key in stems if first.fullmatch(key))
    right = sorted(key for key in stems if second.fullmatch(key))
    shared = min(len(left), len(right))
    pairs = tuple((a, stems[a][0], stems[b][0]) for a, b in zip(left, right, strict=False))
    lonely = tuple((stems[key][0], targets) for key in left[shared:])
    orphans = tuple(stems[key][0] for key in right[shared:])
    return Match(layout, pairs, lonely, orphans if left else (), _doubles([*left, *right], stems))


def _doubles(keys: list[str] | set[str], stems: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(sorted(key for key in keys if len(stems[key]) > 1))
