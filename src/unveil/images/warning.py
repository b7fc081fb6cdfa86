"""What may surprise the owner of a picture, said as a Python warning."""

from __future__ import annotations

import sys
import warnings
from os import PathLike, fspath


class PictureWarning(UserWarning):
    """Said when a picture can be read or written, but not all of it: further pages, a broken profile, CMYK colours."""


def warn(path: str | PathLike[str] | None, what: str) -> None:
    """Warn about the picture at `path`, on behalf of the caller outside unveil."""
    level = 1
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "unveil":
        frame, level = frame.f_back, level + 1
    warnings.warn(what if path is None else f"{fspath(path)}: {what}", PictureWarning, stacklevel=level)
