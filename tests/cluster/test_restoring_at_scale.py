"""What is written, what is left alone, and what the manifest says, in this process and without Ray."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cluster_samples import fill, results, rough
from failing_stores import Refusing
from PIL import Image

from unveil import cluster
from unveil.cluster import manifest, planning, running, work
from unveil.commands.application import run
from unveil.commands.history import History
from unveil.commands.restoring import Wishes
from unveil.errors import InvalidRequest, ModelNotFound, UnwritablePicture
from unveil.stores import Folder

HEIC = Path(__file__).parents[1] / "images" / "data"


@pytest.fixture
def variety(tmp_path):
    """Pictures of many kinds, in folders."""
    place = tmp_path / "in"
    fill(place, 2, below="deep/er/")
    wide = rough(5).astype(np.uint16) * 257
    Image.fromarray(wide[..., 0]).save(place / "sixteen.png")
    alpha = np.dstack([rough(6), np.tile(np.arange(32, dtype=np.uint8), (24, 1))])
    Image.fromarray(alpha).save(place / "alpha.webp", lossless=True)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    Image.fromarray(rough(7)).save(place / "tagged.JPG", exif=exif, quality=98)
    Image.new("RGB", (30, 20), (180, 180, 180)).save(place / "clean.tif")
    shutil.copy(HEIC / "alpha.heic", place / "with space.heic")
    shutil.copy(HEIC / "grey.heic", place / "ümlaut.heic")
    (place / "notes.txt").write_text("no picture")
    (place / ".hidden.png").write_bytes(b"")
    return place


@pytest.mark.parametrize("options", [[], ["--format", "png"], ["--strip", "all", "--strength", "0.5"]])
def test_results_are_those_of_a_plain_run(variety, restore, tmp_path, toy_path, options):
    assert run(["restore", str(variety), "-o", str(tmp_path / "plain"), "--model", str(toy_path), *options]) == 0
    wished = {"format": "png"} if "--format" in options else {}
    wished |= {"strip": "all", "strength": 0.5} if "--strip" in options else {}
    told = restore(variety, tmp_path / "out", **wished)
    assert told.errors == {}
    assert len(told.records) == 8
    assert results(tmp_path / "out") == results(tmp_path / "plain")
    assert {record["output"] for record in told.records} == {
        str(tmp_path / "out" / name) for name in results(tmp_path / "out")
    }


def test_a_second_run_does_what_is_left(restore, tmp_path):
    names = fill(tmp_path / "in", 4)
    restore(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / "001.png").unlink()
    Image.fromarray(rough(99)).save(tmp_path / "in" / "002.png")
    Image.fromarray(rough(98)).save(tmp_path / "in" / "new.png")
    again = restore(tmp_path / "in", tmp_path / "out")
    assert again.errors == {}
    assert {Path(record["input"]).name for record in again.records if record["skipped"]} == {"000.png", "003.png"}
    tally = cluster.tally(tmp_path / "out")
    assert tally.finishes == Counter([*names, "001.png", "002.png", "new.png"])
    assert restore(tmp_path / "in", tmp_path / "out").summary.skipped == 5


def test_a_picture_that_is_done_is_not_opened_again(restore, tmp_path, monkeypatch):
    fill(tmp_path / "in", 3)
    first = restore(tmp_path / "in", tmp_path / "out")

    def fail(*_):
        raise AssertionError("a batch was handed out")

    monkeypatch.setattr(work.Worker, "__call__", fail)
    again = restore(tmp_path / "in", tmp_path / "out")
    assert again.summary.skipped == 3
    kept = ("input", "output", "diagnosis", "weights", "seconds", "untouched")
    assert [{key: record[key] for key in kept} for record in again.records] == [
        {key: record[key] for key in kept} for record in first.records
    ]


def test_contents_decide_where_times_have_changed(restore, tmp_path):
    names = fill(tmp_path / "in", 3)
    restore(tmp_path / "in", tmp_path / "out")
    for place in ("in/000.png", "out/001.png"):
        os.utime(tmp_path / place, (1, 1))
    again = restore(tmp_path / "in", tmp_path / "out")
    assert again.summary.skipped == 3
    tally = cluster.tally(tmp_path / "out")
    assert tally.starts == tally.finishes == Counter(names)


def test_other_settings_replace_our_results_and_nobody_elses(restore, tmp_path):
    fill(tmp_path / "in", 2)
    restore(tmp_path / "in", tmp_path / "out")
    before = results(tmp_path / "out")
    (tmp_path / "out" / "001.png").write_bytes(b"somebody's")
    told = restore(tmp_path / "in", tmp_path / "out", strength=0.5)
    assert "exists already" in told.errors["001.png"]
    after = results(tmp_path / "out")
    assert after["000.png"] != before["000.png"]
    assert after["001.png"] == b"somebody's"
    assert restore(tmp_path / "in", tmp_path / "out", strength=0.5, overwrite=True).errors == {}
    assert results(tmp_path / "out")["001.png"] != b"somebody's"


def test_a_picture_that_cannot_be_restored_is_reported_and_tried_again(restore, tmp_path):
    fill(tmp_path / "in", 3)
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    told = restore(tmp_path / "in", tmp_path / "out")
    assert told.errors.keys() == {"bad.png"}
    assert told.summary == replace(told.summary, pictures=4, failed=1)
    events = list(manifest.read(Folder(tmp_path / "out"), ""))
    (failure,) = [event for event in events if event["event"] == "failure"]
    assert failure["picture"] == "bad.png"
    assert "not a picture" in failure["error"]
    Image.fromarray(rough(1)).save(tmp_path / "in" / "bad.png")
    assert restore(tmp_path / "in", tmp_path / "out").errors == {}
    assert cluster.tally(tmp_path / "out").failures == Counter(["bad.png"])


@pytest.mark.parametrize(("times", "failed"), [(2, 0), (3, 1)])
def test_a_store_that_does_not_answer_is_asked_again_a_few_times(restore, tmp_path, monkeypatch, times, failed):
    monkeypatch.setattr(work, "PAUSE", 0.001)
    monkeypatch.setattr(
        running, "open_store", lambda place: Refusing(place, victim="001.png", mark=tmp_path / "mark", times=times)
    )
    fill(tmp_path / "in", 3)
    told = restore(tmp_path / "in", tmp_path / "out")
    assert told.summary.failed == failed
    assert len(results(tmp_path / "out")) == 3 - failed
    assert failed == 0 or "did not answer" in told.errors["001.png"]


def test_an_interrupted_run_goes_on(restore, tmp_path):
    names = fill(tmp_path / "in", 5)
    seen: list[object] = []

    def stop(record):
        seen.append(record)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "in", tmp_path / "out", on_picture=stop)
    assert len(results(tmp_path / "out")) == 2
    again = restore(tmp_path / "in", tmp_path / "out")
    assert again.summary.skipped == 2
    tally = cluster.tally(tmp_path / "out")
    assert tally.starts == tally.finishes == Counter(names)


@pytest.fixture
def batch(tmp_path, toy):
    """A worker, and a batch of one picture for it."""
    fill(tmp_path / "in", 1)
    target = Folder(tmp_path / "out")
    wishes = Wishes(1.0, None, None, None, False, 10**6)
    entry = Folder(tmp_path / "in").entry("000.png")
    task = planning.Task("000.png", "000.png", entry.stamp, entry.size, "000.png", False, {})
    order = work.Order((Folder(tmp_path / "in"),), target, wishes, "settings", "auto", 1)
    return work.Worker(order, toy), planning.Batch("run-0-000000", 0, "", (task,))


def test_a_picture_that_kills_its_workers_is_given_up(batch, tmp_path):
    worker, given = batch
    for attempt in range(work.RETRIES + 1):
        journal, before, _ = manifest.open_attempt(worker.order.target, "", given.name)
        assert before == attempt
        journal.start("000.png")
    (record,) = worker(given)
    assert "3 workers died" in record["error"]
    assert results(tmp_path / "out") == {}
    # Once given up, it stays so when its batch is tried again for another one's sake.
    (record,) = worker(given)
    assert "3 workers died" in record["error"]
    assert cluster.tally(tmp_path / "out").starts == Counter({"000.png": 3})


def test_a_line_that_a_kill_cut_short_is_passed_over(batch, tmp_path):
    worker, given = batch
    list(worker(given))
    (place,) = (tmp_path / "out" / manifest.FOLDER).iterdir()
    lines = place.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["event"] for line in lines] == ["start", "made", "finish"]
    place.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    made = (tmp_path / "out" / "000.png").stat().st_mtime_ns
    (record,) = worker(given)
    assert record["error"] is None
    assert (tmp_path / "out" / "000.png").stat().st_mtime_ns == made
    tally = cluster.tally(tmp_path / "out")
    assert tally.starts == tally.finishes == Counter(["000.png"])


def test_a_result_announced_by_a_run_that_died_is_known_to_the_next(batch, restore, tmp_path):
    worker, given = batch
    journal, _, _ = manifest.open_attempt(worker.order.target, "", given.name)
    journal.made("000.png", output="000.png", result="of bytes that never got their name")
    told = restore(tmp_path / "in", tmp_path / "out")
    assert told.errors == {}
    journal, _, _ = manifest.open_attempt(worker.order.target, "", "z" + given.name)
    journal.made("000.png", output="000.png", result="of bytes that never got their name")
    again = restore(tmp_path / "in", tmp_path / "out")
    assert again.errors == {}
    assert again.summary.skipped == 1


def test_what_a_killed_worker_left_under_a_temporary_name_goes_away(restore, tmp_path):
    fill(tmp_path / "in", 1)
    left = tmp_path / "out" / ".unveil-0123abcd.part"
    left.parent.mkdir()
    left.write_bytes(b"half")
    restore(tmp_path / "in", tmp_path / "out")
    assert not left.exists()


def test_results_of_a_plain_run_are_known(restore, tmp_path, toy_path):
    fill(tmp_path / "in", 3)
    assert run(["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", str(toy_path), "-q"]) == 0
    told = restore(tmp_path / "in", tmp_path / "out")
    assert told.errors == {}
    assert told.summary.skipped == 3


def test_a_result_is_known_where_clocks_disagree(restore, tmp_path):
    fill(tmp_path / "in", 1)
    restore(tmp_path / "in", tmp_path / "out")
    (first,) = (tmp_path / "out" / manifest.FOLDER).iterdir()
    Image.fromarray(rough(9)).save(tmp_path / "in" / "000.png")
    restore(tmp_path / "in", tmp_path / "out")
    first.rename(first.with_name(f"3{first.name[1:]}"))
    again = restore(tmp_path / "in", tmp_path / "out")
    assert again.errors == {}
    assert again.summary.skipped == 1


def test_a_plain_run_knows_what_a_cluster_has_made(variety, restore, tmp_path, toy_path, capsys):
    restore(variety, tmp_path / "out")
    before = results(tmp_path / "out")
    Image.fromarray(rough(77)).save(variety / "deep" / "er" / "000.png")
    words = ["restore", str(variety), "-o", str(tmp_path / "out"), "--model", str(toy_path), "--json"]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)["results"]
    assert [Path(record["input"]).name for record in told if not record["skipped"]] == ["000.png"]
    assert {name for name, data in results(tmp_path / "out").items() if data != before[name]} == {"deep/er/000.png"}
    assert restore(variety, tmp_path / "out").summary.skipped == 8


def test_another_run_in_the_folder_is_not_disturbed(restore, tmp_path):
    fill(tmp_path / "in", 1)
    with History(tmp_path / "out").opened(()), pytest.raises(InvalidRequest, match="at work"):
        restore(tmp_path / "in", tmp_path / "out")


def test_results_that_would_meet_are_refused_before_anything_is_done(restore, tmp_path):
    fill(tmp_path / "in", 1)
    shutil.copy(HEIC / "grey.heic", tmp_path / "in" / "000.heic")
    with pytest.raises(InvalidRequest, match=r"both be written to .*000\.png"):
        restore(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_inside_the_input_is_left_out(restore, tmp_path):
    fill(tmp_path, 2)
    restore(tmp_path, tmp_path / "out")
    assert restore(tmp_path, tmp_path / "out").summary.pictures == 2


@pytest.mark.parametrize("output", ["in", "."])
def test_an_input_inside_the_output_is_refused(restore, tmp_path, output):
    fill(tmp_path / "in", 1)
    with pytest.raises(InvalidRequest, match="never overwritten"):
        restore(tmp_path / "in", tmp_path / output)


def test_several_inputs_keep_their_names(restore, tmp_path):
    fill(tmp_path / "one", 2)
    fill(tmp_path / "two", 1)
    told = restore([tmp_path / "one", tmp_path / "two", tmp_path / "one" / "001.png"], tmp_path / "out")
    assert told.errors == {}
    assert results(tmp_path / "out").keys() == {"one/000.png", "one/001.png", "two/000.png", "001.png"}
    with pytest.raises(InvalidRequest, match="the same name"):
        restore([tmp_path / "one", tmp_path / "two" / ".." / "one"], tmp_path / "elsewhere")


def test_what_is_wrong_is_said_before_anything_is_done(restore, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="no pictures found"):
        restore(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InvalidRequest, match="no such folder"):
        restore(tmp_path / "nowhere", tmp_path / "out")
    fill(tmp_path / "in", 1)
    with pytest.raises(InvalidRequest, match="known is ray"):
        restore(tmp_path / "in", tmp_path / "out", cluster="slurm")
    with pytest.raises(ModelNotFound, match="nothing"):
        restore(tmp_path / "in", tmp_path / "out", model="nothing")


def test_a_target_that_cannot_be_written_ends_the_run(restore, tmp_path):
    fill(tmp_path / "in", 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritablePicture, match="file"):
        restore(tmp_path / "in", tmp_path / "file" / "out")


def test_a_file_larger_than_its_pixels_can_be_is_not_read(restore, tmp_path, monkeypatch):
    fill(tmp_path / "in", 1)
    monkeypatch.setattr(work, "METADATA", 0)
    told = restore(tmp_path / "in", tmp_path / "out", pixel_limit=10)
    assert "more than a picture of the limit" in told.errors["000.png"]


def test_what_may_surprise_is_told(restore, tmp_path):
    (tmp_path / "in").mkdir()
    frames = [Image.fromarray(rough(number)) for number in range(2)]
    frames[0].save(tmp_path / "in" / "a.gif", save_all=True, append_images=frames[1:])
    told = restore(tmp_path / "in", tmp_path / "out")
    assert told.errors == {}
    assert any("frame" in warning or "page" in warning for warning in told.records[0]["warnings"])
