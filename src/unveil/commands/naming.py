"""Which picture is written where. Everything is decided, and every collision found, before the first picture is read.

Beside its input, `a.jpg` becomes `a.LABEL.jpg`. Below an output folder a picture keeps its name and its
place in the tree.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unveil.commands import formats
from unveil.commands.terminal import shown
from unveil.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to read and the file to write.

    `target` is final unless `open_suffix`: then the input is of a kind that cannot be written, and whether the result
    is a .jpg or a .png follows from its pixels (see `settle`). `base` is the folder that keeps the history of this
    result (see `history.py`): the output folder, or the one in which the input was found.
    """

    source: Path
    target: Path
    open_suffix: bool = False
    base: Path | None = None

    @property
    def candidates(self) -> tuple[Path, ...]:
        """Every file this job may write."""
        if not self.open_suffix:
            return (self.target,)
        return tuple(self.target.with_name(self.target.name + suffix) for suffix in (".jpg", ".png"))

    def settle(self, *, depth: int, has_alpha: bool) -> Path:
        """The file to write for a picture of `depth` bits, with alpha or without."""
        if not self.open_suffix:
            return self.target
        jpeg, png = self.candidates
        return jpeg if depth == 8 and not has_alpha else png


@dataclass(slots=True)
class Found:
    """Pictures below the given paths: (file, folder it was found in or None), and folders that could not be read."""

    pictures: list[tuple[Path, Path | None]] = field(default_factory=list[tuple[Path, Path | None]])
    unreadable: list[OSError] = field(default_factory=list[OSError])


def find_pictures(
    paths: Sequence[Path], endings: Collection[str], *, without: Path | None = None, without_label: str | None = None
) -> Found:
    """List the pictures that `paths` name: files as given, folders walked for files with one of `endings` (".jpg").

    A file that is reached twice is listed once. The folder `without` is left out of the walk, and so are files named
    `*.LABEL.*` for `without_label`. Raises InvalidRequest when there is no picture at all.
    """
    from unveil.images.folders import identity, walk

    found = Found()
    seen: set[Path] = set()
    skip = identity(without) if without else None
    for path in paths:
        folder = path if path.is_dir() else None
        # An output folder that is the input itself is not left out: `plan` refuses it with a better message.
        left_out = skip if folder is None or skip != identity(folder) else None
        for file in [path] if folder is None else walk(path, found.unreadable.append, without=left_out):
            if folder is not None:
                suffixes = [suffix.lower() for suffix in file.suffixes]
                if suffixes[-1:] == [] or suffixes[-1] not in endings or f".{without_label}" in suffixes[-2:-1]:
                    continue
            real = Path(os.path.realpath(file.parent), file.name)
            if real not in seen:
                seen.add(real)
                found.pictures.append((file, folder))
    if not found.pictures and not found.unreadable:
        folders = ", ".join(shown(path) for path in paths)
        raise InvalidRequest(f"no pictures found in {folders}; looked for {', '.join(sorted(endings))}")
    return found


def output_folder(paths: Sequence[Path], output: str | None) -> Path | None:
    """The folder that `-o` names, or None where it names a file or was not given.

    It is a folder if it ends in a slash, if it exists as one, if an input is a folder, or if there are several inputs.
    """
    if output is None:
        return None
    place = Path(output)
    ends_in_slash = output.endswith(tuple(filter(None, ("/", os.sep, os.altsep))))
    if not (ends_in_slash or place.is_dir() or len(paths) > 1 or any(path.is_dir() for path in paths)):
        return None
    if place.exists() and not place.is_dir():
        raise InvalidRequest(f"-o {shown(place)} must be a folder here, and it is a file; name another one")
    return place


def plan(
    paths: Sequence[Path],
    found: Found,
    output: str | None,
    *,
    label: str,
    writable: Collection[str],
    suffix: str | None = None,
) -> list[Job]:
    """Decide where each found picture goes.

    `label` stands in names beside the input. `writable` are the endings that can be written (".jpg"); `suffix` replaces
    every input's own. Raises InvalidRequest if two pictures would share an output, or an output is one of the inputs.
    """
    folder = output_folder(paths, output)
    jobs: list[Job] = []
    for source, root in found.pictures:
        if output is not None and folder is None:
            jobs.append(Job(source, Path(output)))
            continue
        ending = suffix or (source.suffix if source.suffix.lower() in writable else None)
        stem = source.stem if folder is not None else f"{source.stem}.{label}"
        if folder is None:
            place = source.parent
        elif root is None:
            place = folder
        else:
            # Several folders keep their own names below the output, so that equal names in them do not meet.
            own = folder / root.resolve().name if len(paths) > 1 else folder
            place = own / source.parent.relative_to(root)
        base = folder or root
        jobs.append(Job(source, place / (stem + (ending or "")), open_suffix=ending is None, base=base))
    _refuse_collisions(jobs)
    return jobs


def plan_files(
    paths: Sequence[Path], output: str | None, *, label: str, extension: str | None, default: str | None = None
) -> tuple[Found, list[Job]]:
    """Find the pictures and plan their outputs for a command with `-o` and `--format`.

    `default` is the ending of outputs when `--format` is not given; None means the ending of each input.
    """
    suffix = formats.suffix_of(extension)
    folder = output_folder(paths, output)
    if output is not None and folder is None:
        formats.require_same_format(Path(output), extension)
    found = find_pictures(
        paths, formats.readable_endings(), without=folder, without_label=label if output is None else None
    )
    writable = formats.writable_endings()
    return found, plan(paths, found, output, label=label, writable=writable, suffix=suffix or default)


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    from unveil.images.folders import identity

    jobs = list(jobs)
    inputs = {identity(job.source): job.source for job in jobs}
    inputs.pop(None, None)
    writers: dict[Path, Path] = {}
    for job in jobs:
        for target in job.candidates:
            hit = inputs.get(identity(target))
            if hit is not None:
                raise InvalidRequest(
                    f"{shown(job.source)} would be written to {shown(target)}, which is the input {shown(hit)}; "
                    "an input is never overwritten, so name another output with -o"
                )
            real = Path(os.path.realpath(target.parent), target.name)
            other = writers.setdefault(real, job.source)
            if other is not job.source:
                raise InvalidRequest(
                    f"{shown(other)} and {shown(job.source)} would both be written to {shown(target)}; "
                    "name another output with -o, or give them one at a time"
                )
