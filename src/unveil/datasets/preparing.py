"""From a name in the catalogue to a set that lies ready: download, unpack, arrange, record."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from unveil import __version__
from unveil.datasets import locating, patterns, records
from unveil.datasets.arranging import arrange
from unveil.datasets.catalogue import DataSet, Download
from unveil.datasets.downloading import download, file_name, sha256_of
from unveil.datasets.extracting import extract, is_archive
from unveil.datasets.records import Record
from unveil.datasets.watching import SILENT, Watch
from unveil.errors import DataError, InvalidRequest

WORKSHOP = ".unveil-downloads"


def planned(
    entry: DataSet, *, parts: Sequence[str] = (), urls: Sequence[str] = (), limit: int | None = None
) -> list[tuple[str, Download]]:
    """The addresses to download, each with what the catalogue says of it.

    `parts` leaves out what only other parts need; `urls` replaces the catalogue's addresses, and `limit` takes the
    first few of a set that comes in many files. Raises InvalidRequest for parts that there are not.
    """
    for part in parts:
        entry.part(part)
    if urls:
        plain = [Download(url, (), "", (), None) for url in urls]
        return [(one.url, one) for one in plain]
    wanted = [one for one in entry.downloads if not parts or not one.parts or set(one.parts) & set(parts)]
    found = [(url, one) for one in wanted for url in one.urls()]
    return found if limit is None else found[:limit]


def fetch(
    entry: DataSet, root: Path, plan: Sequence[tuple[str, Download]], *, keep: bool = False, watch: Watch = SILENT
) -> Path:
    """Download what is planned and not there yet, and arrange it in `root/NAME`; returns that folder.

    Each file is unpacked, arranged, recorded and removed (unless `keep`) before the next one comes, so that at most one
    archive takes up space and an interrupted run goes on where it was.

    Raises DownloadFailed, UnsafeArchive, DataError.
    """
    home = root / entry.name
    workshop = root / WORKSHOP / entry.name
    record = _record(entry, home)
    for number, (url, told) in enumerate(plan, 1):
        if record.has(url):
            continue
        label = f"{file_name(url)} ({number} of {len(plan)})" if len(plan) > 1 else file_name(url)
        watch.say(f"downloading {label} from {url}")
        got = download(url, workshop / file_name(url), watch=watch)
        _take_in(got.path, entry, home, told=told, ours=not keep, watch=watch)
        before = record.add(url, got.size, got.sha256)
        if before is not None and before.sha256 != got.sha256:
            watch.say(f"{file_name(url)} has changed since {before.date}: its checksum is another one now")
        _save(home, record)
        if not keep:
            got.path.unlink(missing_ok=True)
    if not keep:
        shutil.rmtree(workshop, ignore_errors=True)
        _remove_if_empty(workshop.parent)
    _count(entry, home, record)
    return home


def take(entry: DataSet, root: Path, sources: Sequence[Path], *, watch: Watch = SILENT) -> Path:
    """Arrange archives or folders that were fetched by hand in `root/NAME`; returns that folder. They stay as they are.

    Raises UnsafeArchive, and DataError for what is not there or does not look like the set.
    """
    home = root / entry.name
    record = _record(entry, home)
    for source in sources:
        if not source.exists():
            raise DataError(f"--from {source}: there is no such file or folder")
        if source.resolve() == home.resolve():
            continue
        _take_in(source, entry, home, told=None, ours=False, watch=watch)
        size, digest = (source.stat().st_size, sha256_of(source)) if source.is_file() else (None, None)
        record.add(str(source.resolve()), size, digest)
        _save(home, record)
    _count(entry, home, record)
    return home


def _take_in(source: Path, entry: DataSet, home: Path, *, told: Download | None, ours: bool, watch: Watch) -> None:
    """Arrange a folder, an archive or a single picture."""
    if source.is_dir():
        arranged = arrange(source, entry, home, watch=watch)
    elif is_archive(source):
        staging = home.parent / WORKSHOP / f"{entry.name}.unpacked"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            out = extract(source, staging, keep=told.keep if told else (), watch=watch)
            if not out.files:
                raise DataError(f"{source} is an archive without the files of {entry.title}; is it the right one?")
            arranged = arrange(staging, entry, home, called=_bare_name(source), move=True, watch=watch)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            _remove_if_empty(staging.parent)
    elif patterns.is_picture(source.name):
        target = home / (told.into if told else "") / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if ours:
            source.replace(target)
        else:
            shutil.copyfile(source, target)
        return
    else:
        raise DataError(f"{source} is neither a folder, nor a ZIP or TAR archive, nor a picture; is it the right file?")
    if arranged.left:
        watch.say(f"{source.name}: {arranged.left} files are no part of {entry.title} and were left out")


def _bare_name(path: Path) -> str:
    name = path.name
    for ending in (".gz", ".bz2", ".xz", ".tgz", ".tar", ".zip"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name or path.name


def _record(entry: DataSet, home: Path) -> Record:
    if home.exists() and not home.is_dir():
        raise InvalidRequest(f"{home} is no folder; choose another --root")
    found = records.read(home)
    # A record without its pictures would keep them from ever coming back.
    return found if found and patterns.pictures_below(home) else Record(entry.name, __version__)


def _count(entry: DataSet, home: Path, record: Record) -> None:
    if not home.is_dir():
        return
    pictures = patterns.pictures_below(home)
    found = {part.name: locating.match_part(entry, part, home, pictures) for part in entry.parts}
    record.counts = {name: len(match.pairs) for name, match in found.items() if match is not None and match.pairs}
    _save(home, record)


def _save(home: Path, record: Record) -> None:
    record.code_version = __version__
    home.mkdir(parents=True, exist_ok=True)
    records.write(home, record)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
