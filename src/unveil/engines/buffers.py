"""Large buffers, used again instead of being mapped anew: for an engine that leaves its memory to the C library."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Numbers of glibc's settings (malloc.h)."""

BY_HAND = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
TUNABLES = ("glibc.malloc.mmap_max", "glibc.malloc.mmap_threshold", "glibc.malloc.trim_threshold")
"""Variables by which a user sets the same, and their names in `GLIBC_TUNABLES`; where one is set, it stays."""


@cache
def reuse() -> bool:
    """Have glibc keep large buffers for the next one, for the whole process and until its end.

    Left to itself, it maps every buffer above 32 MiB anew and gives it back at once, and each page of it then costs a
    fault: with full-resolution maps, a quarter to half of the time (docs/performance.md). The price: memory that was
    once needed stays with the process.

    Returns:
        Whether it was done: not where a user has set it (`BY_HAND`, `TUNABLES`), nor with another C library than glibc.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    by_hand = any(name in os.environ for name in BY_HAND) or any(name in tunables for name in TUNABLES)
    if sys.platform != "linux" or by_hand:
        return False
    try:
        setting = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # Both: buffers that are not mapped lie in the heap, whose free end would be given back above the threshold.
    return bool(setting(MMAP_MAX, 0) and setting(TRIM_THRESHOLD, -1))
