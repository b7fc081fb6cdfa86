"""The command as a whole: help, version, short form, suggestions, errors, and what gets imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from command_samples import save

import unveil as package
from unveil.commands import application
from unveil.errors import InvalidRequest, MissingExtra

COMMANDS = ("restore", "diagnose", "report", "degrade", "models", "export", "train", "prepare", "doctor")
HEAVY = ("numpy", "torch", "onnxruntime", "pyvips", "PIL", "openvino", "rich.progress")


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that sees what this one sees."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=env, check=False, timeout=60
    )


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from unveil.commands import main
try:
    main(["--help"])
except SystemExit as leaving:
    print("code", leaving.code, "heavy", [name for name in {HEAVY} if name in sys.modules])
"""
    result = python("-c", code)
    assert result.stdout.endswith("code 0 heavy []\n"), result.stdout + result.stderr


def test_help_lists_every_command(unveil):
    result = unveil("--help")
    assert result.code == 0
    for name in COMMANDS:
        assert re.search(rf"^\W*{name} +\w", result.out, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_ends_with_examples(unveil, name):
    result = unveil(name, "--help")
    assert result.code == 0
    _, _, examples = result.out.partition("Examples:\n")
    assert examples
    assert all(line.strip().startswith(f"unveil {name}") for line in examples.strip().splitlines())


def test_version(unveil):
    assert unveil("--version").out == f"unveil {package.__version__}\n"


def test_a_mistyped_command_gets_a_suggestion(unveil):
    result = unveil("restor", "a.png")
    assert result.code == 2
    assert "did you mean 'unveil restore'?" in " ".join(result.err.split())


def test_a_word_like_nothing_is_refused(unveil):
    result = unveil("qwertz")
    assert result.code == 2
    assert "neither a command nor a file" in result.err


@pytest.mark.parametrize("word", ["gone.jpg", "folder/gone", "./gone"])
def test_a_word_like_a_path_is_one(unveil, word):
    result = unveil(word)
    assert result.code == 1
    assert f"error: {word.removeprefix('./')}" in result.err


def test_a_file_without_an_ending_is_restored(unveil):
    save("photo.png").rename("photo")
    assert unveil("photo").out.startswith("photo -> photo.restored.jpg")


def test_no_arguments_show_the_help(unveil):
    result = unveil()
    assert "Usage: unveil" in result.out + result.err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InvalidRequest("not so"), 2, "error: not so\n"),
        (MissingExtra("'unveil train'", "train"), 1, "error: 'unveil train' needs the extra 'train'"),
        (ValueError("odd"), 1, "error: unexpected ValueError: odd (this is a fault of unveil; please report it"),
    ],
)
def test_errors_are_one_line(unveil, monkeypatch, error, code, message):
    def fail() -> None:
        raise error

    monkeypatch.setattr("unveil.models.listing", fail)
    result = unveil("models")
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(message)
    assert result.err.count("\n") == 1


def test_debug_shows_the_traceback(unveil, monkeypatch):
    monkeypatch.setenv("UNVEIL_DEBUG", "1")
    monkeypatch.setattr("unveil.models.listing", lambda: 1 / 0)
    assert "Traceback" in unveil("models").err


def test_ctrl_c_anywhere_exits_with_130(unveil, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("unveil.models.listing", interrupt)
    assert unveil("models").code == 130


def test_warnings_are_one_line_without_code(unveil, monkeypatch):
    import warnings

    def listing() -> list[object]:
        warnings.warn("the sky is falling", UserWarning, stacklevel=1)
        return []

    monkeypatch.setattr("unveil.models.listing", listing)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = unveil("models")
    assert result.err == "warning: the sky is falling\n"


def test_main_leaves_with_the_exit_code():
    with pytest.raises(SystemExit) as leaving:
        application.main(["--version"])
    assert leaving.value.code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX pipe")
def test_a_reader_that_leaves_is_no_error(place):
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-m", "unveil", "models", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=env,
        check=False,
    )
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == b""
