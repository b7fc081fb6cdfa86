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
from pathlib import Path

from unveil.commands.application import run

HERE = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- results: (?P<options>.*?) -->\n)(?P<table>.*?)(<!-- /results -->)", re.DOTALL)


def rebuild(document: Path, arguments: argparse.Namespace) -> None:
    """Measure what the document's blocks ask for and write their tables into it."""

    def measured(found: re.Match[str]) -> str:
        options = shlex.split(found["options"])
        suite = options[options.index("--suite") + 1]
        if arguments.only and suite not in arguments.only:
            return found[0]
        folder = arguments.results / suite
        words = ["evaluate", *options, "--root", str(arguments.root), "-o", str(folder), "--quiet", "--no-sheets"]
        words += ["--threads", str(arguments.threads)] if arguments.threads else []
        print(f"{document.name}: unveil {shlex.join(words)}", file=sys.stderr)
        code = run(words)
        if code:
            sys.exit(code)
        table = (folder / "table.md").read_text(encoding="utf-8")
        # Where the data lie on this machine is nobody's business.
        table = table.replace(f"--root {shlex.quote(str(arguments.root))}", "--root DATA")
        if "--plot" in options and (folder / "radar.png").exists():
            shutil.copyfile(folder / "radar.png", document.parent / f"results-{suite}.png")
        return f"{found[1]}\n{table}{found[4]}"

    before = document.read_text(encoding="utf-8")
    document.write_text(BLOCK.sub(measured, before), encoding="utf-8")


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
