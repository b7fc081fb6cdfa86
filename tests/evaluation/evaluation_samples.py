"""Two sets on tiny pictures."""

from __future__ import annotations

import numpy as np

from unveil.evaluation.damage import GaussianNoise
from unveil.evaluation.sets import EvaluationSet, Folder

CLEAN = EvaluationSet(
    name="noisy",
    printed="Tiny",
    label="noise",
    degradation="noise",
    folders=(Folder("clean"),),
    damage=GaussianNoise(25),
)
PAIRS = EvaluationSet(
    name="pairs",
    printed="Tiny pairs",
    label="darkness",
    degradation="dark",
    folders=(Folder("pairs", "input/*", ((r"^input/([^_]+)_.*$", r"target/\1"),)),),
    protocols=("rgb8", "y"),
    expected=3,
)


def photograph(seed: int, height: int = 40, width: int = 56) -> np.ndarray:
    """Smooth, bright enough not to be taken for dark."""
    y, x = np.mgrid[0:height, 0:width] / 11
    waves = np.stack([np.sin(x + seed), np.cos(y - seed), np.sin(x * y / 9 + seed)], -1)
    return (waves * 60 + 160).astype(np.uint8)
