"""Pairs of public sets in the layouts that `unveil prepare` leaves them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from unveil.data import PairBatches, Pairs  # noqa: E402
from unveil.errors import DataSetMissing, RecipeError  # noqa: E402
from unveil.training.abair.recipe import AbairRecipe, AdapterStage  # noqa: E402
from unveil.training.recipe import Recipe  # noqa: E402

RECIPES = Path(__file__).parents[2] / "recipes" / "abair"
STAGE = {"iterations": 1, "batch": 1, "patch": 8, "learning_rate": 1e-3}


def put(path: Path, value: int, height: int = 40, width: int = 48) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)


def test_input_and_truth_lie_in_folders_of_each_scene(tmp_path: Path) -> None:
    for number, scene in enumerate(("one", "two")):
        put(tmp_path / "gopro" / "train" / scene / "blur" / "000001.png", 10 + number)
        put(tmp_path / "gopro" / "train" / scene / "sharp" / "000001.png", 110 + number)
    put(tmp_path / "gopro" / "test" / "three" / "blur" / "000001.png", 50)
    put(tmp_path / "gopro" / "test" / "three" / "sharp" / "000001.png", 150)
    pairs = Pairs.of_set("gopro/train", shortest=16, root=tmp_path)
    values = [[int(side[0, 0, 0]) for side in pairs.pixels(index) or ()] for index in range(len(pairs))]
    assert values == [[10, 110], [11, 111]]
    degraded, clean, _ = PairBatches([pairs], batch=6, patch=16)(0)
    assert torch.equal(clean.int() - degraded.int(), torch.full_like(clean, 100).int())
    assert pairs.digest().startswith("sha256:")


def test_several_inputs_share_one_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNVEIL_DATA", str(tmp_path))
    for name, value in (("0001_0.8_0.04", 20), ("0001_1_0.2", 30), ("0002_0.9_0.1", 40)):
        put(tmp_path / "ots" / "hazy" / "part1" / f"{name}.jpg", value)
    for name, value in (("0001", 200), ("0002", 220)):
        put(tmp_path / "ots" / "clear" / f"{name}.jpg", value)
    pairs = Pairs.of_set("ots/train", shortest=16)
    values = [[int(side[0, 0, 0]) for side in pairs.pixels(index) or ()] for index in range(len(pairs))]
    np.testing.assert_allclose(values, [[20, 200], [30, 200], [40, 220]], atol=2)


def test_a_set_that_is_not_there_or_has_no_pairs_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataSetMissing, match="unveil prepare gopro"):
        Pairs.of_set("gopro/train", shortest=16, root=tmp_path)
    put(tmp_path / "kodak24" / "kodim01.png", 5)
    with pytest.raises(RecipeError, match="no pairs of equal size"):
        Pairs.of_set("kodak24/test", shortest=16, root=tmp_path)


def test_pairs_of_a_recipe_are_two_folders_or_a_set() -> None:
    for pairs in ({"degraded": "a", "clean": "b"}, {"set": "gopro/train"}):
        assert AdapterStage(**STAGE, pairs=pairs).pairs == pairs
    for pairs in ({"degraded": "a"}, {"set": "gopro/train", "clean": "b"}):
        with pytest.raises(RecipeError, match="set: gopro/train"):
            AdapterStage(**STAGE, pairs=pairs)
    with pytest.raises(RecipeError, match="give one"):
        AdapterStage(**STAGE, pairs={"set": "gopro/train"}, photographs=("a",))


@pytest.mark.parametrize("name", ["three", "five", "eight"])
def test_the_papers_recipes_name_parts_of_the_catalogue(name: str) -> None:
    from unveil.datasets import find

    recipe = Recipe.read(RECIPES / f"{name}.yaml")
    assert isinstance(recipe, AbairRecipe)
    assert len(recipe.adapters) == {"three": 3, "five": 5, "eight": 8}[name]
    named = [stage.pairs["set"] for stage in recipe.adapters.values() if stage.pairs]
    assert len(named) == {"three": 2, "five": 4, "eight": 5}[name]
    for each in named:
        entry, part = find(each)
        assert entry.part(part).role == "train"
    for stage in recipe.adapters.values():
        for folder in (*stage.photographs, *recipe.photographs.folders):
            assert find(folder.split("/")[1])
    shared = recipe.shareable()
    assert shared["adapters"]["rain"]["pairs"] == {"set": "rain100l/train"}
    assert shared["adapters"]["noise"]["photographs"] == ["train", "test", "pristine_images"]
