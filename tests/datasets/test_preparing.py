"""Sets made ready: downloaded, unpacked, arranged, recorded."""

from __future__ import annotations

import hashlib
import json

import pytest
from set_samples import fill, picture, tarred, zipped

from unveil import datasets
from unveil.datasets import preparing, records
from unveil.datasets.watching import Watch
from unveil.errors import DataError, DownloadFailed, InvalidRequest, UnsafeArchive

PAIRS = {f"top/pairs/{side}/{n}.png": picture(n) for side in ("wet", "dry") for n in (1, 2)}


def fetch(name: str, root, **options):
    entry = datasets.sets()[name]
    said: list[str] = []
    keep = options.pop("keep", False)
    preparing.fetch(entry, root, preparing.planned(entry, **options), keep=keep, watch=Watch(say=said.append))
    return said


def test_a_set_is_downloaded_unpacked_and_recorded(made_up, server, tmp_path):
    made_up(server.address)
    archive = zipped({**PAIRS, "top/junk.exe": b"!"})
    server.serve("drops.zip", archive)
    fetch("drops", tmp_path)
    found = datasets.locate(tmp_path, "drops")
    assert (len(found), found.faults) == (2, ())
    record = json.loads((tmp_path / "drops/.unveil-set.json").read_text())
    assert record["set"] == "drops"
    assert record["counts"] == {"test": 2}
    (origin,) = record["origins"]
    assert origin["origin"] == f"{server.address}/drops.zip"
    assert origin["size"] == len(archive)
    assert origin["sha256"] == hashlib.sha256(archive).hexdigest()
    assert origin["date"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drops"]
    assert not list(tmp_path.rglob("junk.exe"))


def test_what_is_there_is_not_downloaded_again(made_up, server, tmp_path):
    made_up(server.address)
    server.serve("drops.zip", zipped(PAIRS))
    fetch("drops", tmp_path)
    fetch("drops", tmp_path)
    assert len(server.asked) == 1
    for path in (tmp_path / "drops").rglob("*.png"):
        path.unlink()
    fetch("drops", tmp_path)
    assert len(server.asked) == 2
    assert len(datasets.locate(tmp_path, "drops")) == 2


def test_a_set_in_many_files_goes_on_after_the_one_that_failed(made_up, server, tmp_path):
    made_up(server.address)
    for n in range(4):
        server.serve(f"shard-{n:02d}.tar.gz", tarred({f"{n}/a.png": picture(n)}))
    server.files["/shard-02.tar.gz"].statuses.append(404)
    with pytest.raises(DownloadFailed):
        fetch("shards", tmp_path)
    assert len(datasets.locate(tmp_path, "shards")) == 2
    fetch("shards", tmp_path)
    assert len(datasets.locate(tmp_path, "shards")) == 4
    asked = [path for path, _ in server.asked]
    assert asked.count("/shard-00.tar.gz") == 1
    assert asked.count("/shard-02.tar.gz") == 2


def test_a_limit_takes_the_first_files(made_up, server, tmp_path):
    made_up(server.address)
    server.serve("shard-00.tar.gz", tarred({"0/a.png": picture()}))
    fetch("shards", tmp_path, limit=1)
    assert [path for path, _ in server.asked] == ["/shard-00.tar.gz"]


def test_another_address_takes_the_place_of_the_known_one(made_up, server, tmp_path):
    made_up()
    url = server.serve("mirror.zip", zipped({"eval/low/a.png": picture(), "eval/high/a.png": picture()}))
    fetch("hand", tmp_path, urls=[url])
    assert len(datasets.locate(tmp_path, "hand/test")) == 1


def test_archives_can_be_kept(made_up, server, tmp_path):
    made_up(server.address)
    server.serve("drops.zip", zipped(PAIRS))
    fetch("drops", tmp_path, keep=True)
    assert (tmp_path / preparing.WORKSHOP / "drops/drops.zip").is_file()


def test_single_pictures_are_put_where_they_belong(made_up, server, tmp_path):
    made_up()
    urls = [server.serve(f"{name}.png", picture(), kind="image/png") for name in "ab"]
    entry = datasets.sets()["shards"]
    preparing.fetch(entry, tmp_path, preparing.planned(entry, urls=urls))
    assert sorted(path.name for path in (tmp_path / "shards").glob("*.png")) == ["a.png", "b.png"]


def test_a_hostile_archive_leaves_nothing_behind(made_up, server, tmp_path):
    made_up(server.address)
    server.serve("drops.zip", zipped({**PAIRS, "../../pairs/evil.png": b"!"}))
    with pytest.raises(UnsafeArchive):
        fetch("drops", tmp_path / "root")
    assert not list(tmp_path.rglob("*.png"))


def test_an_archive_of_something_else_is_named(made_up, server, tmp_path):
    made_up(server.address)
    server.serve("drops.zip", zipped({"cats/1.png": picture()}))
    with pytest.raises(DataError, match="without the files of Drops 200"):
        fetch("drops", tmp_path)


def test_what_is_no_archive_is_named(made_up, server, tmp_path):
    made_up(server.address)
    server.serve("drops.zip", b"Just some text")
    with pytest.raises(DataError, match="neither a folder, nor a ZIP"):
        fetch("drops", tmp_path)


@pytest.mark.parametrize("wrapping", ["", "LOLdataset/", "a/b/c/"])
def test_a_folder_fetched_by_hand_is_arranged_at_any_depth(made_up, tmp_path, wrapping):
    made_up()
    source = fill(tmp_path / "downloads", *(f"{wrapping}eval/{side}/{n}.png" for side in ("low", "high") for n in "ab"))
    (source / wrapping / "LICENCE.txt").write_text("do as you please")
    preparing.take(datasets.sets()["hand"], tmp_path / "root", [source])
    assert len(datasets.locate(tmp_path / "root", "hand/test")) == 2
    assert (tmp_path / "root/hand/LICENCE.txt").is_file()
    assert len(list(source.rglob("*.png"))) == 4


def test_the_inner_folder_itself_may_be_given(made_up, tmp_path):
    made_up()
    source = fill(tmp_path / "eval", "low/a.png", "high/a.png")
    preparing.take(datasets.sets()["hand"], tmp_path / "root", [source])
    assert (tmp_path / "root/hand/eval/low/a.png").is_file()


def test_several_archives_make_one_set(made_up, tmp_path):
    made_up()
    sources = []
    for side in ("low", "high"):
        (tmp_path / f"{side}.zip").write_bytes(zipped({f"eval/{side}/a.png": picture()}))
        sources.append(tmp_path / f"{side}.zip")
    home = preparing.take(datasets.sets()["hand"], tmp_path / "root", sources)
    assert len(datasets.locate(tmp_path / "root", "hand/test")) == 1
    record = records.read(home)
    assert [origin.sha256 for origin in record.origins] == [
        hashlib.sha256(source.read_bytes()).hexdigest() for source in sources
    ]


def test_of_several_sets_in_one_folder_the_one_of_that_name_is_taken(made_up, tmp_path):
    made_up()
    other = [f"Others/{side}/{n}.png" for side in ("input", "target") for n in range(5)]
    own = [f"Drops200/{side}/{n}.png" for side in ("input", "target") for n in range(2)]
    source = fill(tmp_path / "test", *other, *own)
    preparing.take(datasets.sets()["drops"], tmp_path / "root", [source])
    found = datasets.locate(tmp_path / "root", "drops")
    assert (len(found), found.faults) == (2, ())


def test_a_folder_of_something_else_is_named_with_what_was_expected(made_up, tmp_path):
    made_up()
    source = fill(tmp_path / "cats", "1.jpg")
    with pytest.raises(DataError, match=r"does not look like By hand: found 1.jpg; expected.*eval/low/\{name\}"):
        preparing.take(datasets.sets()["hand"], tmp_path / "root", [source])
    with pytest.raises(DataError, match="there is no such file"):
        preparing.take(datasets.sets()["hand"], tmp_path / "root", [tmp_path / "gone"])


def test_another_file_in_the_way_is_not_overwritten(made_up, tmp_path):
    made_up()
    source = fill(tmp_path / "eval", "low/a.png", "high/a.png")
    fill(tmp_path / "root/hand/eval", "low/a.png", width=50)
    with pytest.raises(DataError, match="is there already with another size"):
        preparing.take(datasets.sets()["hand"], tmp_path / "root", [source])


def test_unknown_parts_are_refused_before_anything_is_downloaded(made_up):
    made_up()
    with pytest.raises(InvalidRequest, match="no part 'nope'"):
        preparing.planned(datasets.sets()["drops"], parts=["nope"])


def test_only_what_a_part_needs_is_planned():
    plan = preparing.planned(datasets.sets()["div2k"], parts=["validation"])
    assert [url.rsplit("/", 1)[1] for url, _ in plan] == ["DIV2K_valid_HR.zip"]
    plan = preparing.planned(datasets.sets()["ntire18"], parts=["mild"])
    assert [url.rsplit("/", 1)[1] for url, _ in plan] == ["DIV2K_valid_HR.zip", "DIV2K_valid_LR_mild.zip"]
