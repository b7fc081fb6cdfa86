"""Packing photographs into tar files: whole, readable by others, resumable."""

from __future__ import annotations

import json
import tarfile

import pytest
from PIL import Image

from unveil.commands.application import run
from unveil.datasets import shards
from unveil.errors import DataError, InvalidRequest, StoreError
from unveil.stores import Folder


@pytest.fixture
def photographs(tmp_path):
    """Nine photographs of about 900 bytes in two folders, and a file that is none."""
    place = tmp_path / "photographs"
    for number in range(9):
        file = place / ("b" if number % 3 == 0 else "a") / f"{number}.{'bmp' if number % 2 else 'PNG'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((27, 27 + number)).convert("RGB").save(file)
    (place / "notes.txt").write_text("no photograph")
    return place


def pack(photographs, tmp_path, size=10_000, **options):
    return shards.write(Folder(photographs), Folder(tmp_path / "shards"), size=size + shards.END, **options)


def test_shards_are_bounded_and_hold_every_photograph_once(photographs, tmp_path):
    done = pack(photographs, tmp_path)
    assert len(done.shards) > 1
    assert done.photographs == 9
    store = Folder(tmp_path / "shards")
    assert shards.read_index(store) == done.shards
    found = {}
    for shard in done.shards:
        assert (tmp_path / "shards" / shard.name).stat().st_size == shard.bytes <= 10_000 + shards.END
        for member in shards.read_members(store, shard):
            found[member.of] = store.read(shard.name, member.offset, member.offset + member.size)
    assert found == {
        path.relative_to(photographs).as_posix(): path.read_bytes()
        for path in photographs.rglob("*")
        if path.is_file() and path.suffix != ".txt"
    }


def test_shards_are_tar_files_with_one_key_a_photograph(photographs, tmp_path):
    done = pack(photographs, tmp_path)
    keys = []
    for shard in done.shards:
        with tarfile.open(tmp_path / "shards" / shard.name) as tar:
            names = tar.getnames()
        assert names == [member.name for member in shards.read_members(Folder(tmp_path / "shards"), shard)]
        assert shards.scan(Folder(tmp_path / "shards"), shard.name)[0].offset == 512
        # WebDataset takes what stands before the first dot for the key, and the rest for the kind of part.
        assert all(name.count(".") == 1 and name == name.lower() for name in names)
        keys += [name.partition(".")[0] for name in names]
    assert len(set(keys)) == 9


def test_a_second_run_packs_only_what_has_changed(photographs, tmp_path):
    first = pack(photographs, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*.tar")}
    again = pack(photographs, tmp_path)
    assert again.shards == first.shards
    assert again.kept == len(first.shards)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*.tar")} == before
    last = max(photographs.rglob("b/*"))
    Image.new("RGB", (99, 9)).save(last)
    changed = pack(photographs, tmp_path)
    assert changed.kept == len(first.shards) - 1
    assert changed.shards[0] == first.shards[0]
    assert changed.shards[-1] != first.shards[-1]


def test_what_a_stopped_run_has_packed_is_kept(photographs, tmp_path):
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    with pytest.raises(Stop):
        pack(photographs, tmp_path, watch=shards.Watch(tick=stop))
    with pytest.raises(FileNotFoundError):
        shards.read_index(Folder(tmp_path / "shards"))
    assert pack(photographs, tmp_path).kept == 1


def test_shards_that_are_too_many_go_away(photographs, tmp_path):
    many = pack(photographs, tmp_path, size=1)
    assert len(many.shards) == 9
    few = pack(photographs, tmp_path, size=1_000_000)
    names = {path.name for path in (tmp_path / "shards").iterdir()}
    assert names == {shards.INDEX, few.shards[0].name, few.shards[0].index}


def test_a_shard_that_does_not_hold_what_was_written_is_reported_and_packed_again(photographs, tmp_path):
    done = pack(photographs, tmp_path)
    place = tmp_path / "shards" / done.shards[0].name
    data = bytearray(place.read_bytes())
    data[600] ^= 1
    place.write_bytes(data)
    with pytest.raises(DataError, match=done.shards[0].name):
        pack(photographs, tmp_path)
    assert pack(photographs, tmp_path).shards == done.shards


def test_an_index_that_is_damaged_is_no_index(photographs, tmp_path):
    done = pack(photographs, tmp_path)
    (tmp_path / "shards" / done.shards[0].index).write_text("{}\n")
    assert pack(photographs, tmp_path).kept == len(done.shards) - 1
    (tmp_path / "shards" / shards.INDEX).write_text('{"format": 2}')
    with pytest.raises(DataError, match="format 2"):
        shards.read_index(Folder(tmp_path / "shards"))


def test_nothing_to_pack_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="no photographs"):
        shards.write(Folder(tmp_path / "empty"), Folder(tmp_path / "shards"))
    with pytest.raises(InvalidRequest, match="hold nothing"):
        shards.write(Folder(tmp_path / "empty"), Folder(tmp_path / "shards"), size=100)


def test_the_command_packs_and_reports(photographs, tmp_path, capsys):
    assert run(["data", "shards", str(photographs), "-o", str(tmp_path / "shards"), "--size", "0.02", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["photographs"] == 9
    assert said["kept"] == 0
    assert [shard["name"] for shard in said["shards"]] == sorted(
        path.name for path in (tmp_path / "shards").glob("*.tar")
    )
    assert run(["data", "shards", str(photographs), "-o", str(tmp_path / "shards"), "--size", "0.02"]) == 0
    assert "9 photographs in" in capsys.readouterr().out


def test_a_store_that_cannot_be_written_is_said(photographs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        shards.write(Folder(photographs), Folder(tmp_path / "file" / "below"))
