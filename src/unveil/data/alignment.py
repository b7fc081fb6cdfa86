"""Whether the two pictures of a pair lie exactly on each other, or one is shifted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MARGIN = 0.02
"""How much better, as a share of the unshifted error, a shift must explain the difference before it is believed."""


def displacement(degraded: NDArray[Any], clean: NDArray[Any], *, reach: int = 16) -> tuple[int, int]:
    """By how many pixels (down, right) the degraded picture must be moved to lie on the clean one best.

    Phase correlation of the luminances finds the likeliest shift within `reach`; it counts where it lowers the mean
    absolute difference clearly, so that what is wrong with the picture does not pass for a shift.

    Args:
        degraded, clean: `H W 3` of one size, any range.
        reach: largest shift looked for, in pixels.
    """
    first, second = (picture.astype(np.float32).mean(2) for picture in (degraded, clean))
    window = np.outer(np.hanning(first.shape[0]), np.hanning(first.shape[1]))
    a, b = (np.fft.rfft2((plane - plane.mean()) * window) for plane in (first, second))
    cross = b * np.conj(a)
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=first.shape)
    reach = min(reach, min(first.shape) // 4)
    rolled = np.roll(peaks, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    down, right = (int(place) - reach for place in np.unravel_index(int(rolled.argmax()), rolled.shape))
    if (down, right) == (0, 0):
        return 0, 0
    edge = slice(reach, -reach or None)
    still = float(np.abs(first - second)[edge, edge].mean())
    moved = float(np.abs(np.roll(first, (down, right), (0, 1)) - second)[edge, edge].mean())
    return (down, right) if moved < (1 - MARGIN) * still else (0, 0)
