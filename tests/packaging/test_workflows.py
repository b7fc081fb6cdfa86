"""Workflows, the container file and the metadata of the package say the same, and name what exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from wheel_check import faults

import unveil

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def commands(workflow: dict) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_sound(path):
    workflow = read(path)
    # YAML 1.1 reads the key `on` as a truth value.
    assert workflow["name"] == path.stem
    assert True in workflow
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v1)", step.get("uses", "a/b@v1"))
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= set(workflow["jobs"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_workflows_run_is_there(path):
    for line in commands(read(path)):
        for script in re.findall(r"(?:^|\s)(\.ci/\w+)", line):
            assert (ROOT / script).stat().st_mode & 0o100, script
        for place in re.findall(r"\b((?:tests|examples)/[\w./-]+)", line):
            assert (ROOT / place).exists(), place


def test_every_version_and_system_is_checked():
    matrix = read(ROOT / ".github" / "workflows" / "checks.yml")["jobs"]["light"]["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["system"]} == {"ubuntu", "macos", "windows"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    claimed = {line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert set(matrix["python"]) == claimed
    assert f">={min(claimed)}" == project["requires-python"]


def test_only_the_last_job_of_a_release_may_publish():
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert [name for name, job in jobs.items() if job.get("permissions")] == ["publish"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "install"
    assert jobs["install"]["needs"] == "build"


def test_the_container_holds_no_training_half_and_no_root():
    text = (ROOT / "Dockerfile").read_text()
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [line for extra in extras.split(",") for line in project["optional-dependencies"][extra]]
    assert not any(re.match(r"torch|lightning|unveil", line) for line in needed)
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] != "root"
    assert "HEALTHCHECK" in text
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for name in line.split()[:-1]}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_the_citation_has_the_version_of_the_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == unveil.__version__
    assert cited["license"] == "Apache-2.0"


def test_the_check_of_the_wheel_finds_faults(tmp_path):
    assert "expected one wheel" in faults(tmp_path)[0]
    (tmp_path / "unveil-0.1.0-cp311-cp311-linux_x86_64.whl").write_bytes(b"PK\5\6" + bytes(18))
    import tarfile

    with tarfile.open(tmp_path / "unveil-0.1.0.tar.gz", "w:gz"):
        pass
    found = "\n".join(faults(tmp_path, "0.2.0"))
    for fault in (
        "not for every system",
        "not of version 0.2.0",
        "lacks unveil/models/bundled",
        "lacks LICENSE",
        "archive lacks",
    ):
        assert fault in found
