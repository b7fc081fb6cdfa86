"""Finding pairs: of known sets in any spelling and layout, and of any folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from set_samples import fill

from unveil import datasets
from unveil.errors import DataSetMissing, InvalidRequest


@pytest.fixture(autouse=True)
def _catalogue(made_up) -> None:
    made_up()


def test_pairs_come_in_order_of_their_names(tmp_path):
    fill(tmp_path, "drops/pairs/wet/2.png", "drops/pairs/dry/2.jpg", "drops/pairs/wet/1.png", "drops/pairs/dry/1.png")
    found = datasets.locate(tmp_path, "drops")
    assert found.name == "drops/test"
    assert [(pair.input.name, pair.target.name) for pair in found.pairs] == [("1.png", "1.png"), ("2.png", "2.jpg")]
    assert all(pair.input.is_file() and pair.target.is_file() for pair in found.pairs)
    assert (found.expected, found.faults, len(found)) == (2, (), 2)


@pytest.mark.parametrize("folder", ["drops", "Drops-200", "DropSet"])
def test_the_folder_may_go_by_any_name_of_the_set(tmp_path, folder):
    fill(tmp_path, f"{folder}/pairs/wet/1.png", f"{folder}/pairs/dry/1.png")
    assert len(datasets.locate(tmp_path, "drops/test")) == 1


@pytest.mark.parametrize(
    "paths",
    [("wet/wet-7x2.png", "dry/dry-7.png"), ("input/a.png", "target/a.png"), ("test/input/a.png", "test/target/a.png")],
)
def test_other_layouts_are_known(tmp_path, paths):
    fill(tmp_path / "drops", *paths)
    (pair,) = datasets.locate(tmp_path, "drops", "test").pairs
    assert (pair.input, pair.target) == (tmp_path / "drops" / paths[0], tmp_path / "drops" / paths[1])


def test_clean_parts_have_no_input(tmp_path):
    fill(tmp_path / "drops", "more/a.png")
    (pair,) = datasets.locate(tmp_path, "drops/train").pairs
    assert (pair.input, pair.target) == (None, tmp_path / "drops/more/a.png")


def test_faults_name_what_is_missing(tmp_path):
    fill(tmp_path / "drops/pairs", "wet/1.png", "dry/1.png", "wet/2.png", "dry/3.png", "dry/1.jpg")
    faults = datasets.locate(tmp_path, "drops").faults
    assert faults == (
        "1 of 2 are there",
        "pairs/wet/2.png has no target; expected pairs/dry/2 with any ending of a picture",
        "pairs/dry/3.png is the target of nothing",
        "pairs/dry/1 is there twice, with different endings",
    )


def test_pairs_in_sorted_order(tmp_path):
    fill(tmp_path / "hand", "src/b9.png", "src/a1.png", "dst/x.png", "dst/y.png", "dst/z.png")
    found = datasets.locate(tmp_path, "hand/order")
    assert [(pair.input.stem, pair.target.stem) for pair in found.pairs] == [("a1", "x"), ("b9", "y")]
    assert found.faults == ("dst/z.png is the target of nothing",)


def test_a_list_says_which_are_pairs(tmp_path):
    fill(tmp_path / "hand/all/s1", "blur_1.png", "gt_1.png", "blur_2.png", "gt_2.png")
    (tmp_path / "hand/list.txt").write_text("all/s1/gt_2.png all/s1/blur_2.png\n\nall/s9/gt_1.png all/s1/blur_1.png\n")
    found = datasets.locate(tmp_path, "hand/listed")
    assert [pair.name for pair in found.pairs] == ["all/s1/blur_2"]
    assert "all/s1/blur_1.png has no target" in found.faults[0]


def test_what_is_missing_is_said_with_where_and_how(tmp_path):
    with pytest.raises(DataSetMissing, match=r"there is no folder .*hand.*2 times eval/low/\{name\}.png.*prepare hand"):
        datasets.locate(tmp_path, "hand/test")
    fill(tmp_path / "hand", "else/a.png")
    with pytest.raises(DataSetMissing, match="has no such files"):
        datasets.locate(tmp_path, "hand/test")
    with pytest.raises(InvalidRequest):
        datasets.locate(tmp_path, "unknown")


def test_the_default_root_is_the_variable_or_data(tmp_path, monkeypatch):
    monkeypatch.delenv("UNVEIL_DATA", raising=False)
    assert datasets.default_root() == Path("data")
    monkeypatch.setenv("UNVEIL_DATA", str(tmp_path))
    fill(tmp_path, "drops/more/a.png")
    assert len(datasets.locate(None, "drops/train")) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [("input/a.png", "target/a.jpg"), ("x/low/a.png", "x/high/a.png"), ("hazy/0001_0.8_0.2.png", "clear/0001.png")],
)
def test_pairs_of_any_folder(tmp_path, first, second):
    (pair,) = datasets.pairs_in(fill(tmp_path, first, second))
    assert (pair.input, pair.target) == (tmp_path / first, tmp_path / second)


def test_any_other_folder_is_clean_pictures(tmp_path):
    fill(tmp_path, "b.png", "sub/a.jpg", ".hidden/c.png", "__MACOSX/d.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [(pair.input, pair.target) for pair in datasets.pairs_in(tmp_path)] == [
        (None, tmp_path / "b.png"),
        (None, tmp_path / "sub/a.jpg"),
    ]


def test_inputs_without_any_target_are_no_clean_pictures(tmp_path):
    with pytest.raises(DataSetMissing, match="inputs without targets"):
        datasets.pairs_in(fill(tmp_path, "input/a.png", "target/b.png"))


def test_an_empty_folder_has_no_pairs(tmp_path):
    with pytest.raises(DataSetMissing, match="has no pictures"):
        datasets.pairs_in(tmp_path)


def test_links_to_folders_are_not_followed(tmp_path):
    fill(tmp_path, "a.png")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(datasets.pairs_in(tmp_path)) == 1
