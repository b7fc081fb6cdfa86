"""Batches of clean crops that depend on (seed, step) alone, so that a resumed run sees what it would have seen."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unveil.data.photographs import Photographs


class CropBatches(Dataset[Tensor]):
    """Item `step` is a batch `B 3 P P` uint8 of random crops, flipped and turned.

    Args:
        photographs: where crops come from, each photograph equally often.
        batch, patch: B and P.
        steps: number of batches.
        start: first step, for a resumed run.
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
        steps: int,
        start: int = 0,
        seed: int = 0,
        halve: float = 0.3,
        upright: bool = False,
    ) -> None:
        self.photographs = photographs
        self.batch, self.patch, self.steps, self.start = batch, patch, steps, start
        self.seed, self.halve, self.upright = seed, halve, upright

    def __len__(self) -> int:
        # The loop counts batches from the start of the whole run, also in a resumed one, and stops at the last step.
        return self.steps

    def __getitem__(self, item: int) -> Tensor:
        random = np.random.default_rng((self.seed, self.start + item))
        crops = np.empty((self.batch, self.patch, self.patch, 3), np.uint8)
        filled = 0
        while filled < self.batch:
            pixels = self.photographs.pixels(int(random.integers(len(self.photographs))))
            if pixels is not None:
                crops[filled] = self._crop(pixels, random)
                filled += 1
        return torch.from_numpy(crops).permute(0, 3, 1, 2)

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
