"""Unpacking archives of strangers: nothing outside the folder, no links, no more than the disk can take."""

from __future__ import annotations

import fnmatch
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unveil.datasets.watching import SILENT, Watch
from unveil.errors import DataError, UnsafeArchive

LARGEST_GROWTH = 50
SLACK = 64 << 20
MOST_FILES = 5_000_000
_CHUNK = 1 << 20
_LONGEST_LINK = 4096
_FOREIGN = {b"Rar!": "RAR", b"7z\xbc\xaf": "7-Zip"}


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came out of an archive. `links` counts the links inside it, which are left out."""

    files: int
    bytes: int
    links: int


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry of an archive; `link` is where a link leads, from the archive's top. Folders have neither."""

    name: str
    size: int
    stream: IO[bytes] | None
    link: str | None = None


def is_archive(path: Path) -> bool:
    """Whether the file is a ZIP or TAR archive (compressed or not), by its content.

    Raises DataError for archives of kinds that are not opened, with advice.
    """
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        kind = _FOREIGN.get(stream.read(4))
    if kind is not None:
        raise DataError(f"{path} is a {kind} archive, which is not opened; unpack it and give the folder with --from")
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def extract(archive: Path, folder: Path, *, keep: tuple[str, ...] = (), watch: Watch = SILENT) -> Extracted:
    """Unpack the ordinary files of a ZIP or TAR archive below `folder`; `keep` picks some by patterns with `*`.

    Bounds (ours): at most 50 times the archive's size and 64 MiB, five million files, and what the disk has left.
    Links that stay inside are left out, as no data set needs them.

    Raises UnsafeArchive for paths and links that lead out and for archives beyond the bounds, before the offending file
    is written; DataError for damaged or encrypted ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    room = min(archive.stat().st_size * LARGEST_GROWTH + SLACK, shutil.disk_usage(folder).free)
    files = total = links = seen = 0
    try:
        for member in _members(archive):
            seen += 1
            _require_few(archive, seen)
            place = _inside(archive, member.name)
            if member.link is not None:
                _inside(archive, member.link)
                links += 1
                continue
            if member.stream is None or (keep and not any(fnmatch.fnmatchcase(place, one) for one in keep)):
                continue
            if total + member.size > room:
                raise UnsafeArchive(
                    f"{archive} grows beyond {room / 1e9:.2f} GB when unpacked: more than the disk has left, or "
                    f"{LARGEST_GROWTH} times its own size; make room, or unpack it yourself and give the folder"
                )
            total += _write(archive, member.stream, folder / place, member.size)
            files += 1
            watch.tick(f"unpacking {archive.name}", files, None)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RuntimeError) as error:
        raise DataError(f"{archive} is damaged, cut off or encrypted ({error}); download it again") from error
    return Extracted(files, total, links)


def _members(archive: Path) -> Iterator[_Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            for entry in bundle.infolist():
                # The upper half of the attributes is the Unix mode.
                if stat.S_ISLNK(entry.external_attr >> 16):
                    with bundle.open(entry) as stream:
                        yield _Member(entry.filename, 0, None, _led(entry.filename, stream.read(_LONGEST_LINK)))
                elif entry.is_dir():
                    yield _Member(entry.filename, 0, None)
                else:
                    with bundle.open(entry) as stream:
                        yield _Member(entry.filename, entry.file_size, stream)
        return
    with tarfile.open(archive) as bundle:
        for entry in bundle:
            if entry.issym():
                yield _Member(entry.name, 0, None, _led(entry.name, entry.linkname.encode()))
            elif entry.islnk():
                # A hard link names its target from the top of the archive.
                yield _Member(entry.name, 0, None, entry.linkname)
            else:
                yield _Member(entry.name, entry.size, bundle.extractfile(entry) if entry.isfile() else None)


def _led(name: str, target: bytes) -> str:
    """Where a symbolic link leads, from the archive's top."""
    there = target.decode("utf-8", "replace")
    return there if there.startswith("/") else f"{name}/../{there}"


def _inside(archive: Path, name: str) -> str:
    """The path with forward slashes and without detours. Raises UnsafeArchive where it leads out."""
    steps: list[str] = []
    # Backslashes separate folders on Windows, whatever the archive meant by them.
    for step in name.replace("\\", "/").split("/"):
        if step == ".." and steps:
            steps.pop()
        elif step == "..":
            raise UnsafeArchive(f"{archive} has a file or link that leads out of its folder: {name!r}; do not use it")
        elif step not in ("", "."):
            steps.append(step)
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise UnsafeArchive(f"{archive} has a file or link with a path of its own: {name!r}; do not use it")
    return "/".join(steps)


def _require_few(archive: Path, seen: int) -> None:
    if seen > MOST_FILES:
        raise UnsafeArchive(f"{archive} has more than {MOST_FILES:,} files; unpack it yourself and give the folder")


def _write(archive: Path, stream: IO[bytes], place: Path, announced: int) -> int:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        done = 0
        with place.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                done += len(chunk)
                if done > announced:
                    raise UnsafeArchive(f"{archive} holds more bytes than it announces ({place.name}); do not use it")
                out.write(chunk)
    except OSError as error:
        raise DataError(f"{place} cannot be written ({error.strerror or error})") from error
    return done
