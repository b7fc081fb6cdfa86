"""Rebuild every table of measured figures in the documents.

    python benchmarks/results.py --root DATA [--results results] [--only local] [--threads N] [DOCUMENT ...]

A document has blocks between `<!-- results: OPTIONS -->` and `<!-- /results -->`: the options of `unveil evaluate`
whose table stands there. Blocks of one suite share a folder of results, so that nothing is measured twice, and what was
measured before and still holds is not measured again. A block with `--plot radar` also renews the picture
results-SUITE.png beside its document. Without documents: docs/results.md and README.md.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

from unveil.commands.application import run

HERE = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- results: (?P<options>.*?) -->\n)(?P<table>.*?)(<!-- /results -->)", re.DOTALL)


def rebuild(document: Path, arguments: argparse.Namespace) -> None:
    """Measure what the document's blocks ask for and write their tables into it, each as soon as it is there."""
    wanted = [found["options"] for found in BLOCK.finditer(document.read_text(encoding="utf-8"))]
    for options in wanted:
        words = shlex.split(options)
        suite = words[words.index("--suite") + 1]
        if arguments.only and suite not in arguments.only:
            continue
        folder = arguments.results / suite
        table = measured(words, folder, arguments)
        # Read anew: measuring takes long, and somebody may have written meanwhile.
        text = document.read_text(encoding="utf-8")
        document.write_text(BLOCK.sub(partial(filled, options=options, table=table), text), encoding="utf-8")
        if "--plot" in words and (folder / "radar.png").exists():
            shutil.copyfile(folder / "radar.png", document.parent / f"results-{suite}.png")


def measured(words: list[str], folder: Path, arguments: argparse.Namespace) -> str:
    """The table that `unveil evaluate` makes of these options."""
    line = ["evaluate", *words, "--root", str(arguments.root), "-o", str(folder), "--quiet", "--no-sheets"]
    line += ["--threads", str(arguments.threads)] if arguments.threads else []
    print(f"unveil {shlex.join(line)}", file=sys.stderr)
    code = run(line)
    if code:
        sys.exit(code)
    table = (folder / "table.md").read_text(encoding="utf-8")
    # Where the data lie on this machine is nobody's business.
    return table.replace(f"--root {shlex.quote(str(arguments.root))}", "--root DATA")


def filled(found: re.Match[str], options: str, table: str) -> str:
    """A block with its table, if it is the one with these options; or as it is."""
    return f"{found[1]}\n{table}{found[4]}" if found["options"] == options else found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path, nargs="*", default=[HERE / "docs" / "results.md", HERE / "README.md"])
    parser.add_argument("--root", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for the folders of results")
    parser.add_argument("--only", nargs="*", help="only the blocks of these suites")
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    for document in arguments.documents:
        rebuild(document, arguments)


if __name__ == "__main__":
    main()
