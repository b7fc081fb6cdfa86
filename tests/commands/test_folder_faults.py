"""A full disk, pictures and folders that vanish or change: what is finished stays, and the next run does the rest.

`benchmarks/folder_faults.py` does the same with processes, signals and real file systems.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command_samples import rough, save, smooth
from PIL import Image

from unveil.restoration import Restorer


@pytest.fixture
def while_restoring(monkeypatch):
    """Have something happen once, after the picture number so much has been read and before it is restored."""

    @contextmanager
    def arrange(number: int, happen: Callable[[], object]) -> Iterator[None]:
        run, calls = Restorer.run, []

        def meddle(self: Restorer, image: Any, **options: Any) -> Any:
            calls.append(1)
            if len(calls) == number:
                happen()
            return run(self, image, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Restorer, "run", meddle)
            yield

    return arrange


@pytest.fixture
def pictures(place):
    for name in "abc":
        save(f"in/{name}.png")


def results() -> list[str]:
    return sorted(path.name for path in Path("out").rglob("*") if path.is_file() and path.parent.name != ".unveil")


def the_rest_is_done(unveil, count: int) -> None:
    again = unveil("restore", "in", "-o", "out")
    assert (again.code, again.out.count("\n")) == (0, count)
    assert results() == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("pixels", [rough, smooth])
def test_a_picture_that_changes_while_it_is_restored_gets_no_result(unveil, pictures, while_restoring, pixels):
    save("in/b.png", pixels())
    with while_restoring(2, lambda: save("in/b.png", rough(24, 16))):
        result = unveil("restore", "in", "-o", "out")
    assert result.code == 1
    assert "error: in/b.png: changed while it was restored; give the command once more" in result.err
    assert results() == ["a.png", "c.png"]
    the_rest_is_done(unveil, 1)
    with Image.open("out/b.png") as image:
        assert image.size == (16, 24)


def test_one_picture_that_changes_gets_no_result_either(unveil, pictures, while_restoring):
    with while_restoring(1, lambda: save("in/b.png", rough(24, 16))):
        assert unveil("restore", "in/b.png", "-o", "b.png").code == 1
    assert not Path("b.png").exists()


def test_a_picture_that_vanishes_after_it_was_read_is_still_restored(unveil, pictures, while_restoring):
    with while_restoring(2, Path("in/b.png").unlink):
        result = unveil("restore", "in", "-o", "out")
    assert result.code == 0, result.err
    assert results() == ["a.png", "b.png", "c.png"]


def test_pictures_that_vanish_before_their_turn_are_reported(unveil, pictures, while_restoring):
    with while_restoring(1, lambda: shutil.rmtree("in")):
        result = unveil("restore", "in", "-o", "out")
    assert result.code == 1
    assert "error: in/b.png: there is no such file" in result.err
    assert "1 of 3 pictures finished, 2 failed" in result.err
    assert results() == ["a.png"]


def test_a_folder_of_results_that_vanishes_is_reported(unveil, pictures, while_restoring):
    with while_restoring(2, lambda: shutil.rmtree("out")):
        result = unveil("restore", "in", "-o", "out")
    assert result.code == 1
    assert "history.jsonl, was removed meanwhile; give the command once more" in result.err
    assert results() == []
    the_rest_is_done(unveil, 3)


@pytest.mark.parametrize("number", range(1, 7))
def test_a_full_disk_costs_one_picture_and_leaves_nothing_half_done(unveil, pictures, monkeypatch, number):
    """Whichever of the files that are made sure of on disk it hits: results, lines of the record, folders."""
    sync, calls = os.fsync, []

    def fill(descriptor: int) -> None:
        calls.append(1)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        result = unveil("restore", "in", "-o", "out")
    assert len(calls) >= number
    there = results()
    assert (result.code, len(there)) in ((1, 2), (0, 3)), result.err
    assert result.code == 0 or "cannot be written (No space left on device)" in result.err
    assert all(name.endswith(".png") for name in there)
    the_rest_is_done(unveil, 3 - len(there))
