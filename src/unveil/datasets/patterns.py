"""How a set lays out its files: small path patterns, and what they find in a folder.

A pattern is a path without its ending, such as `test/{scene}/blur/{name}`: a field stands for at least one letter of
one folder's or file's name (the shortest that fits), `**/` for any number of folders. The ending plays no part, so
that a set that somebody converted from BMP to PNG is still found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".gif"})

_FIELD = re.compile(r"\{(\w+)\}")


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for a whole path without its ending, fields as groups."""
    expression = ""
    at = 0
    for found in re.finditer(r"\{\w+\}|\*\*/", pattern):
        expression += re.escape(pattern[at : found.start()])
        field = _FIELD.fullmatch(found.group())
        if field is None:
            expression += "(?:[^/]+/)*"
        elif f"(?P<{field[1]}>" in expression:
            expression += f"(?P={field[1]})"
        else:
            expression += f"(?P<{field[1]}>[^/]+?)"
        at = found.end()
    return re.compile(expression + re.escape(pattern[at:]))


def fields(pattern: str) -> frozenset[str]:
    """Names of the pattern's fields."""
    return frozenset(_FIELD.findall(pattern))


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """The pattern with every field replaced by its value."""
    return _FIELD.sub(lambda field: values[field[1]], pattern)


def stem(path: str) -> str:
    """A relative path, with forward slashes, without the ending of its file name."""
    cut = path.rfind(".")
    return path[:cut] if cut > path.rfind("/") + 1 else path


def is_picture(path: str) -> bool:
    """Whether the ending says so."""
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122  half a million paths are looked at


def files_below(folder: Path, *, looked_at: Callable[[], None] | None = None) -> Iterator[str]:
    """Relative paths, with forward slashes, of all ordinary files below the folder.

    Hidden files and folders and those that archives of a Mac carry along are left out. Links to folders are not
    followed, so that a circle of links ends.
    """
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as found:
            for entry in found:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if looked_at:
                    looked_at()
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{inside}{entry.name}/")
                elif entry.is_file():
                    yield inside + entry.name


def pictures_below(folder: Path) -> list[str]:
    """Relative paths of the pictures below a folder, sorted."""
    return sorted(path for path in files_below(folder) if is_picture(path))


def by_stem(paths: Iterable[str]) -> dict[str, list[str]]:
    """Paths under their stems; more than one where two files differ only in their endings."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(stem(path), []).append(path)
    return found
