"""What was done to a set's folder: a small file in it, so that its owner can tell later what he has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE_NAME = ".unveil-set.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that a set was made from: its address, or its path where it was fetched by hand. `sha256` was computed
    on this machine; folders have none.
    """

    origin: str
    size: int | None
    sha256: str | None
    date: str


@dataclass(slots=True)
class Record:
    """The record of a set's folder. `counts` are the pairs found last, part by part."""

    set: str
    code_version: str
    origins: list[Origin] = field(default_factory=lambda: list[Origin]())
    counts: dict[str, int] = field(default_factory=lambda: dict[str, int]())

    def has(self, origin: str) -> bool:
        """Whether this file is unpacked already."""
        return any(one.origin == origin for one in self.origins)

    def add(self, origin: str, size: int | None, sha256: str | None) -> Origin | None:
        """Note a file, dated now; returns what was noted of the same one before, if anything."""
        before = next((one for one in self.origins if one.origin == origin), None)
        self.origins = [one for one in self.origins if one.origin != origin]
        self.origins.append(Origin(origin, size, sha256, datetime.now(UTC).isoformat(timespec="seconds")))
        return before


def read(folder: Path) -> Record | None:
    """The record of a folder, or `None` where there is none that can be read."""
    try:
        found: Mapping[str, Any] = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            return None
        origins = [Origin(**one) for one in found["origins"]]
        return Record(str(found["set"]), str(found["code_version"]), origins, dict(found["counts"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(folder: Path, record: Record) -> None:
    """Write the record into the folder, wholly or not at all."""
    fresh = folder / f"{FILE_NAME}.new"
    fresh.write_text(json.dumps({"format": FORMAT, **asdict(record)}, indent=2) + "\n", encoding="utf-8")
    fresh.replace(folder / FILE_NAME)
