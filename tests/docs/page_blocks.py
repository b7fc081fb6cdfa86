"""The pages of the documentation and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A block of code: its page from the root, the line it starts in, its language, and why it is not run, if so."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """Fenced and indented blocks of a page; `<!-- not run: reason -->` before a block says why it is left out."""
    page = str(path.relative_to(ROOT))
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    reason, index = None, 0
    while index < len(lines):
        line = lines[index]
        if fence := re.match(r"^( *)```(\w*)", line):
            end = next(row for row in range(index + 1, len(lines)) if lines[row].strip() == "```")
            text = "\n".join(row.removeprefix(fence[1]) for row in lines[index + 1 : end])
            found.append(Block(page, index + 1, fence[2], text, reason))
            reason, index = None, end
        elif line.startswith("    ") and (index == 0 or not lines[index - 1].strip()) and not _in_a_list(lines, index):
            end = next(
                (row for row in range(index, len(lines)) if not lines[row].startswith("    ") and lines[row].strip()),
                len(lines),
            )
            found.append(Block(page, index + 1, "", "\n".join(row[4:] for row in lines[index:end]), reason))
            reason, index = None, end - 1
        elif remark := re.fullmatch(r"<!-- not run: (.+) -->", line.strip()):
            reason = remark[1]
        elif line.strip():
            reason = None
        index += 1
    return found


def _in_a_list(lines: list[str], index: int) -> bool:
    above = next((line for line in reversed(lines[:index]) if line.strip() and not line.startswith("    ")), "")
    return bool(re.match(r"^\s*([-*]|\d+\.) ", above))
