"""The corpus in a folder, and places to try odd things in."""

from __future__ import annotations

import pytest
from odd_damage import damaged_files
from odd_files import ordinary_files
from odd_places import Place

from unveil.restoration import Restorer


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Case -> path of every odd file, written once."""
    folder = tmp_path_factory.mktemp("corpus")
    paths = {}
    for number, odd in enumerate((*ordinary_files(), *damaged_files())):
        # Numbers, since a GIF and a PNG of one name would be restored to one file.
        paths[odd.case] = folder / f"{number} {odd.name}"
        paths[odd.case].write_bytes(odd.make())
    return paths


@pytest.fixture(scope="session")
def restorer(toy):
    return Restorer(toy)


@pytest.fixture
def place(tmp_path, toy_path, restorer, monkeypatch):
    for name in ("UNVEIL_DEBUG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return Place(tmp_path, toy_path, restorer)
