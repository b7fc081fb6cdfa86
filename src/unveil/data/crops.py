"""Batches of clean crops that depend on (seed, step, part) alone, so that a resumed run sees what it would have."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unveil.data.photographs import Photographs


def middle(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    """The middle of a picture H W C, at most `side` pixels high and wide, on its own in memory."""
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


class CropBatches:
    """Called with a step, a batch `B 3 P P` uint8 of random crops, flipped and turned.

    Args:
        photographs: where crops come from, each photograph equally often.
        batch, patch: B and P.
        seed: of all draws.
        halve: share of crops taken at twice the size and halved by averaging, where the photograph is large enough.
            That removes what noise and compression a photograph has itself, and makes it sharper.
        upright: mirror crops, but do not turn them: for whoever must know where skies are and how rain falls.
    """

    def __init__(
        self,
        photographs: Photographs,
        *,
        batch: int,
        patch: int,
        seed: int = 0,
        halve: float = 0.3,
        upright: bool = False,
    ) -> None:
        self.photographs = photographs
        self.batch, self.patch = batch, patch
        self.seed, self.halve, self.upright = seed, halve, upright

    def __call__(self, step: int, part: int = 0) -> Tensor:
        random = np.random.default_rng((self.seed, step, part) if part else (self.seed, step))
        crops = np.empty((self.batch, self.patch, self.patch, 3), np.uint8)
        filled = 0
        while filled < self.batch:
            pixels = self.photographs.pixels(int(random.integers(len(self.photographs))))
            if pixels is not None:
                crops[filled] = self._crop(pixels, random)
                filled += 1
        return torch.from_numpy(crops).permute(0, 3, 1, 2)

    def digest(self) -> str:
        """`sha256:` of what the crops are cut from."""
        return self.photographs.digest()

    def _crop(self, pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
        halve = random.random() < self.halve and min(pixels.shape[:2]) >= 2 * self.patch
        side = self.patch * (2 if halve else 1)
        top = int(random.integers(pixels.shape[0] - side + 1))
        left = int(random.integers(pixels.shape[1] - side + 1))
        crop = pixels[top : top + side, left : left + side]
        if halve:
            total = crop.astype(np.uint16).reshape(self.patch, 2, self.patch, 2, 3).sum((1, 3))
            crop = ((total + 2) >> 2).astype(np.uint8)
        turns = int(random.integers(8))
        if not self.upright:
            crop = np.rot90(crop, turns % 4)
        return crop[:, ::-1] if turns >= 4 else crop
