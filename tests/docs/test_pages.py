"""Pages of the site lead to each other, are all reachable, and name code and tests that exist."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from page_blocks import PAGES, ROOT

DOCS = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def settings() -> dict:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def listed(entries: object) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    parts = entries.values() if isinstance(entries, dict) else entries
    assert not isinstance(parts, str)
    return [path for part in parts for path in listed(part)]  # pyright: ignore[reportGeneralTypeIssues]


def anchors(page: Path) -> set[str]:
    """Of headings, and of what the page draws from docstrings: every public name below each `:::`."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = {
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for module in re.findall(r"^::: (\S+)$", text, re.MULTILINE):
        found.add(module)
        path = ROOT / "src" / Path(*module.split("."))
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if source.is_file():
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    found.add(f"{module}.{node.name}")
                elif isinstance(node, ast.Assign):
                    found |= {f"{module}.{target.id}" for target in node.targets if isinstance(target, ast.Name)}
    return found | set(re.findall(r'id="([^"]+)"', text))


@pytest.mark.parametrize("page", DOCS, ids=name)
def test_links_lead_to_pages_and_headings(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.is_file(), target
        assert place.resolve().is_relative_to(ROOT / "docs"), f"{target} leads out of the site"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), target


def test_every_page_is_in_the_navigation_once():
    pages = listed(settings()["nav"])
    assert sorted(pages) == sorted(str(page.relative_to(ROOT / "docs")) for page in DOCS)


def test_what_the_reference_draws_from_exists():
    drawn = [part for page in DOCS for part in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]
    assert len(drawn) > 20
    for part in drawn:
        try:
            importlib.import_module(part)
        except ModuleNotFoundError:
            home, _, member = part.rpartition(".")
            assert hasattr(importlib.import_module(home), member), part


def test_the_site_loads_nothing_from_elsewhere():
    chosen = settings()
    assert chosen["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "extra"} & set(chosen)


def test_tests_that_pages_name_exist():
    for page in PAGES:
        for path, test in re.findall(r"(tests/[\w/.-]+\.py)(?:::(\w+))?", page.read_text(encoding="utf-8")):
            assert (ROOT / path).is_file(), f"{name(page)}: {path}"
            assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{name(page)}: {path}::{test}"


def test_the_four_papers_can_be_cited():
    text = (ROOT / "docs" / "papers" / "index.md").read_text()
    (entries,) = re.findall(r"```bibtex\n(.*?)```", text, re.DOTALL)
    found = set(re.findall(r"arXiv:(\d{4}\.\d{5})", entries))
    assert found == {"2411.18412", "2402.15784", "2406.18242", "2401.03379"}
    assert entries.count("{") == entries.count("}")
    for number, page in zip(
        ("2411.18412", "2402.15784", "2406.18242", "2401.03379"),
        ("abair", "constyle", "constyle-v2", "mioir"),
        strict=True,
    ):
        assert f"https://arxiv.org/abs/{number}" in (ROOT / "docs" / "papers" / f"{page}.md").read_text()
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {number for entry in cited["references"] for number in re.findall(r"\d{4}\.\d{5}", entry["url"])} == found


if find_spec("mkdocs") and find_spec("material") and find_spec("mkdocstrings"):

    def test_the_site_is_built_without_a_warning(tmp_path):
        line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        page = (tmp_path / "site" / "reference" / "python.html").read_text()
        assert "unveil.restoration.restorer.Restorer.run" in page
