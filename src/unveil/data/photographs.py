"""A collection of clean photographs, decoded once and kept where they fit."""

from __future__ import annotations

import contextlib
import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from copy import copy
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unveil import images
from unveil.data.places import open_place
from unveil.errors import RecipeError, StoreError, UnveilError


class Photographs:
    """Clean photographs of some places, in a fixed order.

    Args:
        folders: folders, searched recursively, in order, files sorted by path inside each; tar shards, as the folder
            of `unveil data shards` or as a pattern (`shards/*.tar`); or URLs of either (extra `cluster`).
        shortest: photographs with a shorter side below this are left out.
        memory: bytes of decoded pixels to keep. What does not fit is decoded anew each time.

    Raises:
        RecipeError: a place does not exist, or no photograph is large enough.
        StoreError, MissingExtra: a URL does not answer, or its package is not installed.
    """

    def __init__(self, folders: Sequence[Path | str], *, shortest: int, memory: int = 2 << 30) -> None:
        self._places = [open_place(folder) for folder in folders]
        self._ends = list(accumulate(len(place) for place in self._places))
        self._chosen: NDArray[np.int64] = np.arange(self._ends[-1] if self._ends else 0)
        self.shortest = shortest
        self._room = memory
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._unfit: dict[int, str] = {}
        # By number in all places: parts of a split and the workers of a loader say here what they left out.
        self._left_out = torch.zeros(len(self._chosen), dtype=torch.bool).share_memory_()
        if not len(self):
            raise RecipeError(
                f"no photographs in {[str(folder) for folder in folders]}: give folders of clean pictures with --data"
            )

    def __getstate__(self) -> dict[str, object]:
        # Each process keeps pixels of its own.
        return {**self.__dict__, "_kept": {}}

    def __len__(self) -> int:
        return len(self._chosen)

    def name(self, index: int) -> str:
        """Photograph `index` by its path below its folder."""
        place, inside = self._find(index)
        return self._places[place].name(inside)

    @property
    def names(self) -> list[str]:
        """The names of all photographs, in order."""
        return [self.name(index) for index in range(len(self))]

    def pixels(self, index: int) -> NDArray[np.uint8] | None:
        """Photograph `index` as `H W 3` uint8 sRGB, or `None` where it cannot be read or is too small.

        Raises StoreError where a store does not answer: to go on without the photograph would change all that follows.
        """
        if index in self._kept:
            return self._kept[index]
        if index in self._unfit:
            return None
        place, inside = self._find(index)
        try:
            pixels = images.read(self._places[place].read(inside)).srgb()
        except StoreError:
            raise
        except (UnveilError, OSError) as error:
            return self._leave_out(index, str(error))
        if min(pixels.shape[:2]) < self.shortest:
            height, width = pixels.shape[:2]
            return self._leave_out(index, f"{width} x {height}, and sides of {self.shortest} are needed")
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        if pixels.nbytes <= self._room:
            self._room -= pixels.nbytes
            self._kept[index] = pixels
        return pixels

    def skipped(self) -> dict[str, str]:
        """What was left out so far, and why: name -> reason. Photographs that nobody asked for are not among them."""
        lost = {name: reason for place in self._places for name, reason in place.lost().items()}
        left_out = self._left_out.numpy()[self._chosen]
        # The reason is found anew where it was another process, or a part of a split, that met it.
        with contextlib.suppress(RecipeError):
            for index in np.flatnonzero(left_out):
                self.pixels(int(index))
        return lost | {self.name(index): reason for index, reason in self._unfit.items()}

    def split(self, every: int) -> tuple[Photographs, Photographs]:
        """Two collections: all but each `every`-th photograph, and those; with `every` 0, all of them in both."""
        if every < 2:
            return self, self
        kept, held = copy(self), copy(self)
        is_held = np.arange(len(self)) % every == every - 1
        for part, chosen in ((kept, self._chosen[~is_held]), (held, self._chosen[is_held])):
            part._chosen = chosen
            part._kept, part._unfit = {}, {}
        return kept, held

    def digest(self) -> str:
        """`sha256:` over names and sizes of the files: enough to notice that a run was resumed on other data."""
        total = hashlib.sha256()
        inside: list[list[int]] = [[] for _ in self._places]
        for index in range(len(self)):
            place, number = self._find(index)
            inside[place].append(number)
        for place, numbers in zip(self._places, inside, strict=True):
            for line in place.lines(numbers):
                total.update(f"{line}\n".encode())
        return f"sha256:{total.hexdigest()}"

    def _find(self, index: int) -> tuple[int, int]:
        """The place of a photograph, and its number there."""
        number = int(self._chosen[index])
        place = bisect_right(self._ends, number)
        return place, number - (self._ends[place - 1] if place else 0)

    def _leave_out(self, index: int, reason: str) -> None:
        self._unfit[index] = reason
        self._left_out[int(self._chosen[index])] = True
        if len(self._unfit) == len(self):
            raise RecipeError(
                f"none of the {len(self)} files is a readable photograph of {self.shortest} pixels or more"
            )
