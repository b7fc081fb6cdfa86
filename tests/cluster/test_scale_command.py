"""`unveil restore` with `--cluster ray` and with URLs."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster_samples import fill, results

from unveil import models
from unveil.commands import scale
from unveil.commands.application import run
from unveil.errors import Terminated


@pytest.fixture
def place(tmp_path, monkeypatch, toy_path):
    """A folder with four pictures in `in`, and the toy as the default model."""
    home = tmp_path / "home" / "models"
    home.mkdir(parents=True)
    (home / f"{models.DEFAULT}.safetensors").write_bytes(toy_path.read_bytes())
    monkeypatch.setenv("UNVEIL_HOME", str(home.parent))
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "in", 4)
    return tmp_path


@pytest.fixture
def memory(place):
    """The pictures in fsspec's store in memory, at a place of its own; gives the URL."""
    files = pytest.importorskip("fsspec").filesystem("memory")
    for path in (place / "in").iterdir():
        files.pipe_file(f"/{place.name}/in/{path.name}", path.read_bytes())
    return f"memory://{place.name}"


# Ray starts processes, which takes its time where others are at work too.
@pytest.mark.slow
def test_a_folder_is_restored_on_ray(ray, place, capsys):
    assert run(["restore", "in", "-o", "plain", "-q"]) == 0
    capsys.readouterr()
    assert run(["restore", "in", "-o", "out", "--cluster", "ray", "--actors", "1", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["interrupted"] is False
    assert {Path(record["output"]).name for record in told["results"]} == set(results(place / "out"))
    assert results(place / "out") == results(place / "plain")
    assert "4 of 4 pictures finished, 0 failed" in said.err
    assert run(["restore", "in", "-o", "out", "--cluster", "ray", "--actors", "99"]) == 2
    assert "room for 2" in capsys.readouterr().err


def test_a_url_needs_no_cluster(memory, capsys):
    assert run(["restore", f"{memory}/in", "-o", f"{memory}/out"]) == 0
    said = capsys.readouterr()
    assert f"{memory}/in/000.png -> {memory}/out/000.png  noise" in said.out
    assert run(["restore", f"{memory}/in", "-o", f"{memory}/out/"]) == 0
    assert "4 of 4 pictures finished, 0 failed; 4 of them were done before" in capsys.readouterr().err


def test_records_are_those_of_a_plain_run(memory, place, capsys):
    (place / "in" / "bad.png").write_bytes(b"no picture")
    pytest.importorskip("fsspec").filesystem("memory").pipe_file(f"/{place.name}/in/bad.png", b"no picture")
    assert run(["restore", "in", "-o", "out", "--json"]) == 1
    plain = json.loads(capsys.readouterr().out)["results"]
    assert run(["restore", f"{memory}/in", "-o", f"{memory}/out", "--json"]) == 1
    remote = json.loads(capsys.readouterr().out)["results"]
    assert [record.keys() for record in remote] == [record.keys() for record in plain]
    for one, other in zip(plain, remote, strict=True):
        assert Path(one["input"]).name == Path(other["input"]).name
        for key in ("diagnosis", "weights", "untouched", "skipped"):
            assert one[key] == other[key]
        assert (one["error"] is None) == (other["error"] is None)
        # A path stands before the reason in both.
        assert one["error"] is None or one["error"].rpartition(": ")[2] == other["error"].rpartition(": ")[2]


def test_a_failure_is_told_and_ends_in_one(memory, place, capsys):
    pytest.importorskip("fsspec").filesystem("memory").pipe_file(f"/{place.name}/in/bad.png", b"no picture")
    assert run(["restore", f"{memory}/in", "-o", "out"]) == 1
    said = capsys.readouterr().err
    assert f"error: {memory}/in/bad.png: not a picture" in said
    assert "4 of 5 pictures finished, 1 failed" in said


def test_a_rehearsal_writes_nothing(memory, place, capsys):
    assert run(["restore", f"{memory}/in", "-o", "out", "--dry-run", "--format", "webp"]) == 0
    said = capsys.readouterr()
    assert f"{memory}/in/003.png -> {Path('out') / '003.webp'}" in said.out
    assert "4 of 4 pictures planned" in said.err
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in", "--cluster", "ray"], "give one with -o"),
        (["memory://in"], "give one with -o"),
        (["in", "-o", "out", "--cluster", "ray", "--watch"], "--watch goes with neither"),
        (["in", "-o", "out", "--actors", "2"], "--actors goes with --cluster"),
        (["in", "-o", "in", "--cluster", "ray"], "never overwritten"),
        (["in", "-o", "out", "--cluster", "ray", "--only", "fog"], "unknown to the model"),
    ],
)
def test_what_contradicts_itself_is_refused(place, capsys, words, said):
    assert run(["restore", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_extra_is_named(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert run(["restore", "s3://bucket/in", "-o", "out"]) == 1
    assert "unveil[cluster]" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["restore", "in", "-o", "out", "--cluster", "ray"]) == 1
    assert "unveil[cluster]" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupted_run_says_that_it_can_go_on(memory, capsys, monkeypatch, asked, code):
    shown: list[str] = []

    @contextmanager
    def stopping():
        def stop_if_asked() -> None:
            if shown:
                raise asked

        yield stop_if_asked

    files = pytest.importorskip("fsspec").filesystem("memory")
    for number in range(4, 10):
        files.copy(
            f"{memory}/in/000.png".removeprefix("memory:/"), f"{memory}/in/{number}.png".removeprefix("memory:/")
        )
    with monkeypatch.context() as patched:
        patched.setattr(scale, "stopping", stopping)
        patched.setattr(scale, "WAITING", 1)
        patched.setattr("unveil.commands.restore._sentence", lambda record: shown.append(record["input"]) or "")
        assert run(["restore", f"{memory}/in", "-o", f"{memory}/out"]) == code
    assert "interrupted: 1 of 10 pictures finished, 0 failed; the same command goes on" in capsys.readouterr().err
    assert run(["restore", f"{memory}/in", "-o", f"{memory}/out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["results"]
    assert 0 < sum(record["skipped"] for record in told) < 10


def test_nothing_of_the_lower_half_is_loaded_for_a_url():
    code = """
import sys, unveil.cluster, unveil.commands.scale, unveil.stores
print(sorted({"ray", "fsspec", "torch", "lightning"} & set(sys.modules)))
"""
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
