"""A bounded part of the fuzzing, and everything that it has found; `python benchmarks/fuzz.py` goes on for longer."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from targets import TARGETS

FOUND = sorted((Path(__file__).parent / "found").glob("*/*"))
RUNS = {"pictures": 150, "tags": 400, "cards": 300, "graphs": 150, "models": 100}


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_files_never_end_in_an_error_without_a_type(name):
    target = TARGETS[name]
    for seed in range(RUNS[name]):
        target.run(target.spoilt(Random(seed)))


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_themselves_are_sound(name):
    for data, spoil in TARGETS[name].seeds():
        TARGETS[name].run(data)
        assert spoil(Random(1), data) == spoil(Random(1), data)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_stays_mended(path):
    TARGETS[path.parent.name].run(path.read_bytes())
