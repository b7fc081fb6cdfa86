"""Between 8 and 16 bits a value."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.unsignedinteger[Any]]"
"""uint8 or uint16, over the full range of its type."""

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))
"""What pixels can be; in the other byte order than the machine's they would reach libvips as nonsense."""


def widen(values: Pixels) -> NDArray[np.uint16]:
    """8 bits to 16, exactly (0 stays 0, 255 becomes 65535); 16 bits stay as they are."""
    if values.dtype == np.uint16:
        return values.astype(np.uint16, copy=False)
    return values.astype(np.uint16) * np.uint16(257)


def narrow(values: Pixels) -> NDArray[np.uint8]:
    """16 bits to 8, rounded to the nearest; 8 bits stay as they are. `narrow(widen(x))` is `x`."""
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    rounded = np.minimum(values, np.uint16(65535 - 128))
    rounded += np.uint16(128)
    rounded //= np.uint16(257)
    return rounded.astype(np.uint8)


def fill(values: NDArray[np.uint16], bits: int) -> NDArray[np.uint16]:
    """`bits`-bit values that were shifted up to 16, in place, made to reach the full range (1023 of 1023 becomes
    65535).
    """
    if 8 < bits < 16:
        values |= values >> np.uint16(bits)
    return values
