"""A second run over a folder does only what is left, after a good end, an interrupt, and a kill at any moment."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_samples import rough, save, smooth
from PIL import Image

from unveil.commands.history import History, digest_of
from unveil.errors import InvalidRequest

KILLS = 3
PICTURES = 12


def stamps(folder: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).glob("*.png")}


def history(folder: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(folder, ".unveil/history.jsonl").read_text().splitlines()]


def test_a_second_run_does_nothing(unveil):
    save("in/a.png")
    save("in/deep/b.png")
    save("in/c.png", smooth())
    first = unveil("restore", "in", "-o", "out", "--json").json["results"]
    before = stamps("out")
    again = unveil("restore", "in", "-o", "out", "--json")
    assert again.code == 0
    assert stamps("out") == before
    assert [record["skipped"] for record in again.json["results"]] == [True] * 3
    assert again.json["results"] == [record | {"skipped": True} for record in first]
    assert "3 of 3 pictures finished, 0 failed; 3 of them were done before" in again.err


def test_a_new_picture_is_all_that_is_done(unveil):
    save("in/a.png")
    unveil("restore", "in", "-o", "out")
    before = stamps("out")
    save("in/b.png")
    result = unveil("restore", "in", "-o", "out")
    assert (result.code, result.out.count("\n")) == (0, 1)
    assert result.out.startswith("in/b.png -> out/b.png")
    assert stamps("out")["a.png"] == before["a.png"]


def test_beside_the_inputs_a_second_run_does_nothing_either(unveil):
    save("in/a.png")
    assert unveil("restore", "in").code == 0
    again = unveil("restore", "in")
    assert (again.code, again.out) == (0, "")
    assert "1 of them was done before" in again.err


def test_touching_a_picture_is_no_reason_to_restore_it_again(unveil):
    save("in/a.png")
    unveil("restore", "in", "-o", "out")
    os.utime("in/a.png", (1, 1))
    assert unveil("restore", "in", "-o", "out").out == ""


def test_a_changed_picture_is_restored_again(unveil):
    save("in/a.png")
    unveil("restore", "in", "-o", "out")
    save("in/a.png", np.rot90(rough()))
    result = unveil("restore", "in", "-o", "out")
    assert (result.code, result.out.count("\n")) == (0, 1)
    with Image.open("out/a.png") as image:
        assert image.size == (40, 56)


@pytest.mark.parametrize("more", [["--strength", "0.5"], ["--only", "dark"], ["--weights", "dark=1"]])
def test_other_settings_give_other_results(unveil, more):
    save("in/a.png")
    unveil("restore", "in", "-o", "out")
    first = Path("out/a.png").read_bytes()
    assert unveil("restore", "in", "-o", "out", *more).code == 0
    assert Path("out/a.png").read_bytes() != first
    assert unveil("restore", "in", "-o", "out", *more).out == ""


def test_a_result_that_somebody_changed_is_not_replaced(unveil):
    save("in/a.png")
    unveil("restore", "in", "-o", "out")
    Path("out/a.png").write_bytes(b"retouched by hand")
    result = unveil("restore", "in", "-o", "out", "--strength", "0.5")
    assert result.code == 1
    assert "--overwrite" in result.err
    assert Path("out/a.png").read_bytes() == b"retouched by hand"
    assert unveil("restore", "in", "-o", "out", "--overwrite").code == 0
    assert Path("out/a.png").read_bytes() != b"retouched by hand"


def test_overwrite_does_everything_anew(unveil):
    save("in/a.png")
    unveil("restore", "in", "-o", "out")
    assert unveil("restore", "in", "-o", "out", "--overwrite").out.count("\n") == 1


def test_a_result_that_was_deleted_is_made_again(unveil):
    save("in/a.gif")
    unveil("restore", "in", "-o", "out")
    (result,) = Path("out").glob("a.*")
    assert unveil("restore", "in", "-o", "out").out == ""
    result.unlink()
    assert unveil("restore", "in", "-o", "out").out.count("\n") == 1
    assert result.exists()


def test_a_torn_line_costs_one_picture_only(unveil):
    save("in/a.png")
    save("in/b.png")
    unveil("restore", "in", "-o", "out")
    file = Path("out/.unveil/history.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    Path("out/b.png").unlink()
    result = unveil("restore", "in", "-o", "out")
    assert (result.code, result.out.count("\n")) == (0, 1)
    assert unveil("restore", "in", "-o", "out").out == ""


def test_a_kill_between_line_and_name_is_no_dead_end(tmp_path):
    """The line of a new result is there, the old result still has the name."""
    target = tmp_path / "a.png"
    log = History(tmp_path)
    with log.opened([tmp_path]):
        log.add(target, source="one", settings="s", result=b"old", details={})
        target.write_bytes(b"old")
        log.add(target, source="two", settings="s", result=b"new", details={})
    again = History(tmp_path)
    again.load()
    assert again.state(target, "two", "s") == "stale"
    target.write_bytes(b"new")
    assert again.state(target, "two", "s") == "done"
    target.write_bytes(b"mine")
    assert again.state(target, "two", "s") == "foreign"


def test_two_runs_do_not_share_a_folder(unveil):
    save("in/a.png")
    with History(Path("out")).opened([]):
        result = unveil("restore", "in", "-o", "out")
        assert result.code == 2
        assert "another run" in result.err
    assert unveil("restore", "in", "-o", "out").code == 0


def test_a_lock_is_refused_without_reading_the_history(tmp_path):
    with History(tmp_path).opened([]), pytest.raises(InvalidRequest, match="at work"), History(tmp_path).opened([]):
        pass


def test_a_folder_that_cannot_be_written_to_is_one_line(unveil):
    save("in/a.png")
    Path("in/.unveil").write_text("a file in the way")
    result = unveil("restore", "in")
    assert result.code == 1
    assert result.err.startswith("error: in: cannot be written to")
    assert result.err.count("\n") == 1


def test_left_overs_of_a_kill_are_cleared_away(unveil):
    save("in/deep/a.png")
    Path("out/deep").mkdir(parents=True)
    Path("out/deep/.unveil-0123.part").write_bytes(b"half")
    assert unveil("restore", "in", "-o", "out").code == 0
    assert [path.name for path in Path("out/deep").iterdir()] == ["a.png"]


def test_a_dry_run_says_what_is_left_and_writes_nothing(unveil):
    save("in/a.png")
    unveil("restore", "in", "-o", "out")
    save("in/b.png")
    save("in/c.png")
    save("out/c.png")
    result = unveil("restore", "in", "-o", "out", "--dry-run")
    assert result.code == 1
    assert result.out == "in/b.png -> out/b.png\n"
    assert "error: out/c.png: exists already" in result.err
    assert "2 of 3 pictures planned, 1 failed; 1 of them was done before" in result.err
    assert not Path("out/b.png").exists()
    assert unveil("restore", "in", "-o", "elsewhere", "--dry-run", "--json").json["results"][1]["output"]
    assert not Path("elsewhere").exists()


def start(*arguments: str) -> subprocess.Popen[str]:
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    return subprocess.Popen(
        [sys.executable, "-c", f"{heard}; from unveil.commands import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_sigterm_leaves_whole_files_only(place):
    for number in range(200):
        save(f"in/{number:03}.png", rough(120, 120))
    process = start("restore", "in", "-o", "out")
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert "interrupted: " in err
    written = sorted(path.name for path in Path("out").iterdir() if path.name != ".unveil")
    assert 0 < len(written) < 200
    assert all(name.endswith(".png") for name in written)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_at_random_moments_and_continued_every_result_is_right(unveil):
    """See benchmarks/interrupted_folder.py for the large version."""
    chance = random.Random(5)
    for number in range(PICTURES):
        Path("in").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(40, 215, (300, 300, 3), np.uint8)
        Image.fromarray(pixels).save(f"in/{number:02}.png")
    assert unveil("restore", "in", "-o", "wanted").code == 0
    for _ in range(KILLS):
        before = stamps("out")
        process = start("restore", "in", "-o", "out")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.06))
        process.kill()
        process.communicate()
        assert stamps("out").items() >= before.items(), "a finished picture was written once more"
        # The lock of the killed run goes with it.
    before = stamps("out")
    assert 0 < len(before) < PICTURES
    result = unveil("restore", "in", "-o", "out")
    assert result.code == 0
    assert result.out.count("\n") == PICTURES - len(before)
    assert stamps("out").items() >= before.items()
    assert sorted(path.name for path in Path("out").iterdir()) == sorted([*stamps("wanted"), ".unveil"])
    for name in stamps("wanted"):
        assert digest_of(Path("out", name)) == digest_of(Path("wanted", name))
    times = [entry["output"] for entry in history("out")]
    assert len(times) <= PICTURES + KILLS
