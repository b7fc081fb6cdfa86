"""Shared pictures found by small copies: whole, changed, cropped; and none where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unveil.datasets import thumbnails
from unveil.errors import DataSetMissing


def scene(seed: int, width: int = 180, height: int = 120) -> Image.Image:
    """A scene of soft patches of all sizes, as photographs have them."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (2, 4, 8, 16, 32):
        rough = random.normal(size=(cells, cells, 3)) / cells**0.7
        low, high = rough.min(), rough.max()
        image = Image.fromarray(((rough - low) / (high - low) * 255).astype(np.uint8))
        total += np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)) / 255 * (high - low)
    total -= total.min()
    return Image.fromarray((total / total.max() * 255).astype(np.uint8))


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Ten scenes, and ten others."""
    for name, first in (("a", 0), ("b", 100)):
        (tmp_path / name).mkdir()
        for seed in range(first, first + 10):
            scene(seed).save(tmp_path / name / f"{seed}.png")
    return tmp_path / "a", tmp_path / "b"


def twins(first: Path, second: Path) -> list[tuple[str, str]]:
    return [(twin.first, twin.second) for twin in thumbnails.compare(first, second).twins]


def test_different_scenes_are_no_twins(folders):
    assert twins(*folders) == []


def test_the_same_picture_is_found_whatever_was_done_to_it(folders):
    a, b = folders
    scene(3).resize((90, 60), Image.Resampling.BICUBIC).save(b / "small.png")
    scene(4).save(b / "coded.jpg", quality=30)
    scene(5).point(lambda value: value // 2 + 20).save(b / "dark.bmp")
    scene(6).convert("L").save(b / "grey.png")
    noisy = np.asarray(scene(7)) + np.random.default_rng(0).normal(0, 25, (120, 180, 3))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(b / "noisy.png")
    scene(8).convert("RGBA").save(b / "alpha.png")
    expected = [("3", "small"), ("4", "coded"), ("5", "dark"), ("6", "grey"), ("7", "noisy"), ("8", "alpha")]
    assert sorted((one.split(".")[0], other.split(".")[0]) for one, other in twins(a, b)) == expected


def test_a_crop_is_found_in_its_original_from_both_sides(folders):
    a, b = folders
    scene(2).crop((20, 10, 164, 106)).save(b / "crop.png")
    assert twins(a, b) == [("2.png", "crop.png")]
    assert twins(b, a) == [("crop.png", "2.png")]


def test_a_square_out_of_a_wide_picture_is_found(folders):
    a, b = folders
    scene(2).crop((30, 0, 150, 120)).save(b / "square.png")
    assert twins(a, b) == [("2.png", "square.png")]


def test_flat_and_unreadable_pictures_are_left_out(folders):
    a, b = folders
    for folder in folders:
        Image.new("RGB", (40, 40), (100, 100, 100)).save(folder / "flat.png")
    (b / "broken.png").write_bytes(b"no picture")
    found = thumbnails.compare(a, b)
    assert found.twins == ()
    assert [Path(path).name for path in found.flat] == ["flat.png", "flat.png"]
    assert [Path(path).name for path in found.unreadable] == ["broken.png"]
    assert found.compared == (10, 10)


def test_a_folder_without_pictures_cannot_be_compared(folders, tmp_path):
    with pytest.raises(DataSetMissing, match="has no pictures"):
        thumbnails.compare(folders[0], tmp_path / "gone")
