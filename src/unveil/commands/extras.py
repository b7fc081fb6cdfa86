"""What is imported only when a command needs it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from unveil.errors import MissingExtra


@contextmanager
def needs_extra(what: str, extra: str) -> Generator[None]:
    """Turn a missing package inside the block into MissingExtra; `what` needs the optional `extra`."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "unveil":
            raise
        raise MissingExtra(what, extra) from missing
