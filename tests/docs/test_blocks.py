"""Every block of Python in the documentation runs, and every line that calls unveil is one that unveil understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from page_blocks import PAGES, ROOT, Block, blocks
from PIL import Image
from typer.main import get_command

from unveil.commands.application import app

# Pages whose blocks are run elsewhere, or cannot be run here: why.
ELSEWHERE = {
    "docs/reference/abair-best.md": "needs the model on the hub; what it shows is run by tests/test_hub.py",
    "docs/reference/abair-fast.md": "needs the model on the hub; what it shows is run by tests/test_hub.py",
    "docs/how-to/add-a-network.md": "run by tests/networks/test_adding.py",
    "docs/how-to/convert-weights.md": "needs official weights; what it shows is run by tests/test_conversion.py",
    "docs/how-to/prepare-data.md": "needs a public data set; what it shows is run by tests/datasets/test_locating.py",
}

ALL = [block for page in PAGES for block in blocks(page)]
PYTHON = sorted({block.page for block in ALL if block.language == "python"} - set(ELSEWHERE))


def lines_of(block: Block) -> list[str]:
    """The lines of a block that call unveil, without prompt, path of an environment and comment."""
    if block.language not in ("", "sh", "bash", "console") or block.reason:
        return []
    joined = block.text.replace("\\\n", " ")
    called = (part.strip().removeprefix("$ ") for line in joined.splitlines() for part in re.split(r"&&|\|", line))
    return [part for part in called if re.match(r"(\S*/)?unveil( |$)", part)]


def understand(words: list[str]) -> None:
    """Parse a command line as far as click goes: commands, options, types and counts, nothing is run."""
    command, context = get_command(app), None
    while True:
        context = command.make_context(command.name or "unveil", words, parent=context)
        if not hasattr(command, "resolve_command"):
            return
        words = [*context._protected_args, *context.args]
        _, command, words = command.resolve_command(context, words)


@pytest.mark.parametrize("block", [block for block in ALL if lines_of(block)], ids=str)
def test_the_command_lines_are_understood(block, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    # Options such as --install-completion act while they are parsed.
    monkeypatch.setenv("HOME", str(tmp_path))
    for line in lines_of(block):
        words = shlex.split(re.sub(r"\s\[.*?\]", "", line), comments=True)
        words = words[: words.index(">")] if ">" in words else words
        try:
            understand(words[1:])
        except Exception as error:
            pytest.fail(f"{block}: {line}\n{error!r}")


@pytest.mark.parametrize(
    "wrong", ["unveil restore a.jpg --stregth 1", "unveil restor", "unveil restore a.jpg --strength 3"]
)
def test_a_wrong_command_line_is_not_understood(wrong):
    with pytest.raises(Exception, match=r"(?i)no such option|neither a command|less than or equal"):
        understand(shlex.split(wrong)[1:])


@pytest.mark.parametrize("page", PYTHON)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    noisy = np.random.default_rng(2).integers(40, 215, (48, 64, 3), np.uint8)
    for file in ("photo.jpg", "a.jpg", "b.jpg", "restored.png", "truth.png"):
        Image.fromarray(noisy).save(tmp_path / file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNVEIL_HOME", str(tmp_path / "home"))
    names: dict[str, object] = {
        "paths": [Path("a.jpg"), Path("b.jpg")],
        "restored": noisy / 255,
        "truth": noisy[::-1] / 255,
    }
    for block in blocks(ROOT / page):
        if block.language == "python" and not block.reason:
            exec(compile(block.text, str(block), "exec"), names)


def test_every_block_that_is_left_out_has_a_reason():
    left_out = [block for block in ALL if block.reason is not None]
    assert left_out
    assert all(len(block.reason or "") > 10 for block in left_out)
    assert all((ROOT / page).is_file() for page in ELSEWHERE)
    tests = [part for why in ELSEWHERE.values() for part in re.findall(r"tests/\S+\.py", why)]
    assert all((ROOT / test).is_file() for test in tests)
