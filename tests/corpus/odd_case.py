"""What a case of the corpus is: how the file is made, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import PictureError

Pixels = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class OddFile:
    """A strange file. `case` are the words of the table, `group` its heading, `name` the file's name.

    error: what reading it raises; None where it is read. said: in the error's message, or in the warning's; empty where
    nothing is said. pixels: what must be read, H W C; None where that is not known to the bit.
    """

    group: str
    case: str
    name: str
    make: Callable[[], bytes]
    error: type[PictureError] | None = None
    said: str = ""
    pixels: Pixels | None = None

    @property
    def outcome(self) -> str:
        """What has to happen, in the words of the table."""
        if self.error is not None:
            return f"`{self.error.__name__}`" + (f": {self.said}" if self.said else "")
        return f"read, with a warning: {self.said}" if self.said else "read"
