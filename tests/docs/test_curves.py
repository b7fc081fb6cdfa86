"""The committed curves are those that the code draws."""

from __future__ import annotations

import importlib.util
from typing import cast

import pytest
from page_blocks import ROOT

pytest.importorskip("torch")
pytest.importorskip("lightning")

from unveil.training import Recipe
from unveil.training.mioir import MioirRecipe


def test_the_curriculum_is_drawn_from_the_code():
    spec = importlib.util.spec_from_file_location("mioir_curriculum", ROOT / "benchmarks" / "mioir_curriculum.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    recipe = cast("MioirRecipe", Recipe.read(ROOT / "recipes" / "mioir" / "restormer.yaml"))
    kept = (ROOT / "docs" / "pictures" / "mioir-curriculum.svg").read_text(encoding="utf-8")
    assert script.draw(recipe) == kept
