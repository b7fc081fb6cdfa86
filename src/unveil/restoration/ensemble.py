"""Self-ensemble: a tile is restored turned and mirrored, and the results, turned back, are averaged.

Networks are not as blind to direction as damage is, so the mean is nearer to the truth than any of them (Lim et al.,
EDSR, 2017, with eight). Costs as many times the work. Done tile by tile: of tiles whose sides and origins are multiples
of the network's total stride, the mirror image is cut as the mirrored picture would be, so that tiles stay seamless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import EngineError, InvalidRequest
from unveil.models.card import ENSEMBLES

# (transposed, upside down, back to front); two views differ most when one is the other turned by half.
_VIEWS = tuple((turned, down, back) for turned in (False, True) for down, back in ((0, 0), (1, 1), (1, 0), (0, 1)))


def check(size: int) -> None:
    """Raises InvalidRequest where an ensemble cannot have so many views."""
    if size not in ENSEMBLES:
        raise InvalidRequest(f"ensemble is {size}, expected one of {', '.join(map(str, ENSEMBLES))}.")


def mean_of_views(
    tile: NDArray[Any], restore: Callable[[NDArray[Any]], NDArray[Any]], size: int
) -> NDArray[np.float32]:
    """What a network makes of a tile `B C H W`, as the mean over so many views of it.

    Args:
        tile: one of the picture's.
        restore: runs the network; for a size of 8, it is also given tiles `B C W H`.
        size: one of `ENSEMBLES`.

    Raises:
        EngineError: the network answers with another shape.
    """
    if size == 1:
        return restore(tile)
    total = np.zeros(tile.shape, np.float32)
    for view in _VIEWS[:size]:
        seen = np.ascontiguousarray(_seen(tile, *view))
        result = restore(seen)
        if result.shape != seen.shape:
            raise EngineError(f"The network answers {seen.shape} with {result.shape}, expected the same shape.")
        total += _back(result, *view)
    return total / np.float32(size)


def _seen(tile: NDArray[Any], turned: bool, down: int, back: int) -> NDArray[Any]:
    mirrored = tile[..., :: -1 if down else 1, :: -1 if back else 1]
    return mirrored.swapaxes(-1, -2) if turned else mirrored


def _back(result: NDArray[Any], turned: bool, down: int, back: int) -> NDArray[Any]:
    upright = result.swapaxes(-1, -2) if turned else result
    return upright[..., :: -1 if down else 1, :: -1 if back else 1]
