"""Which picture is written where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unveil.commands import naming
from unveil.errors import InvalidRequest

READABLE = frozenset({".jpg", ".jpeg", ".png", ".tif", ".heic", ".gif"})
WRITABLE = READABLE - {".heic", ".gif"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())


def targets(*paths: str, output: str | None = None, suffix: str | None = None) -> dict[str, list[str]]:
    """What `plan` says: each input with all files it may write, as relative texts."""
    given = [Path(path) for path in paths]
    found = naming.find_pictures(
        given,
        READABLE,
        without=naming.output_folder(given, output),
        without_label="restored" if output is None else None,
    )
    jobs = naming.plan(given, found, output, label="restored", writable=WRITABLE, suffix=suffix)
    return {job.source.as_posix(): [target.as_posix() for target in job.candidates] for job in jobs}


def test_without_output_the_result_lies_beside_the_input(place):
    touch("in/a.jpg", "b.PNG")
    assert targets("in/a.jpg", "b.PNG") == {"in/a.jpg": ["in/a.restored.jpg"], "b.PNG": ["b.restored.PNG"]}


def test_dots_in_names_are_kept(place):
    touch("my.best.photo.jpg")
    assert targets("my.best.photo.jpg") == {"my.best.photo.jpg": ["my.best.photo.restored.jpg"]}


@pytest.mark.parametrize("name", ["a.heic", "a.gif", "a"])
def test_formats_that_cannot_be_written_become_jpg_or_png(place, name):
    touch(name)
    assert targets(name) == {name: ["a.restored.jpg", "a.restored.png"]}
    assert targets(name, output="out/") == {name: ["out/a.jpg", "out/a.png"]}


def test_eight_bits_without_alpha_settle_as_jpg_and_all_else_as_png():
    job = naming.Job(Path("a.b.heic"), Path("a.b.restored"), open_suffix=True)
    assert job.settle(depth=8, has_alpha=False) == Path("a.b.restored.jpg")
    assert job.settle(depth=16, has_alpha=False) == Path("a.b.restored.png")
    assert job.settle(depth=8, has_alpha=True) == Path("a.b.restored.png")


def test_format_replaces_the_ending(place):
    touch("a.jpg", "b.heic")
    assert targets("a.jpg", "b.heic", suffix=".png") == {"a.jpg": ["a.restored.png"], "b.heic": ["b.restored.png"]}


def test_output_of_one_file_is_a_file(place):
    touch("a.jpg")
    assert targets("a.jpg", output="b.png") == {"a.jpg": ["b.png"]}


def test_output_with_a_slash_is_a_folder(place):
    touch("a.jpg")
    assert targets("a.jpg", output="new.jpg/") == {"a.jpg": ["new.jpg/a.jpg"]}


def test_output_that_is_a_folder_is_one(place):
    touch("a.jpg")
    Path("out").mkdir()
    assert targets("a.jpg", output="out") == {"a.jpg": ["out/a.jpg"]}


def test_output_of_several_files_is_a_folder(place):
    touch("a.jpg", "in/b.jpg")
    assert targets("a.jpg", "in/b.jpg", output="out") == {"a.jpg": ["out/a.jpg"], "in/b.jpg": ["out/b.jpg"]}


def test_a_folder_is_mirrored(place):
    touch("in/a.jpg", "in/deep/er/b.PNG", "in/notes.txt", "in/.hidden/c.jpg", "in/.d.jpg", "in/a.restored.jpg")
    assert targets("in", output="out") == {
        "in/a.jpg": ["out/a.jpg"],
        "in/a.restored.jpg": ["out/a.restored.jpg"],
        "in/deep/er/b.PNG": ["out/deep/er/b.PNG"],
    }


def test_walking_without_output_skips_results_of_earlier_runs(place):
    touch("in/a.jpg", "in/a.restored.jpg", "in/b.heic", "in/b.restored.png", "in/restored.jpg")
    assert set(targets("in")) == {"in/a.jpg", "in/b.heic", "in/restored.jpg"}


def test_a_result_given_by_name_is_restored_again(place):
    touch("a.restored.jpg")
    assert targets("a.restored.jpg") == {"a.restored.jpg": ["a.restored.restored.jpg"]}


def test_several_folders_keep_their_names(place):
    touch("one/a.jpg", "two/a.jpg", "b.jpg")
    assert targets("one", "two/", "b.jpg", output="out") == {
        "one/a.jpg": ["out/one/a.jpg"],
        "two/a.jpg": ["out/two/a.jpg"],
        "b.jpg": ["out/b.jpg"],
    }


def test_an_output_folder_inside_the_input_is_not_walked(place):
    touch("in/a.jpg", "in/out/a.jpg")
    assert targets("in", output="in/out") == {"in/a.jpg": ["in/out/a.jpg"]}


def test_links_that_loop_are_followed_once(place):
    touch("in/a.jpg", "elsewhere/b.jpg")
    Path("in/loop").symlink_to("..", target_is_directory=True)
    Path("in/self").symlink_to(".", target_is_directory=True)
    assert set(targets("in", output="out")) == {"in/a.jpg", "in/loop/elsewhere/b.jpg"}


def test_a_file_given_twice_is_restored_once(place):
    touch("in/a.jpg")
    assert set(targets("in/a.jpg", "in", "./in/a.jpg")) == {"in/a.jpg"}


def test_an_input_in_the_output_folder_is_refused(place):
    touch("a.jpg")
    with pytest.raises(InvalidRequest, match=r"never overwritten"):
        targets("a.jpg", output="./")
    with pytest.raises(InvalidRequest, match=r"never overwritten"):
        targets(".", output=".")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_an_input_is_refused_as_output(place, link):
    touch("a.jpg")
    link("a.jpg", "b.jpg")
    with pytest.raises(InvalidRequest, match=r"b\.jpg, which is the input a\.jpg"):
        targets("a.jpg", output="b.jpg")


def test_an_output_that_is_another_input_is_refused(place):
    touch("a.jpg", "a.restored.jpg")
    with pytest.raises(InvalidRequest, match=r"is the input a\.restored\.jpg"):
        targets("a.jpg", "a.restored.jpg")


@pytest.mark.parametrize(
    ("names", "output", "suffix"),
    [
        (("one/a.jpg", "two/a.jpg"), "out", None),
        (("a.jpg", "a.tif"), None, ".png"),
        (("a.jpg", "a.heic"), None, None),
        (("a.heic", "a.gif"), None, None),
    ],
)
def test_two_inputs_never_share_an_output(place, names, output, suffix):
    touch(*names)
    with pytest.raises(InvalidRequest, match="would both be written to"):
        targets(*names, output=output, suffix=suffix)


def test_a_file_in_the_place_of_the_output_folder_is_refused(place):
    touch("a.jpg", "b.jpg", "out")
    with pytest.raises(InvalidRequest, match="must be a folder"):
        targets("a.jpg", "b.jpg", output="out")


def test_a_folder_without_pictures_is_refused(place):
    touch("in/notes.txt")
    with pytest.raises(InvalidRequest, match="no pictures found in in"):
        targets("in")


def test_folders_that_cannot_be_listed_are_kept_as_failures(place, monkeypatch):
    touch("in/a.jpg", "in/secret/b.jpg")
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = naming.find_pictures([Path("in")], READABLE)
    assert [path.as_posix() for path, _ in found.pictures] == ["in/a.jpg"]
    assert [error.filename for error in found.unreadable] == ["in/secret"]
