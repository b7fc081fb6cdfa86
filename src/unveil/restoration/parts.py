"""What is said of a whole picture at native resolution: the mean of what its parts say, each weighing its area.

For a network that ends in a mean over all pixels (codes, logits that are linear in such a mean) this is what it would
say of the picture in one piece, but for the few pixels where parts meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.restoration.stitching import cut

# A part of this side with 64 channels at half resolution takes 64 MiB.
PART = 1024
SMALLEST = 16
"""Sides below are reflected: a strided convolution without padding needs some pixels to see anything."""


def mean_over_parts(
    pixels: NDArray[Any],
    run: Callable[[NDArray[np.float32]], NDArray[Any]],
    *,
    multiple: int = 1,
    side: int = PART,
) -> NDArray[np.float32]:
    """Run a network over the parts of a picture and average what it gives.

    Args:
        pixels: H W C, C 1 or 3; uint8, uint16 or float 0..1.
        run: `1 3 h w` float32, 0..1 -> an array of the same shape for every part.
        multiple: h and w are multiples of it; what lacks at the picture's end is reflected.
        side: of the parts, about.
    """
    height, width = pixels.shape[:2]
    side = max(side // multiple, 1) * multiple
    total: NDArray[np.float64] | None = None
    for top in range(0, height, side):
        rows = min(side, height - top)
        for left in range(0, width, side):
            columns = min(side, width - left)
            part = cut(pixels, top, left, _up(rows, multiple), _up(columns, multiple))
            share = run(part).astype(np.float64) * (rows * columns / (height * width))
            total = share if total is None else total + share
    assert total is not None
    return total.astype(np.float32)


def _up(length: int, multiple: int) -> int:
    return -(-max(length, SMALLEST) // multiple) * multiple
