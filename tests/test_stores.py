"""Folders and object stores answer the same questions in the same way."""

from __future__ import annotations

import pickle
from pathlib import Path, PureWindowsPath

import pytest

from unveil import stores
from unveil.errors import MissingExtra, StoreError
from unveil.stores import open_store

FILES = {"b/z.txt": b"last", "a.txt": b"first", "b/c/deep.txt": b"0123456789", ".hidden": b"x", "b/.part": b"y"}


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    """A store with a few files."""
    if request.param == "folder":
        made = open_store(tmp_path / "place")
    else:
        pytest.importorskip("fsspec")
        made = open_store(f"memory://{tmp_path.name}/place")
    for name, data in FILES.items():
        made.write(name, data)
    return made


def test_folders_are_walked_in_order_without_hidden_files(store):
    found = [(folder, [entry.name for entry in entries]) for folder, entries in store.walk(print)]
    assert found == [("", ["a.txt"]), ("b", ["b/z.txt"]), ("b/c", ["b/c/deep.txt"])]
    without = [folder for folder, _ in store.walk(print, without=store.place("b/c"))]
    assert without == ["", "b"]


def test_a_folder_is_listed_with_hidden_files(store):
    assert [entry.name for entry in store.entries("b")] == ["b/.part", "b/z.txt"]
    assert store.entries("nowhere") == []


def test_files_and_parts_of_them_are_read(store):
    assert store.read("b/c/deep.txt") == b"0123456789"
    assert store.read("b/c/deep.txt", 2, 5) == b"234"
    assert store.read("b/c/deep.txt", 7) == b"789"
    assert store.read("b/c/deep.txt", 8, 99) == b"89"
    assert store.read_all(["a.txt", "b/z.txt"]) == {"a.txt": b"first", "b/z.txt": b"last"}
    assert store.read_all(["a.txt"]) == {"a.txt": b"first"}
    assert store.read_all([]) == {}


def test_a_file_that_is_not_there_is_said_so(store):
    for ask in (store.read, store.entry):
        with pytest.raises(FileNotFoundError):
            ask("nothing.txt")
    store.remove("nothing.txt")


def test_a_change_changes_the_stamp(store):
    before = store.entry("a.txt")
    assert store.entry("a.txt") == before
    store.write("a.txt", b"second")
    assert store.entry("a.txt").stamp != before.stamp
    assert store.entry("a.txt").size == 6
    assert store.read("a.txt") == b"second"


def test_a_store_travels_to_another_process(store):
    assert pickle.loads(pickle.dumps(store)).read("a.txt") == b"first"


def test_only_folders_append(store):
    if not store.appends:
        with pytest.raises(StoreError, match="write it whole"):
            store.append("log", b"1")
        return
    store.append("logs/log", b"1")
    store.append("logs/log", b"2")
    assert store.read("logs/log") == b"12"


def test_what_was_removed_is_gone(store):
    store.remove("a.txt")
    assert [entry.name for entry in store.entries("")] == [".hidden"]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    store.write("a", b"before")

    def fail(*_):
        raise OSError(28, "no space left")

    monkeypatch.setattr(stores.os, "fsync", fail)
    with pytest.raises(StoreError, match="no space left"):
        store.write("a", b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert store.read("a") == b"before"


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    pytest.importorskip("fsspec")
    store = open_store(f"memory://{tmp_path.name}")
    store.write("a", b"1")
    told: list[OSError] = []

    def fail(*_, **__):
        raise PermissionError(13, "forbidden", "b")

    monkeypatch.setattr(type(store), "_list", fail)
    assert list(store.walk(told.append)) == []
    assert "forbidden" in str(told[0])


@pytest.mark.parametrize(
    ("place", "spelled", "is_url"),
    [
        ("s3://bucket/a b", "s3://bucket/a b", True),
        (Path("s3://bucket/a"), "s3://bucket/a", True),
        (PureWindowsPath("s3://bucket/a/b"), "s3://bucket/a/b", True),
        ("S3://Bucket/A", "s3://Bucket/A", True),
        ("file:///tmp/x", "/tmp/x", False),
        ("C:/photos", "C:/photos", False),
        ("C:\\photos", "C:\\photos", False),
        ("photos/2020", "photos/2020", False),
        (Path("photos"), "photos", False),
        ("a:b/c", "a:b/c", False),
    ],
)
def test_urls_are_told_from_paths(place, spelled, is_url):
    assert stores.spelled(place) == spelled
    assert stores.is_url(place) is is_url


def test_a_relative_folder_stays_the_same_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("below")
    store.write("a", b"1")
    monkeypatch.chdir("/")
    assert store.read("a") == b"1"
    assert store.place("a") == str(Path("below") / "a")


def test_a_store_of_an_unknown_kind_is_refused():
    pytest.importorskip("fsspec")
    with pytest.raises(StoreError, match="nonsense"):
        open_store("nonsense://place")


def test_a_url_needs_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingExtra, match="cluster"):
        open_store("s3://bucket")
