"""Where the tiles of a picture lie and how they are feathered together.

The geometry depends only on the size of the picture and on the network, so the same picture gives the same result on
every machine. All tiles of a picture have one shape, so one session serves them all. Origins are multiples of the total
stride: a network of stride 8 answers differently on a grid moved by one pixel, and no feathering repairs that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SIDE = 512
LARGEST_SIDE = 1024
MEMORY = 352 << 20
"""Bytes of working memory that a tile larger than `SIDE` may need. Larger tiles overlap less; smaller ones lie in the
cache: docs/performance.md has what that costs and gains."""

# Networks with global statistics answer slightly differently in each tile; a ramp of this many pixels hides the step.
FEATHER = 16


def side_of(footprint: int) -> int:
    """About how long the sides of tiles are for a network with this footprint (`unveil.models.Card`)."""
    if footprint == 0:
        return SIDE
    return min(max(math.isqrt(MEMORY // footprint), SIDE), LARGEST_SIDE)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The tiles along one axis of `length` pixels.

    A tile covers `tile` pixels from its origin; what lies beyond the picture is padding. `weights[i, p]` is the share
    that pixel p of tile i has in the result: over all tiles the shares of a pixel sum to one, and they are zero within
    the halo of an edge that is not the picture's own.
    """

    length: int
    tile: int
    origins: tuple[int, ...]
    weights: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """The tiles of a picture: every origin of `rows` with every origin of `columns`."""

    rows: Axis
    columns: Axis

    @property
    def count(self) -> int:
        return len(self.rows.origins) * len(self.columns.origins)

    @property
    def area(self) -> int:
        """Pixels of a tile."""
        return self.rows.tile * self.columns.tile


def plan(height: int, width: int, *, size_multiple: int, stride: int, halo: int, side: int = SIDE) -> Plan:
    """Lay tiles of about `side` x `side` pixels over a picture.

    Sides of tiles are multiples of `size_multiple`. Neighbours overlap by at least two halos and the feather, so no
    pixel of the result is nearer than `halo` to an edge that the picture does not have. The last tile ends where the
    picture in one piece does, extended to a multiple of `size_multiple`.
    """
    rows, columns = (_axis(length, size_multiple, stride, halo, side) for length in (height, width))
    return Plan(rows, columns)


def _axis(length: int, multiple: int, stride: int, halo: int, side: int) -> Axis:
    overlap = 2 * halo + FEATHER
    # Below twice the overlap a pixel could lie in three tiles, and most of the work would be repeated.
    smallest = _up(max(2 * overlap, overlap + stride), multiple)
    # Sides a step apart all let the last tile, whose origin is a multiple of the stride, end where the picture does.
    step, end = math.lcm(multiple, stride), _up(length, multiple)
    tile = max(side - (side - end) % step, smallest + (end - smallest) % step)
    if length <= tile:
        tile, origins = end, (0,)
    else:
        count = 1 + -(-(length - tile) // _down(tile - overlap, stride))
        # The least side with which as many tiles still reach the end: just above one tile, two small ones do.
        while tile - step >= smallest and _reach(tile - step, count, overlap, stride) >= length:
            tile -= step
        last = _up(length - tile, stride) // stride
        origins = tuple(index * last // (count - 1) * stride for index in range(count))
    return Axis(length, tile, origins, _shares(tile, origins, halo))


def _reach(tile: int, count: int, overlap: int, stride: int) -> int:
    return (count - 1) * _down(tile - overlap, stride) + tile


def _shares(tile: int, origins: tuple[int, ...], halo: int) -> NDArray[np.float32]:
    pixels = np.arange(tile, dtype=np.float64)
    shares = np.ones((len(origins), tile))
    for index in range(1, len(origins)):
        step = origins[index] - origins[index - 1]
        # A wider ramp would still fall where the tile after this one begins to rise: three shares, of more than one.
        following = origins[index + 1] - origins[index] if index + 1 < len(origins) else tile
        width = min(tile - step - 2 * halo, following)
        ramp = np.clip((pixels - halo + 0.5) / width, 0, 1)
        shares[index] *= ramp
        shares[index - 1, step:] *= 1 - ramp[: tile - step]
    return shares.astype(np.float32)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _down(value: int, multiple: int) -> int:
    return value // multiple * multiple
