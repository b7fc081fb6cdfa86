"""Pairs of degraded and clean pictures from two folders, and batches of crops from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Self, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unveil.data.photographs import Photographs
from unveil.datasets import locate
from unveil.errors import RecipeError

Pair: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Pairs:
    """Degraded and clean pictures that have the same path, but for the ending, below two folders.

    Args:
        degraded, clean: the folders.
        shortest: pairs with a shorter side below this are left out.
        memory: bytes of decoded pixels to keep.
        only: names of the pairs to take; all by default.

    Raises:
        RecipeError: a folder is missing, a picture has no partner, or there are none.
    """

    def __init__(
        self,
        degraded: Path,
        clean: Path,
        *,
        shortest: int,
        memory: int = 1 << 30,
        only: Collection[str] | None = None,
    ) -> None:
        inputs, truths = (Photographs([folder], shortest=shortest, memory=memory // 2) for folder in (degraded, clean))
        first, second = (
            {PurePosixPath(name).with_suffix("").as_posix(): index for index, name in enumerate(part.names)}
            for part in (inputs, truths)
        )
        self.names = sorted(name for name in first.keys() & second.keys() if only is None or name in only)
        if alone := sorted(first.keys() ^ second.keys()):
            where = degraded if alone[0] in first else clean
            raise RecipeError(
                f"{len(alone)} pictures have no partner of the same name, the first of them {alone[0]} in {where}; "
                f"{degraded} has {len(first)} pictures, {clean} has {len(second)}"
            )
        self._inputs, self._truths = inputs, truths
        self._places = [(first[name], second[name]) for name in self.names]

    @classmethod
    def of_set(cls, name: str, *, shortest: int, memory: int = 1 << 30, root: Path | None = None) -> Self:
        """The pairs of a public data set as `unveil prepare` arranges it, several inputs of one truth included.

        Args:
            name: `set/part` of the catalogue, such as `gopro/train`.
            shortest, memory: as above.
            root: the folder of all sets; `$UNVEIL_DATA`, or `data` in the working folder, by default.

        Raises:
            DataSetMissing: it is not there.
            InvalidRequest: it is not in the catalogue.
            RecipeError: it has no pairs, or truths of another size than their inputs.
        """
        found = locate(root, name)
        if found.scale != 1 or found.border or any(pair.input is None or pair.target is None for pair in found.pairs):
            raise RecipeError(f"{found.name} has no pairs of equal size; take another set, or two folders")
        pictures = Photographs([found.folder], shortest=shortest, memory=memory)
        places = {found.folder / picture: index for index, picture in enumerate(pictures.names)}
        made = cls.__new__(cls)
        made.names = [pair.name for pair in found.pairs]
        made._inputs = made._truths = pictures
        made._places = [(places[cast(Path, pair.input)], places[cast(Path, pair.target)]) for pair in found.pairs]
        return made

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, index: int) -> Pair | None:
        """Degraded and clean, `H W 3` uint8 of one size; `None` where one cannot be read or is too small.

        Raises:
            RecipeError: the two differ in size.
        """
        degraded, clean = (
            collection.pixels(place)
            for collection, place in zip((self._inputs, self._truths), self._places[index], strict=True)
        )
        if degraded is None or clean is None:
            return None
        if degraded.shape != clean.shape:
            raise RecipeError(
                f"{self.names[index]}: the degraded picture is {degraded.shape[1]} x {degraded.shape[0]}, "
                f"the clean one {clean.shape[1]} x {clean.shape[0]}; a pair has one size"
            )
        return degraded, clean

    def digest(self) -> str:
        """`sha256:` over names and sizes of the degraded files."""
        return self._inputs.digest()


class PairBatches:
    """Called with a step, a batch of crops: degraded and clean, `B 3 P P` uint8, and labels `B` int64.

    Args:
        collections: one for each label, drawn equally often.
        batch, patch: B and P.
        seed: of all draws.
        upright: mirror crops, but do not turn them.
    """

    def __init__(
        self, collections: Sequence[Pairs], *, batch: int, patch: int, seed: int = 0, upright: bool = False
    ) -> None:
        self.collections = tuple(collections)
        self.batch, self.patch, self.seed, self.upright = batch, patch, seed, upright

    def __call__(self, step: int, part: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        random = np.random.default_rng((self.seed, step, part) if part else (self.seed, step))
        crops = np.empty((2, self.batch, self.patch, self.patch, 3), np.uint8)
        labels = random.integers(len(self.collections), size=self.batch)
        for sample, label in enumerate(labels):
            pair = self._pair(self.collections[label], random)
            rows, columns = (int(random.integers(length - self.patch + 1)) for length in pair[0].shape[:2])
            turns = int(random.integers(8))
            for side, picture in enumerate(pair):
                crop = picture[rows : rows + self.patch, columns : columns + self.patch]
                crop = crop if self.upright else np.rot90(crop, turns % 4)
                crops[side, sample] = crop[:, ::-1] if turns >= 4 else crop
        degraded, clean = (torch.from_numpy(side).permute(0, 3, 1, 2) for side in crops)
        return degraded, clean, torch.from_numpy(labels)

    def digest(self) -> str:
        """`sha256:` of what the crops are cut from."""
        return " ".join(collection.digest() for collection in self.collections)

    def _pair(self, collection: Pairs, random: np.random.Generator) -> Pair:
        for _ in range(8 * len(collection)):
            pair = collection.pixels(int(random.integers(len(collection))))
            if pair is not None and min(pair[0].shape[:2]) >= self.patch:
                return pair
        raise RecipeError(
            f"none of the {len(collection)} pairs, {collection.names[0]} and so on, can be read and has sides of "
            f"{self.patch} pixels or more"
        )
