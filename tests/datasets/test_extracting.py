"""Archives, friendly and hostile."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
from set_samples import tarred, zipped

from unveil.datasets import extracting
from unveil.datasets.extracting import extract, is_archive
from unveil.errors import DataError, UnsafeArchive


def put(tmp_path: Path, content: bytes, name: str = "a.bin") -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_files_come_out_where_they_were(tmp_path, pack):
    archive = put(tmp_path, pack({"a/one.png": b"1", "./b/../a/two.png": b"22"}))
    assert is_archive(archive)
    out = extract(archive, tmp_path / "out")
    assert (out.files, out.bytes, out.links) == (2, 3, 0)
    assert names(tmp_path / "out") == ["a/one.png", "a/two.png"]
    assert (tmp_path / "out/a/two.png").read_bytes() == b"22"


def test_only_what_is_wanted_comes_out(tmp_path):
    archive = put(tmp_path, zipped({"x/keep/1.png": b"1", "x/keep/2.png": b"2", "x/other/3.png": b"3"}))
    assert extract(archive, tmp_path / "out", keep=("*/keep/*",)).files == 2
    assert names(tmp_path / "out") == ["x/keep/1.png", "x/keep/2.png"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "\\evil"])
def test_paths_that_lead_out_are_refused(tmp_path, pack, name):
    archive = put(tmp_path, pack({name: b"!"}))
    with pytest.raises(UnsafeArchive):
        extract(archive, tmp_path / "out")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("link", [("symbolic", "../.."), ("symbolic", "/etc"), ("hard", "../a.bin"), ("hard", "/a")])
def test_links_that_lead_out_are_refused(tmp_path, link):
    archive = put(tmp_path, tarred({"d/link": link, "d/link/evil": b"!"}))
    with pytest.raises(UnsafeArchive):
        extract(archive, tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_links_that_stay_inside_are_left_out(tmp_path):
    archive = put(tmp_path, tarred({"d/a": b"1", "d/b": ("symbolic", "a"), "d/c": ("hard", "d/a")}))
    assert extract(archive, tmp_path / "out").links == 2
    assert names(tmp_path / "out") == ["d/a"]


def test_a_link_in_a_zip_archive_is_a_link(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        entry = zipfile.ZipInfo("d/link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        bundle.writestr(entry, "../../outside")
    with pytest.raises(UnsafeArchive):
        extract(put(tmp_path, out.getvalue()), tmp_path / "out")


def test_an_archive_that_grows_beyond_the_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(extracting, "SLACK", 1000)
    archive = put(tmp_path, tarred({"zeros": bytes(2_000_000)}))
    with pytest.raises(UnsafeArchive, match="grows beyond"):
        extract(archive, tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(extracting, "MOST_FILES", 3)
    with pytest.raises(UnsafeArchive, match="more than 3 files"):
        extract(put(tmp_path, zipped({f"{n}.png": b"1" for n in range(5)})), tmp_path / "out")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_cut_off_archive_is_damaged(tmp_path, pack):
    content = pack({f"{n}.png": bytes(range(256)) * 40 for n in range(20)})
    archive = put(tmp_path, content[: len(content) // 2])
    if is_archive(archive):
        with pytest.raises(DataError, match="damaged, cut off or encrypted"):
            extract(archive, tmp_path / "out")


def test_a_flipped_byte_is_noticed(tmp_path):
    content = bytearray(zipped({"a.png": bytes(1000)}))
    content[200] ^= 1
    with pytest.raises(DataError, match="damaged"):
        extract(put(tmp_path, bytes(content)), tmp_path / "out")


def test_archives_that_python_cannot_open_come_with_advice(tmp_path):
    with pytest.raises(DataError, match=r"RAR archive.*--from"):
        is_archive(put(tmp_path, b"Rar!\x1a\x07\x00" + bytes(100)))


def test_a_picture_is_no_archive(tmp_path):
    assert not is_archive(put(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(100)))
