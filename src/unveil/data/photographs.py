"""A collection of clean photographs, decoded once and kept where they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unveil import images
from unveil.errors import RecipeError, UnveilError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif")


class Photographs:
    """Clean photographs of some folders, in a fixed order.

    Args:
        folders: searched recursively, in order; files sorted by path inside each.
        shortest: photographs with a shorter side below this are left out.
        memory: bytes of decoded pixels to keep. What does not fit is decoded anew each time.

    Raises:
        RecipeError: a folder does not exist, or no photograph is large enough.
    """

    def __init__(self, folders: Sequence[Path | str], *, shortest: int, memory: int = 2 << 30) -> None:
        self.paths = [path for folder in folders for path in _pictures(Path(folder))]
        self.shortest = shortest
        self._room = memory
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._unfit: set[int] = set()
        if not self.paths:
            raise RecipeError(
                f"no photographs in {[str(folder) for folder in folders]}: give folders of clean pictures with --data"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def pixels(self, index: int) -> NDArray[np.uint8] | None:
        """Photograph `index` as `H W 3` uint8 sRGB, or `None` where it cannot be read or is too small."""
        if index in self._kept:
            return self._kept[index]
        if index in self._unfit:
            return None
        try:
            pixels = images.read(self.paths[index]).srgb()
        except UnveilError:
            pixels = None
        if pixels is None or min(pixels.shape[:2]) < self.shortest:
            self._unfit.add(index)
            if len(self._unfit) == len(self.paths):
                raise RecipeError(
                    f"none of the {len(self.paths)} files is a readable photograph of {self.shortest} pixels or more"
                )
            return None
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        if pixels.nbytes <= self._room:
            self._room -= pixels.nbytes
            self._kept[index] = pixels
        return pixels

    def split(self, every: int) -> tuple[Photographs, Photographs]:
        """Two collections: all but each `every`-th photograph, and those; with `every` 0, all of them in both."""
        if every < 2:
            return self, self
        kept, held = copy(self), copy(self)
        held.paths = self.paths[every - 1 :: every]
        kept.paths = [path for index, path in enumerate(self.paths) if index % every != every - 1]
        for part in (kept, held):
            part._kept, part._unfit = {}, set()
        return kept, held

    def digest(self) -> str:
        """`sha256:` over names and sizes of the files: enough to notice that a run was resumed on other data."""
        total = hashlib.sha256()
        for path in self.paths:
            total.update(f"{path.name} {path.stat().st_size}\n".encode())
        return f"sha256:{total.hexdigest()}"


def _pictures(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise RecipeError(f"{folder} is not a folder; training data are folders of clean photographs")
    yield from (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file())
