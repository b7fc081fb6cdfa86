"""Nothing leaves the machine, and nothing is left on it: tried in processes whose sockets are forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# An audit hook sees every attempt of Python code in the process, whoever makes it, and cannot be taken off again.
FORBID = """
import sys

def forbid(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.sendto", "socket.bind")):
        raise SystemExit(f"tried the network: {event} {arguments[1:]}")

sys.addaudithook(forbid)
"""


def run(script: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a script without network, in a home that is empty. CI's own variables would silence what is to be seen."""
    home = place / "home"
    home.mkdir()
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    pixels = np.random.default_rng(1).integers(40, 215, (64, 80, 3), np.uint8)
    Image.fromarray(pixels).save(place / "a.jpg")
    return subprocess.run(
        [sys.executable, "-c", FORBID + script],
        cwd=place,
        env=kept | {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def left(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in (place / "home").rglob("*") if path.is_file())


def test_the_forbidding_itself_works(tmp_path):
    done = run("import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')", tmp_path)
    assert done.returncode != 0
    assert "tried the network" in done.stderr


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_restoring_and_diagnosing_open_no_connection(tmp_path, engine):
    if engine == "openvino" and not find_spec("openvino"):
        pytest.skip("openvino is not installed")
    done = run(
        f"""
import unveil
restorer = unveil.load(engine={engine!r})
print(restorer.diagnose("a.jpg"), restorer.facts.name)
unveil.write(restorer.run("a.jpg", weights={{"noise": 1.0}}).image, "b.jpg")
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.jpg").is_file()
    assert left(tmp_path) == []


def test_the_commands_open_no_connection(tmp_path):
    done = run(
        """
from unveil.commands.application import run
for line in ("restore a.jpg -o out/", "diagnose a.jpg", "report a.jpg -o r.html", "models", "doctor"):
    assert run(line.split()) == 0, line
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.jpg").is_file()
    assert left(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "home", "out", "r.html"]


def test_reports_of_the_engine_are_off_before_it_is_loaded(tmp_path):
    done = run(
        "import os, unveil; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in __import__('sys').modules)",
        tmp_path,
    )
    assert done.stdout.split() == ["1", "False"]
