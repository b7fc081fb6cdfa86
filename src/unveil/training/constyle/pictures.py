"""What the encoder of v2 is pre-trained on: two random crops of each picture, and its class where folders tell one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from unveil.data import Photographs
from unveil.methods.constyle.degradations import snowed
from unveil.methods.phase import step_generator

RATIO = (3 / 4, 4 / 3)
"""Of width to height of a crop before it is made square, as in common training on ImageNet."""


class PretextBatches:
    """Called with a step: crops of queries and keys, `B 3 P P` uint8 each, classes `B`, and which queries are spoilt.

    As published, a picture that is to have snow gets it whole, before it is resized and cropped; query and key are cut
    apart from each other. Batches depend on (seed, step, part) alone.

    Args:
        photographs: pictures, each equally often.
        labels: class of each.
        batch, patch: B and P.
        resize: length of the shorter side before cropping; 0 leaves pictures as they are.
        scale: share of the area that a crop has, lowest and highest.
        snow: share of queries that are spoilt.
        one: cut the key where the query is cut (ours).
        seed: of all draws.
    """

    def __init__(
        self,
        photographs: Photographs,
        labels: Sequence[int],
        *,
        batch: int,
        patch: int,
        resize: int = 256,
        scale: tuple[float, float] = (0.08, 1.0),
        snow: float = 0.4,
        one: bool = False,
        seed: int = 0,
    ) -> None:
        self.photographs, self.labels = photographs, labels
        self.batch, self.patch, self.resize, self.scale = batch, patch, resize, scale
        self.snow, self.one, self.seed = snow, one, seed

    def __call__(self, step: int, part: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        generator = step_generator(self.seed, step, part)
        queries, keys, classes, spoilt = [], [], [], []
        while len(queries) < self.batch:
            place = int(torch.randint(0, len(self.photographs), (), generator=generator))
            pixels = self.photographs.pixels(place)
            if pixels is None:
                continue
            is_spoilt = bool(torch.rand((), generator=generator) < self.snow)
            query, key = self._cut(pixels, is_spoilt, generator)
            queries.append(query)
            keys.append(key)
            classes.append(self.labels[place])
            spoilt.append(is_spoilt)
        return torch.stack(queries), torch.stack(keys), torch.tensor(classes), torch.tensor(spoilt)

    def digest(self) -> str:
        """`sha256:` of what the crops are cut from."""
        return self.photographs.digest()

    def _cut(self, pixels: NDArray[np.uint8], is_spoilt: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        clean = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
        degraded = clean
        if is_spoilt:
            degraded = (snowed(clean.float() / 255, generator) * 255).round().to(torch.uint8)
        shrink = self.resize / min(clean.shape[1:]) if self.resize else 1.0
        first = self._window(clean, shrink, generator)
        second = first if self.one else self._window(clean, shrink, generator)
        return self._square(degraded, first), self._square(clean, second)

    def _window(self, image: Tensor, shrink: float, generator: torch.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of a random part, in pixels of the picture.

        Cropping from a picture that was resized first is the same as cropping from the picture, but for the sampling.
        """
        height, width = image.shape[-2:]
        for _ in range(10):
            share, ratio = torch.rand(2, generator=generator).tolist()
            area = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * share)
            ratio = math.exp(math.log(RATIO[0]) + (math.log(RATIO[1]) - math.log(RATIO[0])) * ratio)
            rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < rows <= height and 0 < columns <= width and min(rows, columns) * shrink >= 1:
                break
        else:
            rows = columns = min(height, width)
        top = int(torch.randint(0, height - rows + 1, (), generator=generator))
        left = int(torch.randint(0, width - columns + 1, (), generator=generator))
        return top, left, rows, columns

    def _square(self, image: Tensor, window: tuple[int, int, int, int]) -> Tensor:
        top, left, rows, columns = window
        crop = image[None, :, top : top + rows, left : left + columns].float()
        if self.resize and self.resize < min(image.shape[1:]):
            shrink = self.resize / min(image.shape[1:])
            crop = _resampled(crop, max(1, round(rows * shrink)), max(1, round(columns * shrink)))
        return _resampled(crop, self.patch, self.patch)[0].round().clamp(0, 255).to(torch.uint8)


def classes_of(photographs: Photographs) -> tuple[list[int], tuple[str, ...]]:
    """The class of each photograph, and the names of the classes: the first folder below the one that was given.

    Pictures that lie in no such folder are a class of their own, `.`; of one class alone nothing can be learnt.
    """
    parts = [name.split("/") for name in photographs.names]
    names = [part[0] if len(part) > 1 else "." for part in parts]
    known = tuple(sorted(set(names)))
    return [known.index(name) for name in names], known


def _resampled(crop: Tensor, rows: int, columns: int) -> Tensor:
    if crop.shape[-2:] == (rows, columns):
        return crop
    return functional.interpolate(crop, (rows, columns), mode="bilinear", antialias=True)
