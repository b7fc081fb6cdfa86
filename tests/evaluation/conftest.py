"""Tiny pictures on a disk, and the toy model measured on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_samples import CLEAN, PAIRS, photograph
from PIL import Image

from unveil.evaluation.ledger import Ledger
from unveil.evaluation.measuring import Measuring
from unveil.evaluation.subjects import ModelSubject, Unrestored, checksum_of
from unveil.restoration import Restorer


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("clean", "pairs/input", "pairs/target"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for place in range(2):
        Image.fromarray(photograph(place)).save(tmp_path / "data" / "clean" / f"{place}.png")
        Image.fromarray(photograph(place)).save(tmp_path / "data" / "pairs" / "target" / f"{place}.png")
        Image.fromarray(photograph(place) // 8).save(tmp_path / "data" / "pairs" / "input" / f"{place}_dark.png")
    return tmp_path / "data"


@pytest.fixture
def start(root, toy, toy_path, tmp_path):
    """Begin the measuring anew, as a second run of the command does."""

    def call(*, seed: int = 0, checksum: str | None = None) -> Measuring:
        subject = ModelSubject(Restorer(toy, threads=1), checksum or checksum_of(toy_path))
        sets = [CLEAN.find(root), PAIRS.find(root)]
        return Measuring(sets, [Unrestored(), subject], Ledger(tmp_path / "results"), seed=seed)

    return call


@pytest.fixture
def finished(start) -> Measuring:
    measuring = start()
    for task in measuring.agenda().tasks:
        measuring.work(task, lambda *_: None)
    return measuring
