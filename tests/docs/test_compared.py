"""The table of features says nothing without a test of ours or a source of theirs."""

from __future__ import annotations

import re

import pytest
from page_blocks import ROOT

PAGE = ROOT / "docs" / "compared.md"
OTHERS = ("rembg", "Real-ESRGAN", "chaiNNer", "Upscayl", "PromptIR", "deepinv")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_program_has_a_column():
    head, rule, *body = rows()
    assert tuple(head[2:-1]) == OTHERS
    assert len(body) >= 20
    assert {len(row) for row in (head, rule, *body)} == {len(head)}


@pytest.mark.parametrize("row", rows()[2:], ids=lambda row: row[0])
def test_a_row_has_a_test_of_ours_and_sources_of_theirs(row):
    _, ours, *theirs, test = row
    assert ours
    if ours != "**no**":
        (name,) = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", test)
        source = (ROOT / name[0]).read_text(encoding="utf-8")
        assert not name[1] or f"def {name[1]}(" in source, test
    text = PAGE.read_text(encoding="utf-8")
    for cell in theirs:
        source = re.fullmatch(r"\[[^\]]+\]\[([\w-]+)\]", cell)
        assert cell == "not found" or source, cell
        assert not source or f"\n[{source[1]}]: https://" in text, cell


def test_every_source_is_used():
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"^\[([\w-]+)\]: ", text, re.MULTILINE):
        assert f"][{name}]" in text, name
