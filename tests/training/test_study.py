"""Studies: variants trained from several seeds, measured on the same pictures, in tables that do not flatter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

from unveil.commands.application import run
from unveil.errors import RecipeError
from unveil.evaluation import study_tables
from unveil.evaluation.damage import Composed
from unveil.evaluation.study import Study, collected, read_damage

SHIPPED = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))

TEXT = """
name: toy
question: does rank matter?
recipe: {recipe}
seeds: [0, 1]
phases: [pretrain, adapt]
ways: [base, oracle]
variants:
  rank 2: [pretraining.iterations=2, adaptation.iterations=1]
  rank 3: {{of: rank 2, taken: [pretraining], ways: [oracle],
            changes: [pretraining.iterations=2, adaptation.iterations=1, adaptation.rank=3]}}
tests:
  pictures: .
  crop: 64
  count: 2
  damages: {{noise: noise-25, both: [gaussian, noise-25], clean: clean}}
tables:
  "All of it": {{}}
  "Noise alone": {{tests: [noise], ways: [oracle]}}
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def file(tmp_path: Path, recipe: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(TEXT.format(recipe=recipe))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_name_recipes_variants_and_tests_that_exist(path: Path) -> None:
    from unveil.training import Recipe

    study = Study.read(path)
    assert len(study.seeds) >= 3 or path.stem.endswith("short")
    for variant in study.variants.values():
        Recipe.read(study.recipe_of(variant), overrides=variant.changes)
    for value in study.tests.damages.values():
        read_damage(value)


@pytest.mark.slow
def test_a_study_trains_measures_and_is_taken_up_again(
    file: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["study", str(file), "--data", str(photographs), "--root", str(photographs), "-o", str(out)]
    assert run(words) == 0
    table = (out / "table.md").read_text()
    assert table.count("inconclusive") >= 2
    assert "**Noise alone**" in table
    figures = collected(Study.read(file), out)
    assert set(figures) == {"rank 2", "rank 3"}
    assert set(figures["rank 2"]) == {0, 1}
    assert set(figures["rank 3"][0]) == {"input", "oracle"}
    assert "both" not in figures["rank 3"][0]["oracle"]
    # The base of the second variant is the first one's, seed by seed.
    for seed in ("seed-0", "seed-1"):
        taken, own = (out / name / seed / "pretraining" / "final.ckpt" for name in ("rank_3", "rank_2"))
        assert taken.read_bytes() == own.read_bytes()
    assert figures["rank 2"][0]["base"] != figures["rank 2"][1]["base"]
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.ckpt")}
    assert run(words) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.ckpt")} == stamps
    capsys.readouterr()
    assert run(["study", str(file), "--table", "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == table.strip()


def figures_of(*gains: float) -> dict[str, dict[int, dict[str, dict[str, dict[str, float | None]]]]]:
    entry = {"psnr": 20.0, "ssim": 0.5, "gain": 0.0, "diagnosed": None}
    clean = {**entry, "psnr": 100.0}
    return {
        "rank 2": {
            seed: {
                "input": {"noise": entry, "both": entry, "clean": clean},
                "base": {
                    "noise": {**entry, "psnr": 20 + gain, "gain": gain},
                    "both": {**entry, "psnr": 22 + gain, "gain": 2 + gain},
                    "clean": {**clean, "psnr": 40.0, "gain": -60.0},
                },
            }
            for seed, gain in enumerate(gains)
        }
    }


def test_spread_is_the_sample_deviation_and_clean_pictures_do_not_count(file: Path) -> None:
    table = study_tables.markdown(Study.read(file), figures_of(1.0, 2.0))
    row = next(line for line in table.splitlines() if line.startswith("| rank 2"))
    assert row == "| rank 2 | 21.50 ± 0.71 | 23.50 ± 0.71 | 40.00 ± 0.00 | 22.50 ± 0.71 | +2.50 |"


def test_less_than_one_decibel_is_inconclusive(file: Path) -> None:
    assert "inconclusive" in study_tables.markdown(Study.read(file), figures_of(-0.2, -0.1))
    assert "inconclusive" not in study_tables.markdown(Study.read(file), figures_of(0.2, 0.1))


def test_composed_damage_is_one_after_the_other() -> None:
    names, damage = read_damage(["gaussian", {"degradation": "noise", "severity": 0.3}])
    assert names == ["blur", "noise"]
    assert isinstance(damage, Composed)
    clean = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
    one = damage.parts[1](damage.parts[0](clean, np.random.default_rng(1)), np.random.default_rng(2))
    assert damage(clean, np.random.default_rng(1)).shape == one.shape


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("noise-25, both", "fog, both", "'fog' is unknown"),
        ("tests: [noise], ways", "tests: [fog], ways", "'fog' is neither a test nor a variant"),
        ("of: rank 2, taken", "of: rank 9, taken", "'of' names a variant"),
        ("seeds", "sedes", "did you mean 'seeds'"),
    ],
)
def test_mistakes_are_named(file: Path, old: str, new: str, complaint: str, tmp_path: Path) -> None:
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError, match=complaint):
        sets_of(file, tmp_path)


def sets_of(file: Path, root: Path) -> object:
    return Study.read(file).tests.sets(root)
