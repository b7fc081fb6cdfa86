"""One digest for a folder of files, so that two people can tell whether they have the same set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def of_folder(checksums: Mapping[str, str]) -> str:
    """SHA-256 over the lines `sha256  relative/path` + newline, sorted by path; `checksums` maps path to sha256."""
    total = hashlib.sha256()
    for path in sorted(checksums):
        total.update(f"{checksums[path]}  {path}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()
