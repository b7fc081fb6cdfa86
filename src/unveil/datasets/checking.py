"""Is what lies in a folder the set it claims to be: pairs, counts, sizes, readable files, digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unveil import images
from unveil.datasets import catalogue, digests, headers, locating, pairing, patterns, records
from unveil.datasets.catalogue import DataSet, Kind, Part
from unveil.datasets.downloading import sha256_of
from unveil.datasets.locating import Match
from unveil.datasets.watching import SILENT, Watch
from unveil.errors import DataSetMissing, PictureError

SHOWN = 5
"""How many faults of one kind are listed one by one."""


@dataclass(slots=True)
class PartReport:
    """What is there of one part. `expected` is None where it is not known how many there should be."""

    name: str
    kind: Kind
    pairs: int
    expected: int | None
    faults: list[str] = field(default_factory=lambda: list[str]())
    stems: frozenset[str] = frozenset()


@dataclass(slots=True)
class SetReport:
    """What a folder is and what is wrong with it.

    Attributes:
        set: name in the catalogue, or None where the folder was not recognised.
        known_by: "record" (of 'unveil prepare'), "name" of the folder, "layout" of its files, or "nothing".
        parts: what was found of each part; one part called "pictures" for a folder that was not recognised.
        files, bytes: all files below the folder, pictures or not.
        digest: see digests.py; None if it was not asked for.
        faults: what is wrong beside the faults of the parts.
    """

    folder: Path
    set: str | None
    title: str
    known_by: str
    parts: list[PartReport]
    files: int
    bytes: int
    digest: str | None = None
    faults: list[str] = field(default_factory=lambda: list[str]())

    @property
    def is_good(self) -> bool:
        """Nothing is wrong with it."""
        return not self.faults and not any(part.faults for part in self.parts)


def check(
    folder: Path,
    entry: DataSet | None = None,
    *,
    sizes: bool = True,
    digest: bool = True,
    decode: bool = False,
    watch: Watch = SILENT,
) -> SetReport:
    """Check one set's folder; `entry` says which set it is, otherwise it is recognised.

    Names and counts always; with `sizes` also the headers of all pictures, with `decode` every pixel. The `digest`
    reads every file.

    Raises DataSetMissing where there is no picture below the folder.
    """
    files = sorted(patterns.files_below(folder)) if folder.is_dir() else []
    pictures = [path for path in files if patterns.is_picture(path)]
    if not pictures:
        raise DataSetMissing(f"{folder} has no pictures; expected the folder of a data set")
    known_by = "name" if entry else "nothing"
    subset = False
    if entry is None:
        entry, known_by, subset = recognise(folder, pictures)
    found = _matches(entry, folder, pictures)
    report = SetReport(
        folder=folder,
        set=entry.name if entry else None,
        title=entry.title if entry else "not in the catalogue",
        known_by=known_by,
        parts=[_part_report(part, match, subset=subset) for part, match in found],
        files=len(files),
        bytes=sum((folder / path).stat().st_size for path in files),
    )
    if sizes or decode:
        _check_sizes(folder, found, report, decode=decode, watch=watch)
    if digest:
        report.digest = _digest(folder, files, watch)
    return report


def check_below(
    root: Path, *, sizes: bool = True, digest: bool = True, decode: bool = False, watch: Watch = SILENT
) -> list[SetReport]:
    """Check the set that `root` is, or else every set that lies in one of its folders.

    Raises DataSetMissing where there is no picture at all.
    """
    if not root.is_dir():
        raise DataSetMissing(f"{root} is not a folder; expected that of a data set, or one with data sets in it")
    pictures = patterns.pictures_below(root)
    inside = sorted({path.partition("/")[0] for path in pictures if "/" in path})
    is_one = not inside or any("/" not in path for path in pictures) or recognise(root, pictures)[0] is not None
    if is_one or pairing.generic_match([path for path in pictures if path.count("/") == 1], root) is not None:
        inside = [""]
    return [check(root / name, sizes=sizes, digest=digest, decode=decode, watch=watch) for name in inside]


def recognise(folder: Path, pictures: list[str]) -> tuple[DataSet | None, str, bool]:
    """Which set lies in a folder, how it was known, and whether its name says that it is only some of it.

    By the record that 'unveil prepare' leaves, else by the folder's name (`test_rain100h_20` is taken for 20 of
    Rain100H), else by a layout of its own that no other set has.
    """
    record = records.read(folder)
    if record is not None and record.set in catalogue.sets():
        return catalogue.sets()[record.set], "record", False
    name = re.sub(r"^(test|train|val|valid|real)[_-]", "", folder.resolve().name.lower())
    known = catalogue.by_plain_name()
    with_parts = {
        catalogue.plain(spelling) + catalogue.plain(part.name): entry
        for spelling, entry in known.items()
        for part in entry.parts
    }
    bare = re.sub(r"_\d+$", "", name)
    for spelling, subset in ((name, False), (bare, True)):
        entry = known.get(catalogue.plain(spelling)) or with_parts.get(catalogue.plain(spelling))
        if entry is not None:
            return entry, "name", subset
    fitting = [entry for entry in catalogue.sets().values() if _fits_by_layout(entry, folder, pictures)]
    return (fitting[0], "layout", False) if len(fitting) == 1 else (None, "nothing", False)


def overlap_warnings(reports: Iterable[SetReport]) -> list[str]:
    """What the catalogue knows of pictures that occur in two of the sets that were found."""
    present = {f"{report.set}/{part.name}": part for report in reports if report.set for part in report.parts}
    warnings: list[str] = []
    for overlap in catalogue.overlaps():
        first, second = overlap.parts
        if first not in present:
            continue
        shared = sorted(present[first].stems & set(overlap.names))
        if overlap.names and not shared:
            continue
        beside = "" if second in present else f" ({second} is not in this folder)"
        if overlap.names:
            listed = ", ".join(shared[:SHOWN]) + (f" and {len(shared) - SHOWN} more" if len(shared) > SHOWN else "")
            warnings.append(f"{first} and {second}{beside}: {overlap.text}; {len(shared)} of them are here: {listed}")
        elif second in present:
            warnings.append(f"{first} and {second}: {overlap.text}")
    return warnings


def _fits_by_layout(entry: DataSet, folder: Path, pictures: list[str]) -> bool:
    for part in entry.parts:
        for layout in part.layouts:
            # Layouts such as input/{name} are everybody's; only names of folders of its own tell a set.
            own = {step for pattern in (layout.input, layout.target) if pattern for step in pattern.split("/")[:-1]}
            if own <= _EVERYBODYS or any("{" in step for step in own):
                continue
            if len(pairing.match(layout, pictures, folder).pairs) > 0:
                return True
    return False


_EVERYBODYS = frozenset(
    {"input", "target", "gt", "GT", "train", "test", "images", "source", "clear", "hazy", "original"}
)


def _matches(entry: DataSet | None, folder: Path, pictures: list[str]) -> list[tuple[Part, Match]]:
    if entry is not None:
        found = [(part, locating.match_part(entry, part, folder, pictures)) for part in entry.parts]
        matched = [(part, match) for part, match in found if match is not None]
        if matched:
            return matched
        likeliest = _part_called(entry, folder)
        if likeliest is not None and (match := pairing.generic_match(pictures, folder)) is not None:
            return [(likeliest, match)]
    match = pairing.generic_match(pictures, folder)
    if match is None or not match.pairs:
        match = pairing.match(catalogue.Layout(None, "**/{name}"), pictures, folder)
    nameless = catalogue.Part("pictures", "test", (match.layout,), None, None, 1, 0, "")
    return [(nameless, match)]


def _part_called(entry: DataSet, folder: Path) -> Part | None:
    """The part whose name is in the folder's, else the only one for tests."""
    name = catalogue.plain(folder.resolve().name)
    tests = [part for part in entry.parts if part.role == "test"]
    named = [part for part in tests if catalogue.plain(part.name) in name]
    return (named or tests or [None])[0]


def _part_report(part: Part, match: Match, *, subset: bool) -> PartReport:
    faults = list(locating.faults_of(part, match))
    if subset and part.count is not None and len(match.pairs) < part.count:
        faults.remove(locating.count_fault(part, match))
    return PartReport(
        name=part.name,
        kind=part.kind,
        pairs=len(match.pairs),
        expected=part.count,
        faults=faults,
        stems=frozenset(Path(name).name for name, _, _ in match.pairs),
    )


def _check_sizes(
    folder: Path, found: Sequence[tuple[Part, Match]], report: SetReport, *, decode: bool, watch: Watch
) -> None:
    sizes: dict[str, tuple[int, int] | None] = {}
    total = sum(len(match.pairs) for _, match in found)
    done = 0
    for (part, match), told in zip(found, report.parts, strict=True):
        faults: list[str] = []
        for _, source, target in match.pairs:
            for path in (source, target):
                if path is not None and path not in sizes:
                    sizes[path] = _size(folder / path, path, faults, decode=decode)
            faults += _size_faults(part, source, target, sizes)
            done += 1
            watch.tick("reading headers", done, total)
        told.faults += faults[:SHOWN]
        if len(faults) > SHOWN:
            told.faults.append(f"{len(faults) - SHOWN} further files are unreadable or have unexpected sizes")


def _size(path: Path, shown: str, faults: list[str], *, decode: bool) -> tuple[int, int] | None:
    try:
        size = headers.read_size(path)
        if decode:
            images.read(path)
    except PictureError as error:
        faults.append(f"{shown}: {error.cause}")
        return None
    return size


def _size_faults(
    part: Part, source: str | None, target: str | None, sizes: dict[str, tuple[int, int] | None]
) -> Iterator[str]:
    first = sizes.get(source) if source else None
    second = sizes.get(target) if target else None
    if first and second and source and target:
        grown = (first[0] * part.scale + 2 * part.border, first[1] * part.scale + 2 * part.border)
        # A side that does not divide by the scale was rounded down when the input was made.
        if not all(0 <= got - want < part.scale for got, want in zip(second, grown, strict=True)):
            yield f"{source} is {_by(first)}, its target {_by(second)}; expected {_by(grown)}"
    if part.size and first and first != part.size:
        yield f"{source} is {_by(first)}; expected {_by(part.size)}"
    elif part.size and not source and second and second != part.size:
        yield f"{target} is {_by(second)}; expected {_by(part.size)}"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _digest(folder: Path, files: Sequence[str], watch: Watch) -> str:
    checksums: dict[str, str] = {}
    for path in files:
        checksums[path] = sha256_of(folder / path)
        watch.tick("computing the digest", len(checksums), len(files))
    return digests.of_folder(checksums)
