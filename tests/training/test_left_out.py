"""Photographs that cannot be read are left out of training, and named at its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from PIL import Image  # noqa: E402

from unveil import training  # noqa: E402
from unveil.training.chain import left_out  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

RECIPE = """
name: toy
precision: 32-true
network: {name: fastnaf, width: 8, encoder: [1], middle: 1, decoder: [1]}
pretraining: {degradations: {noise: 1, blur: 1, clean: 1}, iterations: 2, batch: 8, patch: 32, learning_rate: 1.0e-3}
adaptation: {rank: 2, iterations: 1, batch: 2, patch: 32, learning_rate: 1.0e-2}
adapters: {noise: {}}
estimation: {iterations: 1, batch: 2, patch: 32, side: 48, learning_rate: 1.0e-3}
"""


def test_unreadable_photographs_are_named_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(RECIPE)
    said: list[str] = []
    training.run(recipe, data=[folder], out=tmp_path / "run", phases=["pretrain"], threads=1, say=said.append)
    first, *lines = said[-1].splitlines()
    assert first == "2 files were left out of the photographs:"
    assert [line.split(":")[0].strip() for line in sorted(lines)] == ["cut.png", "empty.jpg"]


def test_long_lists_are_cut_off() -> None:
    assert left_out({"a.png": "it is empty"}) == "1 file was left out of the photographs:\n  a.png: it is empty"
    lines = left_out({f"{number}.png": "it is empty" for number in range(14)}).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  and 4 more"
