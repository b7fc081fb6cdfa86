"""Files in a folder or in an object store, by one set of verbs.

A place is a folder's path, or a URL such as `s3://bucket/scans`. A URL needs fsspec and its package for that kind of
store (extra `cluster` brings the one for S3).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, cast

from unveil.errors import MissingExtra, StoreError

SINGLE_PUT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "obs", "r2"})
"""Kinds of stores where a file is there whole or not at all. In all others it gets its name when it is complete."""

PART = re.compile(r"\.unveil-[0-9a-f]+\.part")

STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "updated", "mtime", "created")

Unlistable = Callable[[OSError], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `name` is relative to its store, with forward slashes; `stamp` changes when its content does."""

    name: str
    size: int
    stamp: str


class Store(Protocol):
    """The files below one place. All names are relative to it, with forward slashes.

    Every verb raises StoreError where the store does not answer or forbids it, and FileNotFoundError where there is no
    file of that name. A store can be sent to another process.
    """

    @property
    def appends(self) -> bool:
        """Whether `append` works."""
        ...

    def walk(self, unlistable: Unlistable, *, without: str | None = None) -> Iterator[tuple[str, list[Entry]]]:
        """Every folder that holds files, with its files in order of name; hidden ones are left out.

        `unlistable` is called for folders that cannot be listed. `without` is a place that is left out.
        """
        ...

    def entries(self, folder: str) -> list[Entry]:
        """The files that lie directly in a folder, hidden ones too, in order of name; none where there is no folder."""
        ...

    def entry(self, name: str) -> Entry:
        """One file."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """A file's bytes, or those from `start` up to `end`."""
        ...

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """Several files, at once where the store can do that."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all, replacing one of that name; folders on the way are made."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file, or begin one; on the disk when it returns. Only where `appends`."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; none of that name is no error."""
        ...

    def place(self, name: str = "") -> str:
        """The path or URL of a file, for people."""
        ...


def spelled(place: str | os.PathLike[str]) -> str:
    """A place as text, with the slashes that pathlib takes out of a URL: `s3:/a` -> `s3://a`."""
    text = os.fspath(place)
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]+", text)
    if found is None:
        return text
    rest = text[found.end() :].replace("\\", "/") if isinstance(place, os.PathLike) else text[found.end() :]
    return f"/{rest}" if found[1].lower() == "file" else f"{found[1].lower()}://{rest}"


def is_url(place: str | os.PathLike[str]) -> bool:
    """Whether a place is a URL; one letter before the colon is a drive."""
    return "://" in spelled(place)


def open_store(place: str | os.PathLike[str], **options: Any) -> Store:
    """The store at a path or URL; `options` go to fsspec. Whether it answers is seen when it is asked for something.

    Raises:
        MissingExtra: a URL, and fsspec or its package for this kind of store is not installed.
        StoreError: a kind of store that fsspec does not know, or wrong options.
    """
    text = spelled(place)
    if not is_url(text):
        # Another process may have another working folder.
        return Folder(Path(text).absolute(), said=text)
    remote = Remote(text.rstrip("/"), options)
    remote.connect()
    return remote


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on this machine, or on a disk that all machines share. `said` is how people call it."""

    root: Path
    appends: bool = True
    said: str = ""

    def walk(self, unlistable: Unlistable, *, without: str | None = None) -> Iterator[tuple[str, list[Entry]]]:
        from unveil.images.folders import identity, walk

        left_out = identity(Path(without)) if without and not is_url(without) else None
        files = walk(self.root, unlistable, without=left_out)
        for parent, inside in groupby(files, key=lambda file: file.parent):
            name = parent.relative_to(self.root).as_posix()
            yield "" if name == "." else name, [entry for file in inside if (entry := self._entry(file)) is not None]

    def entries(self, folder: str) -> list[Entry]:
        with _telling(self.place(folder)):
            try:
                found = [self._entry(self.root / folder / item.name) for item in os.scandir(self.root / folder)]
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.name)

    def entry(self, name: str) -> Entry:
        found = self._entry(self.root / name)
        if found is None:
            raise FileNotFoundError(2, "there is no such file", self.place(name))
        return found

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with _telling(self.place(name)), (self.root / name).open("rb") as stream:
            stream.seek(start)
            return stream.read(-1 if end is None else max(end - start, 0))

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        return {name: self.read(name) for name in names}

    def write(self, name: str, data: bytes) -> None:
        target = self.root / name
        with _telling(self.place(name)):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / _temporary_name()
            try:
                with temporary.open("xb") as stream:
                    self._fill(stream, data)
                temporary.replace(target.resolve() if target.is_symlink() else target)
            finally:
                temporary.unlink(missing_ok=True)

    def append(self, name: str, data: bytes) -> None:
        with _telling(self.place(name)):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            with (self.root / name).open("ab") as stream:
                self._fill(stream, data)

    def remove(self, name: str) -> None:
        with _telling(self.place(name)):
            (self.root / name).unlink(missing_ok=True)

    def place(self, name: str = "") -> str:
        return str(Path(self.said or self.root) / name)

    def _fill(self, stream: Any, data: bytes) -> None:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())

    def _entry(self, file: Path) -> Entry | None:
        try:
            status = file.stat()
        except OSError:
            return None
        if not file.is_file():
            return None
        name = file.relative_to(self.root).as_posix()
        return Entry(name, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


@dataclass(frozen=True, slots=True)
class Remote:
    """A place behind a URL. The connection is made anew in every process that uses it."""

    url: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    appends: bool = False

    def connect(self) -> tuple[Any, str]:
        """fsspec's file system, which keeps itself for the next call, and the path in it."""
        try:
            import fsspec  # pyright: ignore[reportMissingTypeStubs]

            return cast("tuple[Any, str]", fsspec.url_to_fs(self.url, use_listings_cache=False, **self.options))
        except ImportError as error:
            raise MissingExtra(f"{self.url}", "cluster") from error
        except (ValueError, TypeError) as error:
            raise StoreError(f"{self.url}: fsspec cannot open it ({error})") from error

    def walk(self, unlistable: Unlistable, *, without: str | None = None) -> Iterator[tuple[str, list[Entry]]]:
        filesystem, root = self.connect()
        with _telling(self.url):
            if not filesystem.exists(root):
                raise FileNotFoundError(2, "there is no such folder, or it is empty", self.url)
        left_out = spelled(without).rstrip("/") if without else None
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with _telling(self.place(folder)):
                    folders, files = self._list(folder)
            except (FileNotFoundError, StoreError) as error:
                unlistable(OSError(None, str(error), self.place(folder)))
                continue
            if files:
                yield folder, files
            below = [name for name in folders if self.place(name) != left_out]
            waiting += sorted(below, reverse=True)

    def entries(self, folder: str) -> list[Entry]:
        with _telling(self.place(folder)):
            try:
                return self._list(folder, hidden=True)[1]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def entry(self, name: str) -> Entry:
        filesystem, root = self.connect()
        with _telling(self.place(name)):
            return self._entry(filesystem.info(_join(root, name)), root)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        filesystem, root = self.connect()
        whole = start == 0 and end is None
        with _telling(self.place(name)):
            return bytes(filesystem.cat_file(_join(root, name), **({} if whole else {"start": start, "end": end})))

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        filesystem, root = self.connect()
        paths = {_join(root, name): name for name in names}
        if not paths:
            return {}
        with _telling(self.url):
            found = cast("dict[str, bytes]", filesystem.cat(list(paths), recursive=False))
        if isinstance(found, bytes):
            return {next(iter(paths.values())): found}
        return {paths[path]: data for path, data in found.items()}

    def write(self, name: str, data: bytes) -> None:
        filesystem, root = self.connect()
        path = _join(root, name)
        folder = path.rpartition("/")[0]
        with _telling(self.place(name)):
            if self._is_atomic(filesystem):
                filesystem.pipe_file(path, data)
                return
            filesystem.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/{_temporary_name()}"
            try:
                filesystem.pipe_file(temporary, data)
                filesystem.mv(temporary, path)
            finally:
                with contextlib.suppress(OSError):
                    if filesystem.exists(temporary):
                        filesystem.rm_file(temporary)

    def append(self, name: str, data: bytes) -> None:
        raise StoreError(f"{self.place(name)}: nothing can be added to a file of this store; write it whole")

    def remove(self, name: str) -> None:
        filesystem, root = self.connect()
        with _telling(self.place(name)), contextlib.suppress(FileNotFoundError):
            filesystem.rm_file(_join(root, name))

    def place(self, name: str = "") -> str:
        return _join(self.url, name)

    def _is_atomic(self, filesystem: Any) -> bool:
        kinds: Any = filesystem.protocol
        return bool(SINGLE_PUT & {kinds, *(() if isinstance(kinds, str) else kinds)})

    def _list(self, folder: str, *, hidden: bool = False) -> tuple[list[str], list[Entry]]:
        filesystem, root = self.connect()
        folders: list[str] = []
        files: list[Entry] = []
        here = _join(root, folder)
        for info in cast("list[dict[str, Any]]", filesystem.ls(here, detail=True)):
            # A store may list the folder itself, as an empty file that stands for it.
            if str(info["name"]).rstrip("/") == here.rstrip("/"):
                continue
            found = self._entry(info, root)
            if not hidden and found.name.rpartition("/")[2].startswith("."):
                continue
            if info["type"] == "directory":
                folders.append(found.name.rstrip("/"))
            else:
                files.append(found)
        return folders, sorted(files, key=lambda entry: entry.name)

    def _entry(self, info: dict[str, Any], root: str) -> Entry:
        name = str(info["name"])
        size = int(info.get("size") or 0)
        stamp = next((str(info[key]) for key in STAMPS if info.get(key)), "")
        return Entry(name.removeprefix(root).lstrip("/"), size, f"{size}-{stamp}")


def _join(root: str, name: str) -> str:
    return f"{root.rstrip('/')}/{name}" if name else root


def _temporary_name() -> str:
    return f".unveil-{secrets.token_hex(8)}.part"


@contextlib.contextmanager
def _telling(place: str) -> Iterator[None]:
    """Turn what a store's package raises into StoreError, but for files that are not there."""
    try:
        yield
    except (FileNotFoundError, StoreError):
        raise
    except OSError as error:
        raise StoreError(f"{place}: {error.strerror or error}") from error
    except Exception as error:
        # Each store's package has errors of its own: no credentials, no such bucket, no connection.
        raise StoreError(f"{place}: {type(error).__name__}: {error}") from error
