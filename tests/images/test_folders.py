"""Which pictures lie below a folder, and in which order."""

from __future__ import annotations

import os
import sys

import pytest

from unveil.images.folders import pictures_below


def test_pictures_are_told_by_their_endings_and_come_in_order(tmp_path):
    for name in ("b.JPG", "a.png", "deep/c.heic", "deep/notes.txt", ".hidden/d.png", ".e.png", "none"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in pictures_below(tmp_path)]
    assert found == ["a.png", "b.JPG", "deep/c.heic"]
    assert [path.name for path in pictures_below(tmp_path, {".txt"})] == ["notes.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_cannot_loop(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert len(list(pictures_below(tmp_path))) == 1


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        list(pictures_below(os.fspath(tmp_path / "nowhere")))
