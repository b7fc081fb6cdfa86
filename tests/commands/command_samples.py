"""Pictures for command lines to work on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def rough(height: int = 40, width: int = 56) -> np.ndarray:
    """What the toy finds noisy."""
    return np.random.default_rng(1).integers(40, 215, (height, width, 3), np.uint8)


def smooth(height: int = 40, width: int = 56) -> np.ndarray:
    """What the toy finds clean."""
    return np.full((height, width, 3), 180, np.uint8)


def save(path: str, pixels: np.ndarray | None = None, **options: Any) -> Path:
    """Write a picture (rough unless told otherwise) with Pillow."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rough() if pixels is None else pixels).save(place, **options)
    return place
