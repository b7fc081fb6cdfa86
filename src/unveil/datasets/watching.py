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
        tick: called with what is being done, to how many files already, and of how many if known.
        receive: called with the name of a file, how many bytes of it have come, and of how many if known.
    """

    say: Callable[[str], None] = _silent
    tick: Callable[[str, int, int | None], None] = _silent
    receive: Callable[[str, int, int | None], None] = _silent


SILENT = Watch()
