"""Mix Degradations from public sets on a small scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

from PIL import Image

from unveil.data import Pairs
from unveil.errors import DataError, RecipeError
from unveil.training.constyle.mixing import Kind, Mix, add_noise, compose, compress, starts

MIXES = sorted((Path(__file__).parents[3] / "recipes" / "constyle" / "data").glob("*.yaml"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for index in range(3):
        pixels = np.asarray(
            Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(
                (70, 50), Image.Resampling.BICUBIC
            )
        )
        for name, found in (
            ("gopro/train/input", pixels // 2),
            ("gopro/train/target", pixels),
            ("div2k/train", pixels),
        ):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(found).save(tmp_path / name / f"{index:04d}.png")
    return tmp_path


MIX = Mix(
    name="toy",
    crop=32,
    kinds={
        "motion": Kind(sets=("gopro/train",), images=2, step=20),
        "noise": Kind(sets=("div2k/train",), images=9, step=30, make="noise"),
        "haze": Kind(sets=("ots/train",), images=9, step=30),
    },
)


def test_sub_images_cover_a_side_to_its_end() -> None:
    assert starts(720, 256, 150) == [0, 150, 300, 450, 464]
    assert starts(1280, 256, 150) == [0, 150, 300, 450, 600, 750, 900, 1024]
    assert len(starts(720, 256, 150)) * len(starts(1280, 256, 150)) * 2103 == 84120
    assert starts(256, 256, 150) == [0]
    assert starts(255, 256, 150) == []


def test_a_set_is_composed_and_what_is_missing_is_told(root: Path, tmp_path: Path) -> None:
    told: list[str] = []
    found = compose(MIX, root, tmp_path / "mix", say=told.append)
    assert found == {"motion": 2 * 2 * 3, "noise": 3 * 2 * 3}
    assert any("haze: left out" in line and "prepare ots" in line for line in told)
    pairs = Pairs(tmp_path / "mix" / "lq", tmp_path / "mix" / "hq", shortest=32)
    assert len(pairs) == 30
    dark, clean = pairs.pixels(next(i for i, name in enumerate(pairs.names) if name.startswith("motion")))
    assert np.array_equal(dark, clean // 2)


def test_the_same_file_gives_the_same_pixels(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        compose(MIX, root, tmp_path / name, say=lambda line: None)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)
    assert len({(tmp_path / "a" / path).read_bytes() for path in files if path.parts[0] == "lq"}) == 30


def test_noise_and_jpeg_keep_to_their_ranges() -> None:
    random = np.random.default_rng(0)
    grey = np.full((64, 64, 3), 128, np.uint8)
    deviations = [float(np.std(add_noise(grey, random).astype(float))) for _ in range(40)]
    assert 9 < min(deviations) < 20
    assert 40 < max(deviations) < 52
    rough = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert compress(rough, random).shape == rough.shape
    assert 5 < np.abs(compress(rough, random).astype(float) - rough).mean() < 80


def test_impossible_mixes_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="expected one of noise, jpeg"):
        Kind(sets=("div2k/train",), images=1, step=1, make="fog")
    Image.new("RGB", (60, 50)).save(root / "gopro" / "train" / "input" / "0001.png")
    with pytest.raises(DataError, match="60 x 50"):
        compose(Mix(name="x", crop=32, kinds={"motion": Kind(sets=("gopro/train",), images=3, step=9)}), root, tmp_path)


@pytest.mark.parametrize("path", MIXES, ids=lambda path: path.stem)
def test_the_mixes_that_come_with_unveil_name_sets_that_there_are(path: Path) -> None:
    from unveil import datasets

    mix = Mix.read(path)
    for kind in mix.kinds.values():
        for name in kind.sets:
            entry, part = datasets.find(name)
            assert entry.part(part).kind == ("clean" if kind.make else "pairs")
