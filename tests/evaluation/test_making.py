"""MiOIR's test sets, made of clean pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")

from PIL import Image  # noqa: E402

from unveil.errors import DataError, DataSetMissing, InvalidRequest  # noqa: E402
from unveil.evaluation import SUITES  # noqa: E402
from unveil.evaluation.damage import PublishedTask, chance  # noqa: E402
from unveil.evaluation.making import SETS, Making, folder_of  # noqa: E402
from unveil.evaluation.published import beside  # noqa: E402
from unveil.methods.mioir.depth import read_depth  # noqa: E402


@pytest.fixture
def source(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    (tmp_path / "clean" / "more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8))
        coarse.resize((50, 43), Image.Resampling.BICUBIC).save(tmp_path / "clean" / name)
    return tmp_path / "clean"


def make(making: Making) -> list[str]:
    """Make what is missing; the names of that."""
    missing = [name for name, path in making.pictures().items() if not making.is_made(name, path)]
    for name in missing:
        making.make(name, making.pictures()[name])
    return missing


def contents(home: Path) -> dict[str, bytes]:
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in sorted(home.rglob("*.png"))}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), np.float32) / 255


def test_every_picture_comes_in_fifteen_forms_that_the_suite_finds(source: Path, tmp_path: Path) -> None:
    assert make(Making(source, tmp_path / "mioir")) == ["a", "more-b"]
    found = contents(tmp_path / "mioir")
    assert len(found) == 30
    clean = pixels(tmp_path / "mioir" / "GT" / "a.png")
    assert clean.shape == (40, 48, 3)
    assert np.array_equal(clean, pixels(source / "a.png")[:40, :48])
    for entry in SUITES["mioir-own"].sets:
        located = entry.find(tmp_path)
        degraded, truth = located.load(located.items[0], 0)
        assert np.array_equal(truth, clean)
        assert not np.array_equal(degraded, clean), entry.name
    assert len(SUITES["mioir-own"].sets) == 14


def test_a_second_run_makes_what_is_left(source: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    make(Making(source, whole, seed=3))
    assert make(Making(source, parts, seed=3, limit=1)) == ["a"]
    assert make(Making(source, parts, seed=3)) == ["more-b"]
    assert contents(parts) == contents(whole)
    assert make(Making(source, parts, seed=3)) == []
    (parts / "rain" / "a.png").unlink()
    (source / "more" / "b.png").write_bytes((source / "a.png").read_bytes())
    assert make(Making(source, parts, seed=3)) == ["a", "more-b"]
    assert not list(parts.rglob("*.part"))


def test_what_is_made_is_what_studies_measure_on_the_fly(source: Path, tmp_path: Path) -> None:
    home = tmp_path / "mioir"
    make(Making(source, home, seed=5, limit=1))
    clean = pixels(home / "GT" / "a.png")
    for task, span in SETS:
        made = PublishedTask(task, span)(clean, chance(5, "a"))
        np.testing.assert_allclose(made, pixels(home / folder_of(task, span) / "a.png"), atol=1e-6)


def test_tasks_of_one_picture_are_not_all_strong_together() -> None:
    flat = np.full((32, 32, 3), 0.5, np.float32)
    noise, dark = [], []
    for name in map(str, range(60)):
        noise.append(np.std(PublishedTask("noise")(flat, chance(0, name))))
        dark.append(PublishedTask("dark")(flat, chance(0, name)).mean())
    assert abs(np.corrcoef(noise, dark)[0, 1]) < 0.4
    assert np.std(noise) > 0.01


def test_depth_maps_make_the_haze(source: Path, tmp_path: Path) -> None:
    (tmp_path / "depths").mkdir()
    near, far = np.zeros((10, 12), np.float32), np.zeros((10, 12), np.float32)
    near[0, 0] = far[:, 6:] = 9
    for number, (depth, ending) in enumerate(((near, ".npy"), (far, ".png"))):
        if ending == ".npy":
            np.save(tmp_path / "depths" / "a.npy", depth)
        else:
            (tmp_path / "depths" / "a.npy").unlink()
            Image.fromarray((depth * 1000).astype(np.uint16)).save(tmp_path / "depths" / "a.png")
        home = tmp_path / f"made-{number}"
        make(Making(source, home, depths=tmp_path / "depths", limit=1))
        change = np.abs(pixels(home / "haze" / "a.png") - pixels(home / "GT" / "a.png")).mean((0, 2))
        assert change[:20].max() < 0.1
        assert (change[30:].mean() > 0.1) == (ending == ".png")
        make(Making(source, home, limit=1))


def test_a_new_depth_map_makes_a_picture_anew(source: Path, tmp_path: Path) -> None:
    (tmp_path / "depths").mkdir()
    make(Making(source, tmp_path / "mioir", limit=1))
    np.save(tmp_path / "depths" / "a.npy", np.ones((4, 4)))
    assert make(Making(source, tmp_path / "mioir", depths=tmp_path / "depths", limit=1)) == ["a"]


def test_matlab_files_are_read(tmp_path: Path) -> None:
    matlab = pytest.importorskip("scipy.io")
    depth = np.arange(12.0).reshape(3, 4)
    matlab.savemat(tmp_path / "d.mat", {"data_obj": depth, "other": np.zeros((2, 2))})
    assert np.array_equal(read_depth(tmp_path / "d.mat", 3, 4), depth)
    matlab.savemat(tmp_path / "d.mat", {"one": depth, "other": depth})
    with pytest.raises(DataError, match="data_obj"):
        read_depth(tmp_path / "d.mat", 3, 4)


def test_depth_is_enlarged_bilinearly(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.array([[0.0, 8.0]]))
    assert read_depth(tmp_path / "d.npy", 1, 8).tolist() == [[0, 0, 1, 3, 5, 7, 8, 8]]


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)), -np.ones((3, 3)), np.ones((3, 3, 3)), np.full((3, 3), np.nan)])
def test_what_is_no_depth_map_is_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    np.save(tmp_path / "d.npy", wrong)
    with pytest.raises(DataError):
        read_depth(tmp_path / "d.npy", 3, 3)


def test_what_cannot_be_made_is_refused(source: Path, tmp_path: Path) -> None:
    make(Making(source, tmp_path / "mioir", limit=1))
    with pytest.raises(InvalidRequest, match="made with seed 0, not 1"):
        Making(source, tmp_path / "mioir", seed=1)
    with pytest.raises(DataSetMissing, match="no folder"):
        Making(tmp_path / "nothing", tmp_path / "other").pictures()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataSetMissing, match="no pictures"):
        Making(tmp_path / "empty", tmp_path / "other").pictures()
    (source / "more-b.png").write_bytes((source / "a.png").read_bytes())
    with pytest.raises(InvalidRequest, match="both be called more-b"):
        Making(source, tmp_path / "other").pictures()


def test_the_papers_tables_stand_beside_own_sets() -> None:
    assert beside("mioir-own") == beside("mioir-local") == beside("mioir")
    for name in ("mioir-own", "mioir-local"):
        assert [entry.name for entry in SUITES[name].sets] == [entry.name for entry in SUITES["mioir"].sets][:14]
        assert all(entry.protocols == ("rgb8:4",) for entry in SUITES[name].sets)


def test_sets_are_made_from_the_command_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from unveil.commands.application import run

    words = ["prepare", "mioir", "--root", str(tmp_path / "data"), "--from", str(source), "--seed", "2"]
    assert run([*words, "--limit", "1"]) == 0
    assert run(words) == 0
    said = capsys.readouterr()
    assert "1 of 2 pictures are there already" in said.err
    assert "unveil evaluate --suite mioir-own" in said.out
    assert len(contents(tmp_path / "data" / "mioir")) == 30
    assert run(["prepare", "mioir"]) == 2
    assert run(["prepare", "lol-v1", "--seed", "1"]) == 2
