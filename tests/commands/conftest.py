"""Runs command lines in this process, with a home of its own that holds the toy model as the default."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from unveil import models
from unveil.commands.application import run


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def home(tmp_path_factory, toy_path) -> Path:
    """A folder for UNVEIL_HOME whose only model is the toy, under the name of the default model."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "models").mkdir()
    (folder / "models" / f"{models.DEFAULT}.safetensors").write_bytes(toy_path.read_bytes())
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, home):
    """An empty working folder; the toy model is the default one, and the terminal is plain and wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNVEIL_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    for name in ("UNVEIL_DEBUG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def unveil(place, capsys):
    """Call a command line: `unveil("restore", "a.jpg")` -> code, out, err."""

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(arguments)
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return call
