"""Exposure: a dark picture is brightened once, as a whole, before a network sees its tiles.

How bright a picture should be cannot be told from a part of it: a network that decides it piece by piece leaves clouds
on even surfaces. So two numbers are taken of the whole picture, and the network that follows has noise, colour and what
is left of the tone to mend. Both rules, and their figures, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Image = TypeVar("Image")

QUANTILE, BRIGHT = 0.99, 0.95
"""Of the brightest channel, this share of pixels is to lie below this value: a gain, light being linear up to gamma."""
MIDDLE = 0.3
"""The least median of the brightest channel after that: what is darker lacked more than light, and gets a gamma."""
LARGEST_GAIN, LARGEST_GAMMA = 16.0, 3.0
_SAMPLES = 1 << 20


@dataclass(frozen=True, slots=True)
class Exposure:
    """`y = (gain x)^(1 / gamma)`, cut off at 1; of 1 and 1 it changes nothing."""

    gain: float = 1.0
    gamma: float = 1.0

    def __call__(self, image: Image) -> Image:
        """Values 0..1 to brighter ones, 0..1; a NumPy array or a PyTorch tensor, of any shape, and a new one."""
        if self.gain == self.gamma == 1:
            return image
        brighter = (cast("Any", image) * self.gain).clip(0, 1)
        return brighter if self.gamma == 1 else brighter ** (1 / self.gamma)

    def partly(self, share: float) -> Exposure:
        """As much of it as an adapter has weight, 0 to 1; more counts as 1."""
        share = min(share, 1.0)
        return Exposure(self.gain**share, self.gamma**share)


def measure(pixels: NDArray[Any]) -> Exposure:
    """What would expose a picture fully: H W C, uint8, uint16 or float 0..1.

    Of large pictures every so manieth pixel is looked at.
    """
    step = math.isqrt(max(pixels.shape[0] * pixels.shape[1] // _SAMPLES, 1))
    brightest = pixels[::step, ::step].max(2).astype(np.float32)
    if pixels.dtype.kind == "u":
        brightest /= np.iinfo(pixels.dtype).max
    high = max(float(np.quantile(brightest, QUANTILE)), 1e-6)
    gain = min(max(BRIGHT / high, 1.0), LARGEST_GAIN)
    middle = min(max(float(np.median(brightest)) * gain, 1e-3), 1.0)
    gamma = min(max(math.log(middle) / math.log(MIDDLE), 1.0), LARGEST_GAMMA)
    return Exposure(gain, gamma)


def of_blend(pixels: NDArray[Any], weights: Mapping[str, float], exposing: Iterable[str]) -> Exposure:
    """The exposure that a blend asks for: `exposing` are the adapters that were trained on exposed pictures."""
    share = sum(weights.get(name, 0.0) for name in exposing)
    return measure(pixels).partly(share) if share > 0 else Exposure()
