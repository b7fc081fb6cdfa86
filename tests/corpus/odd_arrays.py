"""Arrays that are no pictures, or hardly: each is restored, or refused with a typed error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class OddArray:
    """An array, and the words that the refusal must have; empty where it is to be restored."""

    case: str
    make: Callable[[], Array]
    said: str = ""

    @property
    def outcome(self) -> str:
        """What has to happen, in the words of the table."""
        return f"`InvalidRequest`: {self.said}" if self.said else "restored, same shape and dtype"


def odd_arrays() -> list[OddArray]:
    """All of them, in the order of the table."""
    dtypes = ("bool", "int8", "int16", "int32", "uint32", "uint64", "complex64", "object", "datetime64[s]")
    refused = [
        OddArray("one NaN among floats", lambda: spoilt(np.nan), "not finite"),
        OddArray("one infinity", lambda: spoilt(np.inf), "not finite"),
        OddArray("minus infinity", lambda: spoilt(-np.inf), "not finite"),
        OddArray("all NaN", lambda: np.full((8, 9, 3), np.nan), "not finite"),
        OddArray("floats 0 to 255", lambda: spoilt(255), "must be 0 to 1"),
        OddArray("floats of 1e30", lambda: spoilt(1e30), "must be 0 to 1"),
        OddArray("no dimension", lambda: np.array(0.5), "is no image"),
        OddArray("one dimension", lambda: np.zeros(9, np.uint8), "is no image"),
        OddArray("four dimensions", lambda: np.zeros((1, 8, 8, 3), np.uint8), "is no image"),
        OddArray("two channels", lambda: np.zeros((8, 8, 2), np.uint8), "is no image"),
        OddArray("channels first", lambda: np.zeros((3, 8, 8), np.uint8), "is no image"),
        OddArray("no rows", lambda: np.zeros((0, 8, 3), np.uint8), "is no image"),
        *(OddArray(f"dtype {name}", lambda name=name: np.zeros((8, 8, 3), name), "is no image") for name in dtypes),
    ]
    restored = [
        OddArray("a little outside of 0 to 1", lambda: spoilt(1.4)),
        OddArray("NaN in the alpha channel alone", clear),
        OddArray("values near the smallest float", lambda: np.full((8, 9, 3), 1e-45, np.float32)),
        OddArray("float16", lambda: spoilt(0.2).astype(np.float16)),
        OddArray("float64", lambda: spoilt(0.2).astype(np.float64)),
        OddArray("the widest float", lambda: spoilt(0.2).astype(np.longdouble)),
        OddArray("the other byte order", lambda: sample().astype(np.uint16).byteswap().view(swapped())),
        OddArray("floats in the other byte order", lambda: spoilt(0.2).astype(np.dtype(np.float32).newbyteorder())),
        OddArray("read-only", read_only),
        OddArray("upside down and mirrored, by strides", lambda: sample()[::-1, ::-1]),
        OddArray("every second pixel, by strides", lambda: sample()[::2, ::2]),
        OddArray("channels first in memory", lambda: sample().transpose(2, 0, 1).copy().transpose(1, 2, 0)),
        OddArray("one pixel repeated by strides of zero", lambda: np.broadcast_to(sample()[:1, :1], (40, 50, 3))),
        OddArray("1 x 1", lambda: sample()[:1, :1]),
        OddArray("1 x 1, grey", lambda: sample()[:1, :1, 0]),
        OddArray("1 x 3000", lambda: np.tile(sample()[:1, :30], (1, 100, 1))),
        OddArray("3000 x 1", lambda: np.tile(sample()[:30, :1], (100, 1, 1))),
        OddArray("2 x 65535", lambda: np.broadcast_to(sample()[:2, :1], (2, 65_535, 3))),
    ]
    return [*refused, *restored]


def sample() -> Array:
    return np.random.default_rng(1).integers(40, 215, (30, 34, 3), np.uint8)


def spoilt(value: float) -> Array:
    array = (sample() / 255).astype(np.float32)
    array[3, 4, 1] = value
    return array


def clear() -> Array:
    array = np.dstack([spoilt(0.5), np.ones((30, 34), np.float32)])
    array[2, 2, 3] = np.nan
    return array


def swapped() -> np.dtype[Any]:
    return np.dtype(np.uint16).newbyteorder()


def read_only() -> Array:
    array = sample()
    array.flags.writeable = False
    return array
