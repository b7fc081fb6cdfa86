"""One toy run of ABAIR for all tests that need something trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RECIPE = """
name: toy
seed: 5
precision: 32-true
network: {name: fastnaf, width: 8, encoder: [1], middle: 1, decoder: [1]}
photographs: {halve: 0.5}
pretraining: {degradations: {noise: 1, blur: 1, clean: 1}, iterations: 6, batch: 2, patch: 32, learning_rate: 1.0e-3}
adaptation: {rank: 2, iterations: 3, batch: 2, patch: 32, learning_rate: 1.0e-2, vectors: true}
adapters: {noise: {}, dark: {rank: 3}}
estimation: {iterations: 3, batch: 8, patch: 32, side: 48, learning_rate: 1.0e-3, calibration: 3, sharpening: 0.5}
"""


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three smooth pictures of 128 x 96 pixels."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for index in range(3):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of a few steps."""
    path = tmp_path_factory.mktemp("recipe") / "toy.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def finished(photographs: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of that recipe, with its model file."""
    pytest.importorskip("lightning")
    from unveil import training

    return training.run(recipe, data=[photographs], out=tmp_path_factory.mktemp("run"), threads=1)
