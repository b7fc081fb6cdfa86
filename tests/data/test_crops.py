"""Clean crops: reproducible, of the asked size, true to the photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from unveil.data import CropBatches, Photographs  # noqa: E402
from unveil.errors import RecipeError  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures whose red is the row and green the column, so that a crop says where it comes from."""
    rows, columns = np.mgrid[:80, :100].astype(np.uint8)
    Image.fromarray(np.stack((rows, columns, np.full_like(rows, 7)), -1)).save(tmp_path / "a.png")
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.stack((rows, columns, np.full_like(rows, 9)), -1)).save(tmp_path / "deep" / "b.png")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def batches(folder: Path, **options: float) -> CropBatches:
    photographs = Photographs([folder], shortest=32)
    return CropBatches(photographs, batch=6, patch=32, seed=3, **options)  # type: ignore[arg-type]


def test_crops_are_pieces_of_photographs_large_enough(folder: Path) -> None:
    batch = batches(folder, halve=0.0)(0)
    assert batch.shape == (6, 3, 32, 32)
    assert batch.dtype == torch.uint8
    for crop in batch.numpy().astype(int):
        assert set(np.unique(crop[2])) <= {7, 9}
        assert sorted((np.ptp(crop[0]), np.ptp(crop[1]))) == [31, 31]


def test_upright_crops_are_mirrored_at_most(folder: Path) -> None:
    for crop in batches(folder, halve=0.0, upright=True)(0).numpy().astype(int):
        assert (np.diff(crop[0], axis=0) == 1).all()
        assert (abs(np.diff(crop[1], axis=1)) == 1).all()


def test_photographs_held_out_are_not_among_the_others(folder: Path) -> None:
    photographs = Photographs([folder], shortest=32)
    kept, held = photographs.split(2)
    assert sorted(kept.names + held.names) == sorted(photographs.names)
    assert len(held) == len(photographs) // 2
    assert held.pixels(0) is None or kept.names[0] != held.names[0]
    assert photographs.split(0) == (photographs, photographs)


def test_halved_crops_average_four_pixels(folder: Path) -> None:
    for crop in batches(folder, halve=1.0)(0).numpy().astype(int):
        assert sorted((np.ptp(crop[0]), np.ptp(crop[1]))) == [62, 62]


def test_a_batch_depends_on_seed_step_and_part_alone(folder: Path) -> None:
    one, other = batches(folder), batches(folder)
    other(1)
    assert torch.equal(one(5), other(5))
    assert not torch.equal(one(5), one(6))
    assert not torch.equal(one(5, 0), one(5, 1))
    assert torch.equal(one(5, 1), other(5, 1))


def test_nothing_large_enough_is_an_error(folder: Path) -> None:
    photographs = Photographs([folder], shortest=500)
    with pytest.raises(RecipeError, match="500 pixels or more"):
        CropBatches(photographs, batch=1, patch=500)(0)


def test_memory_bounds_what_is_kept(folder: Path) -> None:
    photographs = Photographs([folder], shortest=32, memory=80 * 100 * 3)
    first, second = (photographs.pixels(index) for index in (0, 2))
    assert first is not None
    assert second is not None
    assert photographs.pixels(0) is first
    assert photographs.pixels(2) is not second


def test_the_digest_notices_a_changed_file(folder: Path) -> None:
    before = Photographs([folder], shortest=32).digest()
    (folder / "deep" / "b.png").write_bytes(b"changed")
    assert Photographs([folder], shortest=32).digest() != before
