"""`unveil restore`: what is written, what is said, and the exit code."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_samples import rough, save, smooth
from PIL import Image

from unveil.commands import restore as restore_command
from unveil.commands.terminal import Bar


def read(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if path.name != ".unveil")


def test_one_picture_gives_one_line_and_one_file(unveil):
    save("a.png")
    result = unveil("restore", "a.png")
    assert result.code == 0
    assert result.out.startswith("a.png -> a.restored.png  noise ")
    assert result.out.endswith(" s\n")
    assert result.out.count("\n") == 1
    assert result.err == ""
    assert read("a.restored.png").shape == rough().shape
    assert not np.array_equal(read("a.restored.png"), rough())
    assert np.array_equal(read("a.png"), rough())


def test_a_path_alone_is_restored(unveil):
    save("a.png")
    assert unveil("a.png", "--quiet").code == 0
    assert Path("a.restored.png").exists()


def test_a_clean_picture_is_written_unchanged(unveil):
    save("a.png", smooth())
    result = unveil("restore", "a.png")
    assert "looks clean, unchanged" in result.out
    assert np.array_equal(read("a.restored.png"), smooth())


def test_a_clean_picture_is_not_encoded_once_more(unveil):
    source = save("a.jpg", smooth(), quality=60)
    unveil("restore", "a.jpg")
    assert Path("a.restored.jpg").read_bytes() == source.read_bytes()


def test_a_clean_picture_is_encoded_where_format_or_quality_are_asked_for(unveil):
    source = save("a.jpg", smooth(), quality=60)
    unveil("restore", "a.jpg", "-o", "b.png")
    assert read("b.png").shape == smooth().shape
    unveil("restore", "a.jpg", "--quality", "100")
    assert Path("a.restored.jpg").read_bytes() != source.read_bytes()


def test_strength_zero_changes_nothing_and_does_not_say_clean(unveil):
    save("a.png")
    result = unveil("restore", "a.png", "--strength", "0")
    assert "  unchanged" in result.out
    assert np.array_equal(read("a.restored.png"), rough())


def test_weights_are_used_as_given(unveil):
    save("a.png", smooth())
    result = unveil("restore", "a.png", "--weights", "noise=.6,dark=.4")
    assert "noise 0.60, dark 0.40" in result.out


def test_a_rule_of_blending_can_be_chosen_and_makes_other_results(unveil):
    save("in/a.png")
    for _ in range(2):
        result = unveil("restore", "in", "-o", "out", "--blend", "average", "--json")
        assert result.json["results"][0]["weights"] == {"noise": 0.5, "dark": 0.5}
    assert result.json["results"][0]["skipped"]
    assert unveil("restore", "in", "-o", "out", "--json").json["results"][0]["skipped"] is False
    for rule, said in (("mean", "known are sw"), ("oracle:nois", "did you mean 'noise'"), ("topk:0", "topk:2")):
        refused = unveil("restore", "in", "-o", "out", "--blend", rule)
        assert refused.code == 2
        assert said in refused.err
    assert unveil("restore", "in", "--blend", "sw", "--weights", "noise=1").code == 2


def test_quiet_says_nothing(unveil):
    save("a.png")
    result = unveil("restore", "a.png", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_folder_is_mirrored_and_complete(unveil):
    save("in/a.jpg")
    save("in/deep/b.png", smooth())
    Path("in/notes.txt").write_text("hello")
    result = unveil("restore", "in", "-o", "out")
    assert result.code == 0
    assert sorted(path.as_posix() for path in Path("out").rglob("*.???")) == ["out/a.jpg", "out/deep/b.png"]
    assert "2 of 2 pictures finished, 0 failed" in result.err


def test_a_folder_is_restored_twice_without_restoring_results(unveil):
    save("in/a.png")
    assert unveil("restore", "in").code == 0
    assert unveil("restore", "in", "--overwrite").code == 0
    assert names("in") == ["a.png", "a.restored.png"]


def test_one_bad_file_does_not_stop_the_run(unveil):
    save("a.png")
    Path("b.png").write_bytes(b"")
    save("c.png")
    result = unveil("restore", "a.png", "b.png", "gone.png", "c.png", "-o", "out/")
    assert result.code == 1
    assert names("out") == ["a.png", "c.png"]
    assert "error: b.png: " in result.err
    assert "error: gone.png: " in result.err
    assert "Traceback" not in result.err
    assert "2 of 4 pictures finished, 2 failed" in result.err


def test_an_existing_output_is_replaced_only_with_overwrite(unveil):
    save("a.png")
    Path("a.restored.png").write_bytes(b"mine")
    result = unveil("restore", "a.png")
    assert result.code == 1
    assert "--overwrite" in result.err
    assert Path("a.restored.png").read_bytes() == b"mine"
    assert unveil("restore", "a.png", "--overwrite").code == 0
    assert read("a.restored.png").shape == rough().shape


def test_collisions_are_found_before_anything_is_written(unveil):
    save("one/a.png")
    save("two/a.png")
    result = unveil("restore", "one/a.png", "two/a.png", "-o", "out")
    assert result.code == 2
    assert "would both be written to out/a.png" in result.err
    assert not Path("out").exists()


def test_gif_becomes_jpg_or_png_as_fits(unveil):
    save("a.gif")
    assert unveil("restore", "a.gif").code == 0
    assert Path("a.restored.jpg").exists() != Path("a.restored.png").exists()


def test_format_and_quality_are_used(unveil):
    save("a.png")
    assert unveil("restore", "a.png", "--format", "JPG", "--quality", "20").code == 0
    assert unveil("restore", "a.png", "-o", "b.jpg", "--quality", "95").code == 0
    assert Path("a.restored.jpg").stat().st_size < Path("b.jpg").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "heic"], "--format heic cannot be written"),
        (["-o", "b.png", "--format", "jpg"], "contradict each other"),
        (["--only", "noise", "--weights", "noise=1"], "contradict each other"),
        (["--only", "niose"], "did you mean 'noise'"),
        (["--weights", "rain=1"], "unknown to the model toy"),
        (["--strength", "2"], "--strength"),
        (["--quality", "0"], "--quality"),
        (["--engine", "steam"], "--engine"),
    ],
)
def test_wrong_requests_exit_with_two_and_write_nothing(unveil, arguments, message):
    save("a.png")
    result = unveil("restore", "a.png", *arguments)
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert names(".") == ["a.png"]


def test_an_unknown_model_is_one_line(unveil):
    save("a.png")
    result = unveil("restore", "a.png", "--model", "nonesuch")
    assert result.code == 1
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert "nonesuch" in result.err


@pytest.mark.parametrize("command", ["restore", "diagnose"])
def test_pictures_beyond_the_limit_are_refused(unveil, command):
    save("a.png", rough(100, 100))
    result = unveil(command, "a.png", "--pixel-limit", "0.009")
    assert result.code == 1
    assert "a.png" in result.err
    assert unveil(command, "a.png", "--pixel-limit", "0.01").code == 0


def test_the_limit_is_that_of_reading():
    from unveil.commands import arguments
    from unveil.images import PIXEL_LIMIT

    assert arguments.pixels(arguments.LARGEST_PICTURE) == PIXEL_LIMIT


def test_json_has_one_object_with_every_picture(unveil):
    save("a.png")
    save("b.png", smooth())
    Path("c.png").write_bytes(b"no picture")
    result = unveil("restore", "a.png", "b.png", "c.png", "-o", "out", "--json")
    assert result.code == 1
    assert result.json["interrupted"] is False
    a, b, c = result.json["results"]
    keys = {"input", "output", "diagnosis", "weights", "untouched", "seconds", "skipped", "error"}
    assert set(a) == set(b) == set(c) == keys
    assert (a["input"], a["output"], a["untouched"], a["error"]) == ("a.png", "out/a.png", False, None)
    assert next(iter(a["diagnosis"])) == "noise"
    assert sum(a["diagnosis"].values()) == pytest.approx(1)
    assert set(a["weights"]) <= {"noise", "dark"}
    assert a["seconds"] >= 0
    assert b["untouched"] is True
    assert c["output"] is None
    assert "c.png" in c["error"]


def test_an_unforeseen_error_is_one_short_line(unveil, monkeypatch):
    save("a.png")
    save("b.png")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("unveil.images.read", fail)
    result = unveil("restore", "a.png", "b.png", "-o", "out")
    assert result.code == 1
    assert "error: a.png: unexpected ZeroDivisionError" in result.err
    assert "error: b.png" in result.err
    assert "Traceback" not in result.err
    monkeypatch.setenv("UNVEIL_DEBUG", "1")
    assert "Traceback" in unveil("restore", "a.png").err


def test_names_cannot_play_with_the_terminal(unveil):
    save("a\x1b[31m[red]\n.png")
    result = unveil("restore", "a\x1b[31m[red]\n.png")
    assert result.out.startswith("a\\x1b[31m[red]\\n.png -> ")
    assert result.out.count("\n") == 1


@pytest.mark.parametrize("count", [1, 3])
def test_progress_is_shown_on_a_terminal_only(unveil, monkeypatch, count):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    pictures = [save(f"{number}[red].png").name for number in range(count)]
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    assert unveil("restore", *pictures).code == 0
    assert "━" in screen.getvalue()
    assert pictures[0] in screen.getvalue()
    quiet = Screen()
    monkeypatch.setattr(sys, "stderr", quiet)
    assert unveil("restore", *pictures, "--overwrite", "--quiet").code == 0
    assert quiet.getvalue() == ""


@pytest.fixture
def heard():
    """Interrupts are heard here, also where the test runner was started in the background with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_in_the_middle_of_a_picture_leaves_nothing(unveil, monkeypatch):
    save("a.png", rough(600, 600))
    save("b.png", rough(600, 600))
    ticks: list[tuple[int, int]] = []

    def interrupt(self: Bar, done: int, total: int) -> None:
        ticks.append((done, total))
        if len(ticks) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Bar, "tiles", interrupt)
    result = unveil("restore", "a.png", "b.png", "-o", "out", "--json")
    assert result.code == 130
    assert result.json["interrupted"] is True
    assert "interrupted: " in result.err
    assert len(result.json["results"]) == len(names("out") if Path("out").exists() else []) < 2


def test_ctrl_c_leaves_whole_files_only(place, home):
    """A real signal to a real process, in the middle of many pictures."""
    picture = save("in/000.png", rough(200, 200)).read_bytes()
    for number in range(1, 300):
        Path(f"in/{number:03}.png").write_bytes(picture)
    # Test runners in the background are started with interrupts ignored, and children inherit that.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heard}; from unveil.commands import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "restore", "in", "-o", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    finished = (first + out).splitlines()
    written = names("out")
    assert 0 < len(finished) < 300
    assert f"interrupted: {len(finished)} of 300 pictures finished" in err
    assert "Traceback" not in err
    assert len(written) == len(finished)
    assert all(name.endswith(".png") for name in written)
    for name in written:
        assert read(f"out/{name}").shape == (200, 200, 3)


def test_a_result_in_the_way_is_noticed_before_the_work(unveil, monkeypatch):
    save("a.png")
    save("a.restored.png")
    monkeypatch.setattr("unveil.images.read", lambda path: pytest.fail("read although the output exists"))
    assert unveil("restore", "a.png").code == 1


def test_every_engine_can_be_asked_for():
    named = {name.value for name in restore_command.EngineName}
    assert named == {"auto", "onnx", "openvino", "torch", "torch-compiled"}


def test_where_it_was_taken_can_be_left_out(unveil):
    exif = Image.Exif()
    exif[0x010F] = "Synthetic"
    exif.get_ifd(0x8825)[1] = "N"
    save("in/rough.jpg", exif=exif)
    save("in/clean.jpg", smooth(), exif=exif)
    assert unveil("restore", "in", "-o", "out").code == 0
    # Other settings than before, so both are written anew.
    assert unveil("restore", "in", "-o", "out", "--strip", "location").code == 0
    for name in ("rough", "clean"):
        with Image.open(f"out/{name}.jpg") as image:
            assert image.getexif()[0x010F] == "Synthetic"
            assert 0x8825 not in image.getexif()
    assert unveil("restore", "in/clean.jpg", "-o", "bare.jpg", "--strip", "all").code == 0
    with Image.open("bare.jpg") as image:
        assert not image.getexif()


def test_a_precision_that_the_engine_lacks_is_refused(unveil):
    save("a.png")
    result = unveil("restore", "a.png", "--engine", "onnx", "--precision", "bf16")
    assert result.code == 2
    assert "bf16 needs the engine openvino or torch" in result.err
    assert names(".") == ["a.png"]


def test_results_of_another_precision_are_made_anew(unveil):
    pytest.importorskip("openvino")
    from unveil.engines import openvino

    if "BF16" not in openvino.capabilities():
        pytest.skip("this processor cannot compute in bf16")
    save("in/a.png")
    assert unveil("restore", "in", "-o", "out").code == 0
    assert "unchanged" not in unveil("restore", "in", "-o", "out").out
    exact = read("out/a.png")
    result = unveil("restore", "in", "-o", "out", "--precision", "bf16")
    assert result.code == 0
    rough = read("out/a.png")
    difference = np.abs(exact.astype(int) - rough).max()
    assert 0 < difference <= 3
