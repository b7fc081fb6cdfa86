"""Where photographs lie makes no difference to what training sees."""

from __future__ import annotations

import io
import multiprocessing
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from PIL import Image

from unveil.data import CropBatches, Photographs
from unveil.data import photographs as module
from unveil.datasets import shards
from unveil.errors import RecipeError, StoreError
from unveil.stores import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight photographs of noise, in the order in which they are packed."""
    place = tmp_path / "photographs"
    place.mkdir()
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 40 + number, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return place


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    place = tmp_path / "shards"
    done = shards.write(Folder(folder), Folder(place), size=shards.END + 20_000)
    assert len(done.shards) > 2
    return place


def batch(*places: Path | str, step: int = 3) -> torch.Tensor:
    photographs = Photographs(places, shortest=32)
    return CropBatches(photographs, batch=6, patch=32, seed=1)(step)


def test_batches_from_shards_are_those_from_the_folder(folder, packed):
    wanted = batch(folder)
    assert torch.equal(batch(packed), wanted)
    assert torch.equal(batch(f"{packed}/*.tar"), wanted)
    assert torch.equal(batch(f"{packed}/photographs-{{000000..000099}}.tar"), wanted)


def test_batches_from_a_store_are_those_from_the_folder(folder, packed):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for path in (*folder.iterdir(), *packed.iterdir()):
        memory.pipe_file(f"/{path.parent.name}/{path.name}", path.read_bytes())
    wanted = batch(folder)
    assert torch.equal(batch("memory://photographs"), wanted)
    assert torch.equal(batch("memory://shards"), wanted)
    assert torch.equal(batch("memory://shards/*.tar"), wanted)
    # As `--data` gives it, through a path.
    assert torch.equal(batch(Path("memory://shards")), wanted)


def test_a_batch_depends_on_seed_and_step_alone_in_every_process(folder, packed):
    code = f"""
import hashlib
from unveil.data import CropBatches, Photographs
batches = CropBatches(Photographs([{str(packed)!r}], shortest=32, memory=0), batch=6, patch=32, seed=1)
batches(7)
print(hashlib.sha256(batches(3).numpy().tobytes()).hexdigest())
"""
    import hashlib

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(batch(folder).numpy().tobytes()).hexdigest()


def test_several_places_are_one_collection(folder, packed):
    both = Photographs([packed, folder], shortest=32)
    assert len(both) == 16
    assert both.names == [f"{number}.png" for number in range(8)] * 2
    assert np.array_equal(both.pixels(2), both.pixels(10))


def test_parts_of_shards_are_those_of_the_folder(folder, packed):
    for one, other in zip(
        Photographs([folder], shortest=32).split(3), Photographs([packed], shortest=32).split(3), strict=True
    ):
        assert one.names == other.names
        assert np.array_equal(one.pixels(1), other.pixels(1))
    assert one.names == ["2.png", "5.png"]


def test_a_digest_tells_shards_and_parts_of_them_apart(folder, packed):
    photographs = Photographs([packed], shortest=32)
    kept, held = photographs.split(4)
    assert len({part.digest() for part in (photographs, kept, held)}) == 3
    assert photographs.digest() == Photographs([packed], shortest=32).digest()
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes())
    shards.write(Folder(folder), Folder(packed), size=shards.END + 20_000)
    assert photographs.digest() != Photographs([packed], shortest=32).digest()


def test_a_damaged_photograph_in_a_shard_is_left_out_and_reported(packed):
    index = shards.read_index(Folder(packed))
    first = shards.read_members(Folder(packed), index[0])[1]
    data = bytearray((packed / index[0].name).read_bytes())
    data[first.offset + 40] ^= 255
    (packed / index[0].name).write_bytes(data)
    photographs = Photographs([packed], shortest=32)
    assert photographs.pixels(1) is None
    assert photographs.pixels(0) is not None
    assert photographs.skipped().keys() == {"1.png"}
    assert "damaged" in photographs.skipped()["1.png"]
    assert batch(packed).shape == (6, 3, 32, 32)


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_shard_that_is_cut_off_or_gone_costs_only_its_photographs(packed, harm):
    index = shards.read_index(Folder(packed))
    place = packed / index[0].name
    if harm == "gone":
        place.unlink()
    else:
        place.write_bytes(place.read_bytes()[:700])
    photographs = Photographs([packed], shortest=32)
    read = [photographs.pixels(number) is not None for number in range(8)]
    assert read == [False] * index[0].photographs + [True] * (8 - index[0].photographs)
    assert len(photographs.skipped()) == index[0].photographs


def test_tar_files_of_others_need_no_index(folder, tmp_path):
    for part in range(2):
        with tarfile.open(tmp_path / f"others-{part}.tar", "w") as tar:
            for number in range(4 * part, 4 * part + 4):
                tar.add(folder / f"{number}.png", f"some/where/{number}.png")
                label = tarfile.TarInfo(f"some/where/{number}.cls")
                label.size = 1
                tar.addfile(label, io.BytesIO(b"1"))
    assert torch.equal(batch(f"{tmp_path}/others-*.tar"), batch(folder))
    whole = (tmp_path / "others-1.tar").read_bytes()
    (tmp_path / "others-1.tar").write_bytes(b"\1" * 2000)
    photographs = Photographs([f"{tmp_path}/others-*.tar"], shortest=32)
    assert len(photographs) == 4
    assert "not a tar file" in photographs.skipped()["others-1.tar"]
    (tmp_path / "others-1.tar").write_bytes(whole[: len(whole) // 2])
    assert 4 < len(Photographs([f"{tmp_path}/others-*.tar"], shortest=32)) < 8


def test_what_was_left_out_has_its_reason(folder):
    (folder / "3.png").write_bytes(b"no picture")
    photographs = Photographs([folder], shortest=46)
    assert [photographs.pixels(number) is None for number in range(8)] == [True] * 6 + [False] * 2
    assert photographs.skipped().keys() == {f"{number}.png" for number in range(6)}
    assert "not a picture" in photographs.skipped()["3.png"]
    assert "40 x 48" in photographs.skipped()["0.png"]


def test_a_store_that_does_not_answer_is_no_missing_photograph(folder, monkeypatch):
    photographs = Photographs([folder], shortest=32)

    def fail(*_):
        raise StoreError("no answer")

    monkeypatch.setattr(module.images, "read", fail)
    with pytest.raises(StoreError):
        photographs.pixels(0)
    assert photographs.skipped() == {}


@pytest.mark.parametrize(
    ("place", "said"),
    [("nowhere", "not a folder"), ("nowhere/*.tar", "no such tar files"), ("memory://nowhere", "no such folder")],
)
def test_a_place_where_nothing_is_is_an_error(tmp_path, monkeypatch, place, said):
    monkeypatch.chdir(tmp_path)
    if place.startswith("memory"):
        pytest.importorskip("fsspec")
    with pytest.raises(RecipeError, match=said):
        Photographs([place], shortest=1)


def test_an_index_of_another_format_is_refused(packed):
    (packed / shards.INDEX).write_text('{"format": 7}')
    with pytest.raises(RecipeError, match="format 7"):
        Photographs([packed], shortest=1)


def test_what_workers_and_parts_leave_out_is_known(folder):
    """A loader's workers have copies of their own, and share nothing else."""
    (folder / "2.png").write_bytes(b"no picture")
    photographs = Photographs([folder], shortest=32)
    part = photographs.split(2)[0]
    process = multiprocessing.get_context("spawn").Process(target=part.pixels, args=(1,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert part._unfit == {}
    assert photographs.skipped().keys() == part.skipped().keys() == {"2.png"}
