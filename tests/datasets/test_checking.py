"""What 'unveil data check' finds: pairs, counts, sizes, unreadable files, digests, overlaps, and which set it is."""

from __future__ import annotations

import hashlib

import pytest
from set_samples import fill, picture

from unveil import datasets
from unveil.datasets import checking, headers, records
from unveil.errors import DataSetMissing

GOOD = ("pairs/wet/1.png", "pairs/wet/2.png", "pairs/dry/1.png", "pairs/dry/2.png")


@pytest.fixture(autouse=True)
def _catalogue(made_up) -> None:
    made_up()


def faults(report: checking.SetReport) -> list[str]:
    return [fault for part in report.parts for fault in part.faults]


def test_a_complete_set_is_good(tmp_path):
    report = checking.check(fill(tmp_path / "drops", *GOOD))
    assert report.is_good
    assert (report.set, report.known_by, report.files) == ("drops", "name", 4)
    assert [(part.name, part.pairs, part.expected) for part in report.parts] == [("test", 2, 2)]


def test_a_missing_target_is_named(tmp_path):
    report = checking.check(fill(tmp_path / "drops", *GOOD[:3]))
    assert not report.is_good
    assert faults(report) == [
        "1 of 2 are there",
        "pairs/wet/2.png has no target; expected pairs/dry/2 with any ending of a picture",
    ]


def test_sizes_that_differ_are_named(tmp_path):
    folder = fill(tmp_path / "drops", *GOOD)
    (folder / GOOD[2]).write_bytes(picture(5, width=30))
    assert faults(checking.check(folder)) == ["pairs/wet/1.png is 24 x 16, its target 30 x 16; expected 24 x 16"]
    assert checking.check(folder, sizes=False).is_good


def test_a_size_that_the_set_does_not_have_is_named(tmp_path):
    report = checking.check(fill(tmp_path / "drops", *GOOD, width=20))
    assert faults(report)[0] == "pairs/wet/1.png is 20 x 16; expected 24 x 16"


def test_unreadable_and_cut_off_files_are_named(tmp_path):
    folder = fill(tmp_path / "drops", *GOOD)
    (folder / GOOD[0]).write_bytes(b"no picture")
    cut = (folder / GOOD[1]).read_bytes()
    (folder / GOOD[1]).write_bytes(cut[: len(cut) // 2])
    (found,) = faults(checking.check(folder))
    assert found.startswith("pairs/wet/1.png: its header cannot be read")
    decoded = faults(checking.check(folder, decode=True))
    assert [fault.split(":")[0] for fault in decoded] == ["pairs/wet/1.png", "pairs/wet/2.png"]


def test_scale_and_border_of_a_part_are_allowed_for(tmp_path):
    folder = fill(tmp_path / "hand", "lr/ax4.png", width=10, height=6)
    for width, good in ((42, True), (45, True), (46, False), (41, False)):
        fill(folder, "hr/a.png", width=width, height=26)
        (part,) = checking.check(folder).parts
        assert (part.name, part.faults == []) == ("small", good), width


def test_many_faults_are_counted(tmp_path):
    folder = fill(tmp_path / "drops", *(f"pairs/{side}/{n}.png" for side in ("wet", "dry") for n in range(20)), width=9)
    report = checking.check(folder)
    assert len(faults(report)) == 1 + checking.SHOWN + 1
    assert faults(report)[-1] == "15 further files are unreadable or have unexpected sizes"


def test_the_digest_is_that_of_sorted_checksum_lines(tmp_path):
    folder = fill(tmp_path / "drops", *GOOD)
    lines = [f"{hashlib.sha256((folder / path).read_bytes()).hexdigest()}  {path}\n" for path in sorted(GOOD)]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    (folder / ".unveil-set.json").write_text("{}")
    assert checking.check(folder).digest == expected
    (folder / GOOD[0]).write_bytes(picture(9))
    assert checking.check(folder).digest != expected
    assert checking.check(folder, digest=False).digest is None


@pytest.mark.parametrize("name", ["drops", "Drops 200", "test_drops_2", "dropset"])
def test_a_set_is_recognised_by_its_folder(tmp_path, name):
    assert checking.check(fill(tmp_path / name, *GOOD)).set == "drops"


def test_a_set_is_recognised_by_its_record(tmp_path):
    folder = fill(tmp_path / "somewhere", *GOOD)
    records.write(folder, records.Record("drops", "0"))
    report = checking.check(folder)
    assert (report.set, report.known_by) == ("drops", "record")


def test_a_set_is_recognised_by_folders_of_its_own(tmp_path):
    report = checking.check(fill(tmp_path / "somewhere", *GOOD))
    assert (report.set, report.known_by) == ("drops", "layout")


def test_a_folder_whose_name_counts_its_pairs_is_a_part_on_purpose(tmp_path):
    assert checking.check(fill(tmp_path / "test_drops_1", "input/a.png", "target/a.png")).is_good
    assert not checking.check(fill(tmp_path / "drops", "input/a.png", "target/a.png")).is_good


def test_an_unknown_folder_is_checked_as_what_it_looks_like(tmp_path):
    report = checking.check(fill(tmp_path / "mine", "input/a.png", "target/a.png", "target/b.png"))
    assert (report.set, report.parts[0].pairs) == (None, 1)
    assert faults(report) == ["target/b.png is the target of nothing"]
    report = checking.check(fill(tmp_path / "other", "a.png", "deep/er/b.png"))
    assert (report.parts[0].kind, report.parts[0].pairs) == ("clean", 2)


def test_every_set_below_a_folder_is_checked(tmp_path):
    fill(tmp_path, "drops/pairs/wet/1.png", "drops/pairs/dry/1.png", "mine/a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".unveil-downloads").mkdir()
    assert [(report.folder.name, report.set) for report in checking.check_below(tmp_path)] == [
        ("drops", "drops"),
        ("mine", None),
    ]
    assert [report.set for report in checking.check_below(tmp_path / "drops")] == ["drops"]
    with pytest.raises(DataSetMissing):
        checking.check_below(tmp_path / "gone")


def test_shared_pictures_that_are_listed_are_counted(tmp_path):
    fill(tmp_path, "drops/more/a.png", "drops/more/z.png", "hand/eval/low/1.png", "hand/eval/high/1.png")
    (warning,) = checking.overlap_warnings(checking.check_below(tmp_path))
    assert warning == "drops/train and hand/test: two pictures are the same; 1 of them are here: a"
    (tmp_path / "drops/more/a.png").unlink()
    assert checking.overlap_warnings(checking.check_below(tmp_path)) == []


def test_sets_that_overlap_are_warned_of_where_both_are_there(tmp_path):
    fill(tmp_path, *(f"drops/{path}" for path in GOOD))
    assert checking.overlap_warnings(checking.check_below(tmp_path)) == []
    fill(tmp_path, "hand/eval/low/1.png", "hand/eval/high/1.png")
    assert checking.overlap_warnings(checking.check_below(tmp_path)) == [
        "drops/test and hand/test: all scenes are the same"
    ]


def test_training_pictures_that_leak_are_warned_of_without_the_test_set(tmp_path):
    fill(tmp_path, "drops/more/a.png", "drops/more/b.png")
    (warning,) = checking.overlap_warnings(checking.check_below(tmp_path))
    assert "hand/test (hand/test is not in this folder)" in warning
    assert warning.endswith("2 of them are here: a, b")


def test_an_empty_folder_is_no_set(tmp_path):
    with pytest.raises(DataSetMissing, match="has no pictures"):
        checking.check(tmp_path, datasets.sets()["drops"])


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif", "webp", "gif"])
def test_sizes_come_from_headers_of_every_format(tmp_path, ending):
    from PIL import Image

    Image.new("RGB", (31, 17), (9, 90, 200)).save(tmp_path / f"a.{ending}")
    assert headers.read_size(tmp_path / f"a.{ending}") == (31, 17)
