"""`-` for stdin and stdout, `--watch`, what is said before long work."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from command_samples import rough, save, smooth
from PIL import Image

from unveil.commands import forecast, watching


class Pipe(io.TextIOWrapper):
    """A stand-in for stdin and stdout whose bytes can be given and looked at."""

    def __init__(self, data: bytes = b"") -> None:
        self.kept = io.BytesIO(data)
        super().__init__(self.kept, write_through=True)


@pytest.fixture
def piped(unveil, monkeypatch):
    def call(data: bytes, *arguments: str) -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "stdin", Pipe(data))
        out = Pipe()
        monkeypatch.setattr(sys, "stdout", out)
        result = unveil(*arguments)
        return result.code, out.kept.getvalue(), result.err

    return call


@pytest.mark.parametrize("arguments", [["restore", "-"], ["-"], ["restore", "-", "-o", "-"]])
def test_stdin_goes_to_stdout(piped, arguments):
    data = save("a.png").read_bytes()
    code, out, err = piped(data, *arguments)
    assert (code, err) == (0, "")
    with Image.open(io.BytesIO(out)) as image:
        assert (image.format, image.size) == ("PNG", (56, 40))
        assert not np.array_equal(np.asarray(image), rough())
    assert not list(Path().glob("*restored*"))


def test_a_clean_picture_comes_out_as_it_went_in(piped):
    data = save("a.jpg", smooth(), quality=61).read_bytes()
    assert piped(data, "-")[:2] == (0, data)


def test_stdin_goes_to_a_file_and_a_file_to_stdout(piped):
    data = save("a.png").read_bytes()
    assert piped(data, "restore", "-", "-o", "b.jpg")[:2] == (0, b"")
    with Image.open("b.jpg") as image:
        assert image.format == "JPEG"
    code, out, _ = piped(b"", "restore", "a.png", "-o", "-", "--format", "webp")
    assert code == 0
    assert out[8:12] == b"WEBP"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "a.png"], "one picture"),
        ([".", "-o", "-"], "folder"),
        (["-", "-o", "./"], "no name"),
        (["-", "--json"], "neither --watch nor"),
        (["-", "--format", "heic"], "cannot be written"),
    ],
)
def test_what_cannot_be_piped_is_refused(piped, arguments, message):
    data = save("a.png").read_bytes()
    code, out, err = piped(data, "restore", *arguments)
    assert (code, out) == (2, b"")
    assert message in err


def test_no_picture_on_stdin_is_one_line(piped):
    code, out, err = piped(b"hello", "-")
    assert (code, out, err.count("\n")) == (1, b"", 1)


def test_pictures_are_not_written_to_a_terminal(piped, monkeypatch):
    monkeypatch.setattr(Pipe, "isatty", lambda self: True)
    code, out, err = piped(save("a.png").read_bytes(), "-")
    assert (code, out) == (2, b"")
    assert "terminal" in err


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(watching, "INTERVAL", 0.1)


@pytest.mark.usefixtures("quick")
def test_a_file_that_grows_is_not_complete(place):
    look = watching.Watch([Path("in")], "out", None)
    data = save("in/a.png").read_bytes()
    Path("in/a.png").write_bytes(data[:100])
    assert look.arrived() == []
    Path("in/a.png").write_bytes(data)
    assert look.arrived() == []
    assert look.arrived() == [(Path("in/a.png"), Path("in"))]
    assert look.job((Path("in/a.png"), Path("in"))).target == Path("out/a.png")
    assert look.arrived() == []


def test_what_arrives_is_restored_until_ctrl_c(place):
    """A real process, a real Ctrl-C."""
    save("in/a.png")
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from unveil.commands import main, watching; watching.INTERVAL = .1; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "restore", "in", "-o", "out", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    hurry = threading.Timer(30, process.kill)
    hurry.start()
    assert process.stdout is not None
    assert process.stdout.readline().startswith("in/a.png -> out/a.png")
    Path("in/bad.png").write_bytes(b"no picture")
    save("in/deep/b.png")
    assert process.stdout.readline().startswith("in/deep/b.png -> out/deep/b.png")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    hurry.cancel()
    assert process.returncode == 1
    assert "watching in; Ctrl-C ends it" in err
    assert err.count("error: in/bad.png") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["a.png", "--watch"], "folders"), (["in", "--watch", "--json"], "--json contradict")],
)
def test_what_cannot_be_watched_is_refused(unveil, arguments, message):
    save("a.png")
    save("in/a.png")
    result = unveil("restore", *arguments)
    assert result.code == 2
    assert message in result.err


def test_long_work_is_announced_with_what_it_takes(unveil, monkeypatch):
    monkeypatch.setattr(forecast, "SMALL", 0.0)
    monkeypatch.setattr(forecast, "SHORT", 0.0)
    monkeypatch.setattr(forecast, "seconds_per_megapixel", lambda *_: 10_000.0)
    save("in/a.png", rough(100, 100))
    save("in/b.png", rough(100, 200))
    Path("in/c.png").write_bytes(b"no picture")
    result = unveil("restore", "in", "-o", "out")
    assert "3 pictures, 0.0 megapixels, toy on onnx: about 5 min" in result.err
    Path("in/c.png").unlink()
    assert "about" not in unveil("restore", "in", "-o", "out").err


def test_a_sample_of_the_work_is_measured(toy):
    from unveil.restoration import Restorer

    assert 0 < forecast.seconds_per_megapixel(Restorer(toy)) < 60


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (59.6, "1 min"), (95, "1 min 35 s"), (7500, "2 h 5 min")])
def test_lengths_of_time_are_said_shortly(seconds, words):
    assert forecast.said(seconds) == words


def test_of_very_many_pictures_some_are_measured(place, monkeypatch):
    monkeypatch.setattr(forecast, "MOST_HEADERS", 4)
    pictures = [save(f"{number}.png", rough(100, 100)) for number in range(10)]
    assert forecast.megapixels(pictures) == pytest.approx(0.1)
