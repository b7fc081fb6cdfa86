"""Recipes: keys are checked, values travel."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from unveil.errors import RecipeError
from unveil.training import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
# What lies in folders called `data` says how sets are composed, and has tests of its own.
SHIPPED = sorted(path for path in RECIPES.rglob("*.yaml") if "data" not in path.relative_to(RECIPES).parts)

TEXT = """
name: test
network: {name: fastnaf}
pretraining: {degradations: {noise: 1, blur: 1, rain: 1}, iterations: 5, batch: 2, patch: 32, learning_rate: 1.0e-3}
adaptation: {rank: 2, iterations: 3, batch: 2, patch: 32, learning_rate: 1.0e-3}
adapters: {noise: {}, haze: {rank: 5}}
estimation: {iterations: 3, batch: 4, patch: 32, learning_rate: 1.0e-3}
"""


def write(folder: Path, text: str = TEXT) -> Path:
    path = folder / "test.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    recipe = Recipe.read(path)
    assert recipe.name
    assert Recipe.from_dict(recipe.as_dict()) == recipe


def test_adapters_inherit_what_they_do_not_say(tmp_path: Path) -> None:
    recipe = Recipe.read(write(tmp_path))
    assert (recipe.adapters["noise"].rank, recipe.adapters["haze"].rank) == (2, 5)
    assert recipe.adapters["haze"].iterations == 3


def test_overrides_and_folders_replace_what_the_file_says(tmp_path: Path) -> None:
    recipe = Recipe.read(write(tmp_path), overrides=["pretraining.iterations=7", "seed=3"], folders=["a", "b"])
    assert (recipe.pretraining.iterations, recipe.seed, recipe.photographs.folders) == (7, 3, ("a", "b"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rank: 2", "rnak: 2", r"unknown key adaptation\.rnak; did you mean 'rank'"),
        ("name: test", "nome: test", r"unknown key nome; did you mean 'name'"),
        (
            "patch: 32, learning_rate: 1.0e-3}\nadaptation",
            "patch: 32}\nadaptation",
            r"missing pretraining\.learning_rate",
        ),
        ("iterations: 5", "iterations: 0", "iterations must be at least 1, got 0"),
        ("iterations: 5", "iterations: 5.5", r"pretraining\.iterations is a whole number, found 5\.5"),
        ("iterations: 5", "iterations: true", r"pretraining\.iterations is a whole number, found True"),
        ("name: test", "name: 7", "name is text, found 7"),
        ("name: test", "name: test\nphotographs: {folders: here}", r"photographs\.folders is a list, found 'here'"),
        ("batch: 4", "batch: 4, whole: [clean]", "whole name degradations, got 'clean'"),
        ("batch: 4", "batch: 4, whole: [haze, snow]", r"whole names snow, .*no adapter \(there are noise, haze\)"),
        ("batch: 4", "batch: 4, again: [rain, snow]", r"again names rain, snow, .*no adapter"),
        ("rank: 5", "rank: 5, storage: int4", "storage is float16 or int8, got 'int4'"),
        ("name: test", "name: test\ncard: 3", "card is a mapping of keys to values, found 3"),
        (
            "learning_rate: 1.0e-3}\nadaptation",
            "learning_rate: 1e-3}\nadaptation",
            r"pretraining\.learning_rate is a number, found '1e-3'; YAML takes .* write 5\.0e-4",
        ),
        ("batch: 4", "batch: 4, yielding: {noise: [0, 0.5]}", r"yielding\.noise is \[share above 0"),
        ("batch: 4", "batch: 4, emphasis: {blur: 0}", r"emphasis\.blur says how many times as often"),
        ("rank: 2", "rank: 2, company: 2", "company is a share, 0 to 1, got 2"),
        ("rank: 2", "rank: 2, start: shipped, variant: vera", "start reads adapters of the variant lora, not vera"),
        ("batch: 4", "batch: 4, onsets: {noise: [0.3, 0.2]}", r"onsets\.noise must be two ascending severities"),
        ("name: test", "name: [", "not a YAML file"),
    ],
)
def test_mistakes_name_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.read(write(tmp_path, TEXT.replace(old, new, 1)))


def test_a_missing_file_and_a_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe"):
        Recipe.read(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="found list"):
        Recipe.read(write(tmp_path, "- a\n- b\n"))
    with pytest.raises(RecipeError, match=r"key\.key=value"):
        Recipe.read(write(tmp_path), overrides=["seed"])
