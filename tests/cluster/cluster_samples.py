"""Pictures to restore, and what became of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def rough(number: int, height: int = 24, width: int = 32) -> np.ndarray:
    """What the toy finds noisy."""
    return np.random.default_rng(number).integers(40, 215, (height, width, 3), np.uint8)


def fill(folder: Path, count: int, *, below: str = "") -> list[str]:
    """Write so many rough pictures, and say their names."""
    names = [f"{below}{number:03}.png" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rough(number)).save(folder / name)
    return names


def results(folder: Path) -> dict[str, bytes]:
    """Every result below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".unveil" not in path.parts
    }
