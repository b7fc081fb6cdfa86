"""The reference page says what the catalogue says."""

from __future__ import annotations

from pathlib import Path

import pytest

from unveil.datasets import sets
from unveil.datasets.page import page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "data-sets.md"


@pytest.mark.skipif(not REFERENCE.exists(), reason="no documents beside the tests")
def test_the_reference_page_is_the_catalogue():
    same = REFERENCE.read_text(encoding="utf-8") == page()
    assert same, "run python -m unveil.datasets.page > docs/reference/data-sets.md"


def test_every_set_and_part_is_on_the_page():
    text = page()
    for entry in sets().values():
        section = text.partition(f"\n## {entry.name}\n")[2].partition("\n## ")[0]
        assert entry.source in section
        assert all(f"| {part.name} | {part.role} |" in section for part in entry.parts)
