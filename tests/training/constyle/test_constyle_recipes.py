"""The recipes and studies of ConStyle that come with unveil are read, and their networks can be built."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from unveil import networks  # noqa: E402
from unveil.evaluation.study import Study  # noqa: E402
from unveil.training.constyle.recipe import ConStyleRecipe  # noqa: E402
from unveil.training.recipe import Recipe  # noqa: E402

ROOT = Path(__file__).parents[3]
RECIPES = sorted(path for path in (ROOT / "recipes" / "constyle").rglob("*.yaml") if path.parent.name != "data")
STUDIES = sorted((ROOT / "studies").glob("constyle*.yaml"))


@cache
def size_multiple(network: str) -> int:
    config = json.loads(network)
    with torch.device("meta"):
        return networks.build(config.pop("name"), **config).size_multiple


def check(recipe: Recipe) -> None:
    """A guided network must be able to find its encoder, and crops must fit."""
    assert isinstance(recipe, ConStyleRecipe)
    stage = recipe.restoration
    if stage is None:
        return
    assert stage.patch % size_multiple(json.dumps(recipe.network)) == 0
    if networks.NETWORKS[recipe.network["name"]].form == "guided":
        assert stage.encoder_until > 0 or stage.encoder or recipe.encoder
    else:
        assert stage.encoder_until <= 0
        assert not stage.encoder
        assert recipe.encoder is None


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_whole(path: Path) -> None:
    check(Recipe.read(path))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_variant_of_a_study_is_whole(path: Path) -> None:
    study = Study.read(path)
    for name, variant in study.variants.items():
        recipe = Recipe.read(study.recipe_of(variant), overrides=variant.changes)
        check(recipe)
        assert isinstance(recipe, ConStyleRecipe)
        phases = variant.phases or study.phases
        assert ("encode" in phases) == (recipe.encoder is not None), name
        if recipe.restoration is not None and recipe.restoration.encoder_until:
            assert recipe.restoration.encoder_until == recipe.restoration.iterations, name
