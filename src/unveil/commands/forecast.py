"""How long a run will take: one small sample of the model's work, and the sizes of the pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unveil.restoration import Restorer

SMALL = 3.0
"""Megapixels below which a run is over before a sample would be worth its time."""

SHORT = 5.0
"""Seconds that need no announcement."""

SAMPLE_SIDE = 256
MOST_HEADERS = 500
CLOCKS = ((3600, "h"), (60, "min"), (1, "s"))


def megapixels(pictures: Sequence[Path]) -> float:
    """Of all pictures together, from their headers; of very many, some are looked at and the rest taken for alike.

    What cannot be read counts nothing.
    """
    step = -(-len(pictures) // MOST_HEADERS) or 1
    looked = pictures[::step]
    return sum(map(_megapixels, looked)) * len(pictures) / max(len(looked), 1)


def seconds_per_megapixel(
    restorer: Restorer, weights: dict[str, float] | None = None, ensemble: int | None = None
) -> float:
    """Measured on a small square of noise, after one run to warm up."""
    import numpy as np

    square = np.random.default_rng(0).integers(0, 256, (SAMPLE_SIDE, SAMPLE_SIDE, 3), np.uint8)
    # A blend given by hand, so that an estimator that takes noise for clean does not end the sample at once.
    wished = weights or dict.fromkeys(list(restorer.card.degradations)[:1], 1.0) or None
    restorer.run(square, weights=wished, ensemble=ensemble)
    started = time.perf_counter()
    restorer.run(square, weights=wished, ensemble=ensemble)
    return (time.perf_counter() - started) / (SAMPLE_SIDE * SAMPLE_SIDE / 1e6)


def said(seconds: float) -> str:
    """A length of time for people, in one or two units: `2 h 5 min`, `40 s`."""
    left = max(round(seconds), 1)
    parts: list[str] = []
    for length, unit in CLOCKS:
        if left >= length and len(parts) < 2:
            parts.append(f"{left // length} {unit}")
            left %= length
    return " ".join(parts)


def _megapixels(path: Path) -> float:
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        # Opening a pipe would wait for whoever writes to it.
        return 0.0
    try:
        with Image.open(path) as image:
            return image.width * image.height / 1e6
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0.0
