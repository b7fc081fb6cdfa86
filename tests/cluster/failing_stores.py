"""Stores on which something happens in the middle of a write; workers of Ray import this file too."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from unveil.errors import StoreError
from unveil.stores import Folder


def once(mark: Path) -> bool:
    """Whether this is the first call with this mark, in whatever process."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Killing(Folder):
    """Kills the process that writes `victim`: with half of it written, `after` it has its name, or each time."""

    victim: str = ""
    mark: Path = Path()
    after: bool = False
    always: bool = False

    def write(self, name: str, data: bytes) -> None:
        if name == self.victim and (self.always or once(self.mark)):
            if self.after:
                Folder.write(self, name, data)
            else:
                part = (self.root / name).parent / ".unveil-0123456789abcdef.part"
                part.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        Folder.write(self, name, data)


@dataclass(frozen=True, slots=True)
class Refusing(Folder):
    """Does not answer the first so many writes of `victim`."""

    victim: str = ""
    mark: Path = Path()
    times: int = 1

    def write(self, name: str, data: bytes) -> None:
        if name == self.victim and any(once(self.mark.with_suffix(f".{n}")) for n in range(self.times)):
            raise StoreError("the store did not answer")
        Folder.write(self, name, data)
