"""The table of features says nothing without a test of ours or a source of theirs."""

from __future__ import annotations

import re

import pytest
from page_blocks import ROOT

PAGE = ROOT / "docs" / "compared.md"
OTHERS = ("rembg", "Real-ESRGAN", "chaiNNer", "Upscayl", "PromptIR", "deepinv")


def tables() -> tuple[list[list[str]], dict[str, str]]:
    """The rows of the table of features with its head, and the test of each row."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    second = next(index for index, row in enumerate(cells) if row == ["row", "test"])
    return cells[:second], {row[0]: row[1] for row in cells[second + 2 :]}


def test_every_program_has_a_column():
    (head, rule, *body), tests = tables()
    assert tuple(head[2:]) == OTHERS
    assert len(body) >= 20
    assert {len(row) for row in (head, rule, *body)} == {len(head)}
    assert list(tests) == [row[0] for row in body if row[1] != "**no**"]


@pytest.mark.parametrize("row", tables()[0][2:], ids=lambda row: row[0])
def test_a_row_has_a_test_of_ours_and_sources_of_theirs(row):
    name, ours, *theirs = row
    if ours != "**no**":
        test = re.fullmatch(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", tables()[1][name])
        assert test, name
        assert not test[2] or f"def {test[2]}(" in (ROOT / test[1]).read_text(encoding="utf-8"), name
    text = PAGE.read_text(encoding="utf-8")
    for cell in theirs:
        source = re.fullmatch(r"\[[^\]]+\]\[([\w-]+)\]", cell)
        assert cell == "not found" or source, cell
        assert not source or f"\n[{source[1]}]: https://" in text, cell


def test_every_source_is_used():
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"^\[([\w-]+)\]: ", text, re.MULTILINE):
        assert f"][{name}]" in text, name
