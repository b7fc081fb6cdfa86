"""What is done to a clean picture before it is measured: seeded, and with no dependence on other pictures.

A damage takes `H W 3` float32, 0..1, sRGB, and a NumPy generator, and gives the same on the grid of an 8-bit file. Its
`repr` is part of what makes a figure: when it changes, the figure is measured again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from unveil.degradations import DEGRADATIONS, quantise
from unveil.methods.mioir.degradations import Span, degrade_picture

Pixels: TypeAlias = NDArray[np.float32]


class Damage(Protocol):
    """Makes the input of a measurement from a picture."""

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels: ...


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Independent in every pixel and channel, of `sigma` levels of 255, clipped and made 8 bit.

    `cut`: values are cut off to 8 bit as in the code of AirNet and PromptIR, not rounded; that darkens by half a level.
    """

    sigma: float
    cut: bool = False

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        noisy = picture * 255.0 + random.normal(0, self.sigma, picture.shape)
        return eight_bit(np.floor(noisy) / 255) if self.cut else eight_bit(noisy / 255)


@dataclass(frozen=True, slots=True)
class JpegFile:
    """The round trip through libjpeg (Pillow), chroma at half resolution.

    `swapped`: red and blue change places in the file, as in the official code of ConStyle.
    """

    quality: int
    swapped: bool = False

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        order = slice(None, None, -1 if self.swapped else 1)
        file = io.BytesIO()
        pixels = np.ascontiguousarray((picture * 255).round().astype(np.uint8)[..., order])
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality, subsampling=2)
        decoded = np.asarray(Image.open(file).convert("RGB"))[..., order]
        return np.ascontiguousarray(decoded, np.float32) / np.float32(255)


@dataclass(frozen=True, slots=True)
class FewBits:
    """The lowest bits of 8 are cut off: `step * floor(x / step)`."""

    bits: int

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        step = 2 ** (8 - self.bits)
        levels = (picture * np.float32(255)).round()
        return eight_bit((levels - levels % step) / 255)


@dataclass(frozen=True, slots=True)
class Enlarged:
    """Made smaller by a whole factor and enlarged again, both bicubic (Pillow, with its anti-aliasing)."""

    factor: int

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        whole = Image.fromarray((picture * 255).round().astype(np.uint8))
        few = max(1, whole.width // self.factor), max(1, whole.height // self.factor)
        small = whole.resize(few, Image.Resampling.BICUBIC)
        return np.asarray(small.resize(whole.size, Image.Resampling.BICUBIC), np.float32) / np.float32(255)


@dataclass(frozen=True, slots=True)
class Generated:
    """One of unveil's own generators at a fixed severity; `options` are those of its class."""

    degradation: str
    severity: float
    options: Mapping[str, float] = field(default_factory=dict[str, float])

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        generator = torch.Generator().manual_seed(int(random.integers(2**31)))
        image = torch.from_numpy(picture).permute(2, 0, 1)[None]
        degrade = type(DEGRADATIONS[self.degradation])(**self.options)
        return quantise(degrade(image, self.severity, generator))[0].permute(1, 2, 0).contiguous().numpy()


@dataclass(frozen=True, slots=True)
class Composed:
    """Several damages, one after the other."""

    parts: tuple[Damage, ...]

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        for damage in self.parts:
            picture = damage(picture, random)
        return picture


@dataclass(frozen=True, slots=True)
class PublishedTask:
    """One of the seven degradations of MiOIR as its authors make them, in (`in`) or out of (`out`) the range trained.

    Haze has made-up depth, and what the authors do not publish of low resolution is ours
    (`unveil.methods.mioir.degradations`). Sides should be multiples of 4.
    """

    task: str
    span: Span = "in"

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        return degrade_picture(picture, self.task, random, span=self.span)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The clean picture itself: what a model does to a picture that has nothing wrong with it."""

    def __call__(self, picture: Pixels, random: np.random.Generator) -> Pixels:
        return picture


def chance(seed: int, name: str) -> np.random.Generator:
    """The generator for one picture: it depends on the seed and the picture's name alone, so any part can be redone."""
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest(), np.uint32)
    return np.random.default_rng([seed, *words.tolist()])


def eight_bit(image: NDArray[Any]) -> Pixels:
    """Clipped to 0..1 and rounded to the 256 levels of a file."""
    return (np.clip(image * 255, 0, 255).round() / 255).astype(np.float32)
