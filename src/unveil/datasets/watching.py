"""How slow work tells what it does: the library prints nothing, whoever calls it may listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _silent(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """Where messages and progress go; nowhere unless told otherwise.

    Attributes:
        say: called with a line for people.
        tick: called with what is being worked on, how much of it is done, and of how much if known (bytes or files).
    """

    say: Callable[[str], None] = _silent
    tick: Callable[[str, int, int | None], None] = _silent


SILENT = Watch()
