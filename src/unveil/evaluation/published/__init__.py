"""Figures that papers print, with their source and protocol, to stand beside ours and never in one average with them.

They lie in the YAML files of this folder, as printed. See `published` for what a file holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One system. `figures` are in the order of the table's columns, as printed: `PSNR/SSIM`, `PSNR`, or `-`."""

    system: str
    figures: tuple[str, ...]
    average: str = ""
    parameters: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """One printed table.

    Attributes:
        suite: whose sets its columns are. also: other suites that have sets of these names.
        title: what it is. source: where it stands.
        protocol: how its figures were made, as far as the source says.
        columns: names of sets of the suite, or a text in parentheses for a column that is no set.
        average_of: what its average is a mean of, as far as can be said.
    """

    suite: str
    title: str
    source: str
    protocol: str
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    note: str = ""
    average_of: str = ""
    also: tuple[str, ...] = ()


@cache
def published() -> tuple[PublishedTable, ...]:
    """All tables of all files, in the order of the files' names."""
    return tuple(table for path in sorted(Path(__file__).parent.glob("*.yaml")) for table in _read(path))


def beside(suite: str) -> list[PublishedTable]:
    """The tables that stand beside a suite."""
    return [table for table in published() if suite in (table.suite, *table.also)]


def _read(path: Path) -> Sequence[PublishedTable]:
    loaded: Sequence[Mapping[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        PublishedTable(
            **{
                **entry,
                "columns": tuple(entry["columns"]),
                "also": tuple(entry.get("also", ())),
                "rows": tuple(PublishedRow(**{**row, "figures": tuple(row["figures"])}) for row in entry["rows"]),
            }
        )
        for entry in loaded
    ]
