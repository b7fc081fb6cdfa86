"""The README's commands are those that are checked, and name what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_the_check_installs_and_tests_as_the_readme_does(readme):
    (line,) = [line.strip() for line in readme.splitlines() if line.startswith("    python3 -m venv .venv-dev")]
    _, install, test = line.split(" && ")
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert install.removeprefix(".venv-dev/bin/") in script
    assert test.removeprefix(".venv-dev/bin/") in script
    assert script.index(install.removeprefix(".venv-dev/bin/")) < script.index(test.removeprefix(".venv-dev/bin/"))


def test_the_first_command_restores_a_picture_that_is_there(readme):
    (line,) = [line.strip() for line in readme.splitlines() if line.startswith("    python3 -m venv .venv ")]
    picture = line.split()[-1]
    assert (ROOT / picture).is_file()
    assert line.endswith(f"pip install . && .venv/bin/unveil restore {picture}")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/tutorial.md", "examples/ATTRIBUTION.md"])
def test_links_inside_the_project_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        if target != "examples/before-after.jpg":
            assert ((ROOT / page).parent / target).exists(), target


def test_every_example_is_attributed_and_small():
    text = (ROOT / "examples" / "ATTRIBUTION.md").read_text()
    pictures = [
        path
        for path in (ROOT / "examples").iterdir()
        if path.suffix in (".jpg", ".png") and ".restored" not in path.name
    ]
    assert len(pictures) >= 3
    for path in pictures:
        assert f"`{path.name}`" in text
        assert path.name == "before-after.jpg" or path.stat().st_size < 150_000
