"""Tables in the documents are those of the commands that stand above them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from unveil.evaluation.suites import SUITES

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- results: (?P<options>.*?) -->\n(?P<table>.*?)<!-- /results -->", re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "docs/results.md"])
def test_every_table_has_its_command_above_it(document):
    blocks = list(BLOCK.finditer((ROOT / document).read_text(encoding="utf-8")))
    assert blocks
    for block in blocks:
        options = shlex.split(block["options"])
        suite = SUITES[options[options.index("--suite") + 1]]
        first = next(line for line in block["table"].splitlines() if line)
        assert first.startswith(f"    unveil evaluate --suite {suite.name} --root DATA")
        asked = {option for option in options if option.startswith("--")} - {"--plot"}
        assert asked <= set(shlex.split(first))
        printed = {entry.printed for entry in suite.sets}
        rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| \d+ \| ", block["table"], re.MULTILINE)
        assert rows
        assert set(rows) <= printed
        assert " of " not in "".join(re.findall(r"^\| [^|]+ \| [^|]+ \| (\d+ of \d+)", block["table"], re.MULTILINE))


def test_the_documents_name_no_folder_of_a_machine():
    for document in ("README.md", "docs/results.md", "docs/how-to/measure.md"):
        for path in re.findall(r"--root (\S+)", (ROOT / document).read_text(encoding="utf-8")):
            assert path.strip("`") in ("DATA", "data/", "DIR"), path


def test_local_pictures_of_the_documents_are_there():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (ROOT / "docs" / target).exists()
