"""No name in the repository, and none that unveil gives to a result, is one that Windows refuses."""

from __future__ import annotations

import subprocess
import tomllib
from collections import Counter
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from unveil import models

ROOT = Path(__file__).parents[2]
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
REFUSED = set('<>:"|?*\\') | {chr(code) for code in range(32)}


def faults(path: str) -> list[str]:
    """What Windows has against the parts of a relative path with forward slashes."""
    found: list[str] = []
    for part in PurePosixPath(path).parts:
        if part.partition(".")[0].rstrip().lower() in DEVICES:
            found.append(f"{part} is a device")
        if part != part.rstrip(". "):
            found.append(f"{part!r} ends in a dot or a space")
        if bad := REFUSED & set(part):
            found.append(f"{part!r} has {sorted(bad)}")
    if len(path) > 180:
        found.append(f"{path} is too long below an ordinary folder")
    return found


def tracked() -> list[str]:
    """Files of the repository; in an unpacked source archive, all that lie there."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        return [name for name in listing.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        return [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name", ["aux.py", "src/con", "a/COM1.txt", "nul .x", "trailing.", "space ", "a:b", "x?", "a\nb"]
)
def test_what_windows_refuses_is_recognised(name):
    assert faults(name)


def test_the_repository_can_be_checked_out_under_windows():
    names = tracked()
    assert len(names) > 100
    assert [fault for name in names for fault in faults(name)] == []
    folded = Counter(name.lower() for name in names)
    assert [name for name, count in folded.items() if count > 1] == []


def test_folders_do_not_differ_from_files_by_case_alone():
    seen: dict[str, str] = {}
    for name in tracked():
        parts = PurePosixPath(name).parts
        for length in range(1, len(parts) + 1):
            part = "/".join(parts[:length])
            assert seen.setdefault(part.lower(), part) == part


@pytest.mark.parametrize("label", ["restored", "degraded"])
def test_results_have_names_that_windows_takes(tmp_path, label):
    from unveil.commands import naming

    for name in ("photo.jpg", "UPPER.JPG", "two.dots.png", "ümlaut.webp", "name with spaces.tif"):
        (tmp_path / name).write_bytes(b"x")
    _, jobs = naming.plan_files([tmp_path], None, label=label, extension=None)
    targets = [job.target.relative_to(tmp_path).as_posix() for job in jobs]
    assert len(targets) == 5
    assert [fault for target in targets for fault in faults(target)] == []
    assert len({target.lower() for target in targets}) == len(targets)


def test_temporary_names_are_ones_that_windows_takes(tmp_path, toy, monkeypatch):
    made: list[str] = []
    replace = Path.replace

    def watch(self: Path, target: Path) -> Path:
        made.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    models.write(toy, tmp_path / "m.safetensors")
    assert made
    assert [fault for name in made for fault in faults(name)] == []


def test_places_of_data_are_written_with_either_separator():
    for path in (models.bundled_folder(), models.user_folder()):
        assert PureWindowsPath(path).name == path.name


def test_the_package_claims_the_systems_that_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "Operating System :: OS Independent" in project["classifiers"]
