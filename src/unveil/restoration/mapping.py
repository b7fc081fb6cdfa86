"""Where in a picture which damage is: what ABAIR's segmentation head says, region by region."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import EngineError
from unveil.restoration.stitching import cut
from unveil.restoration.tiles import Plan

FINEST = 8
"""Side of a region in pixels, where the network's grid allows it."""


@dataclass(frozen=True, slots=True, eq=False)
class DamageMap:
    """What is wrong with each region of a picture.

    Attributes:
        shares: rows, columns, classes; float32, of each region the probabilities of all classes, which sum to one.
        classes: identifiers of degradations; `clean` where the model tells that too.
        printed: their names for people.
        cell: side of a region in pixels; those at the right and the bottom may be smaller.
        height, width: of the picture.
    """

    shares: NDArray[np.float32] = field(repr=False)
    classes: tuple[str, ...]
    printed: dict[str, str]
    cell: int
    height: int
    width: int

    @property
    def labels(self) -> NDArray[np.intp]:
        """Rows, columns: the index of the likeliest class of each region."""
        return self.shares.argmax(2)

    @property
    def coverage(self) -> dict[str, float]:
        """The share of the picture's area that each class has, the largest first; all sum to one."""
        rows, columns = self.shares.shape[:2]
        down = np.array([min(self.height - self.cell * row, self.cell) for row in range(rows)])
        across = np.array([min(self.width - self.cell * column, self.cell) for column in range(columns)])
        areas = np.bincount(self.labels.ravel(), np.outer(down, across).ravel(), len(self.classes))
        found = zip(self.classes, (areas / (self.height * self.width)).tolist(), strict=True)
        return dict(sorted(found, key=lambda entry: -entry[1]))


def cell_side(stride: int) -> int:
    """The side of a region: every tile begins at the edge of one."""
    return math.gcd(FINEST, stride)


def map_tiles(
    pixels: NDArray[Any],
    plan: Plan,
    run: Callable[[NDArray[np.float32]], NDArray[Any]],
    *,
    classes: tuple[str, ...],
    printed: Mapping[str, str],
    cell: int,
) -> DamageMap:
    """Map a picture tile by tile; tiles are feathered as a restoration's are.

    Args:
        pixels: H W C, C 1 or 3; uint8, uint16 or float 0..1.
        plan: made for this height and width; origins and tiles are multiples of `cell`.
        run: `1 3 h w` -> logits `1 classes h/s w/s`, s any divisor of h and w.

    Raises:
        EngineError: the network answers with another shape, or with values that are not numbers.
    """
    height, width = pixels.shape[:2]
    rows, columns = -(-height // cell), -(-width // cell)
    total = np.zeros((rows, columns, len(classes)), np.float64)
    for top, down in zip(plan.rows.origins, plan.rows.weights, strict=True):
        for left, across in zip(plan.columns.origins, plan.columns.weights, strict=True):
            logits = run(cut(pixels, top, left, plan.rows.tile, plan.columns.tile))
            shares = _to_cells(_softmax(logits, len(classes)), plan.rows.tile // cell, plan.columns.tile // cell)
            shares *= np.outer(down.reshape(-1, cell).mean(1), across.reshape(-1, cell).mean(1))[:, :, None]
            first, start = top // cell, left // cell
            inside = shares[: rows - first, : columns - start]
            total[first : first + inside.shape[0], start : start + inside.shape[1]] += inside
    total /= total.sum(2, keepdims=True)
    return DamageMap(
        total.astype(np.float32), classes, {name: printed.get(name, name) for name in classes}, cell, height, width
    )


def _softmax(logits: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """`1 K h w` -> h w K."""
    if logits.ndim != 4 or logits.shape[:2] != (1, classes) or not np.isfinite(logits).all():
        raise EngineError(
            f"the network of the map answered with shape {logits.shape}, or with values that are not numbers; expected "
            f"(1, {classes}, height, width)."
        )
    planes = logits[0].astype(np.float64).transpose(1, 2, 0)
    exponentials = np.exp(planes - planes.max(2, keepdims=True))
    return exponentials / exponentials.sum(2, keepdims=True)


def _to_cells(shares: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """h w K -> rows columns K: means where the network is finer than the regions, repeated where it is coarser."""
    for axis, count in ((0, rows), (1, columns)):
        length = shares.shape[axis]
        if length % count == 0:
            shape = (*shares.shape[:axis], count, length // count, *shares.shape[axis + 1 :])
            shares = shares.reshape(shape).mean(axis + 1)
        elif count % length == 0:
            shares = np.repeat(shares, count // length, axis=axis)
        else:
            raise EngineError(f"the network of the map answered with {length} rows or columns for {count} regions.")
    return shares
