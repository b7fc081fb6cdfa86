"""Which pictures lie below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from unveil.images.formats import FORMATS

Identity = tuple[int, int]


def pictures_below(folder: str | os.PathLike[str], endings: Collection[str] | None = None) -> Iterator[Path]:
    """The pictures below a folder in order of name, told by their endings (default: all that can be read).

    Hidden files and folders are left out, links are followed.

    Raises OSError where a folder cannot be listed.
    """

    def fail(error: OSError) -> None:
        raise error

    wanted = endings or frozenset(ending for form in FORMATS.values() for ending in form.suffixes)
    for path in walk(Path(folder), fail):
        if path.suffix.lower() in wanted:
            yield path


def walk(folder: Path, unreadable: Callable[[OSError], object], *, without: Identity | None = None) -> Iterator[Path]:
    """Files below `folder` in order of name, without hidden ones; each real folder once, so links cannot loop.

    `unreadable` is called for folders that cannot be listed; the folder of identity `without` is left out.
    """
    seen: set[Identity | None] = {without} if without else set()
    for here, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        place = identity(Path(here))
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def identity(path: Path) -> Identity | None:
    """What tells a file or folder from all others, whatever its path; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
