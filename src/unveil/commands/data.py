"""`unveil data check`: is a folder the data set it claims to be, and do two folders share pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands.terminal import Terminal, examples, shown
from unveil.commands.transfer import watched
from unveil.errors import InvalidRequest

if TYPE_CHECKING:
    from unveil.datasets.checking import SetReport
    from unveil.datasets.thumbnails import Comparison

EXAMPLES = examples(
    "unveil data check data                    every set below the folder",
    "unveil data check pairs --as rain100h     this folder, taken for Rain100H",
    "unveil data check --overlap train test    pictures that both folders have",
)

MOST_TWINS = 20


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder of a data set, or of several, each in its own.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Which set it is; recognised by itself otherwise.")
    ] = None,
    overlap: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--overlap", metavar="A B", help="Look for pictures that occur in both folders."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only names and counts; no file is opened.")] = False,
    decode: Annotated[bool, typer.Option("--decode", help="Decode every picture, which takes long.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check data sets: pairs, counts, sizes, readable files; print a digest and warn of shared pictures.

    Exit code 1 if something is wrong with a set; overlaps are warnings and do not change it.
    """
    terminal = Terminal(as_json=as_json)
    if (folder is None) == (overlap is None):
        raise InvalidRequest("give either a folder to check, or two folders with --overlap")
    if quick and decode:
        raise InvalidRequest("--quick opens no file and --decode reads them all; give one of them")
    if overlap is not None:
        _compare(*overlap, terminal)
        return
    assert folder is not None
    from unveil.datasets import catalogue, checking

    with watched(terminal) as watch:
        if name is None:
            reports = checking.check_below(folder, sizes=not quick, digest=not quick, decode=decode, watch=watch)
        else:
            entry, _ = catalogue.find(name)
            one = checking.check(folder, entry, sizes=not quick, digest=not quick, decode=decode, watch=watch)
            reports = [one]
    warnings = checking.overlap_warnings(reports)
    if as_json:
        terminal.json({"sets": [as_record(report) for report in reports], "warnings": warnings})
    for report in reports:
        show_report(report, terminal)
    for warning in warnings:
        terminal.line(f"warning: {warning}")
    raise typer.Exit(0 if all(report.is_good for report in reports) else 1)


app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def data() -> None:
    """Check data sets that lie on this machine, and pack photographs for training."""


def show_report(report: SetReport, terminal: Terminal) -> None:
    """Print what one folder is and what is wrong with it."""
    from unveil.datasets import locating

    known = {"nothing": "", "record": ", prepared by unveil"}.get(report.known_by, f", known by its {report.known_by}")
    terminal.line(f"{shown(report.folder)}: {report.title}{known}; {report.files:,} files, {_amount(report.bytes)}")
    for part in report.parts:
        items = locating.ITEMS[part.kind]
        expected = f" of {part.expected:,}" if part.expected else " (how many there should be is not known)"
        terminal.line(f"  {part.name}: {part.pairs:,} {items}{expected if report.set else ''}")
        for fault in part.faults:
            terminal.line(f"    wrong: {shown(fault)}")
    for fault in report.faults:
        terminal.line(f"  wrong: {shown(fault)}")
    if report.digest:
        terminal.line(f"  digest {report.digest}")


def as_record(report: SetReport) -> dict[str, Any]:
    """A report for `--json`."""
    return {
        "folder": str(report.folder),
        "set": report.set,
        "known_by": report.known_by,
        "good": report.is_good,
        "files": report.files,
        "bytes": report.bytes,
        "digest": report.digest,
        "faults": report.faults,
        "parts": [
            {
                "name": part.name,
                "kind": part.kind,
                "pairs": part.pairs,
                "expected": part.expected,
                "faults": part.faults,
            }
            for part in report.parts
        ],
    }


def _compare(first: Path, second: Path, terminal: Terminal) -> None:
    from unveil.datasets import thumbnails

    with watched(terminal) as watch:
        found = thumbnails.compare(first, second, watch=watch)
    if terminal.as_json:
        terminal.json(_comparison(first, second, found))
        return
    one, other = found.compared
    terminal.line(f"{len(found.twins)} of {one} pictures in {shown(first)} look like one of {other} in {shown(second)}")
    for twin in found.twins[:MOST_TWINS]:
        terminal.line(f"  {twin.similarity:.2f}  {shown(twin.first)}  {shown(twin.second)}")
    if len(found.twins) > MOST_TWINS:
        terminal.line(f"  and {len(found.twins) - MOST_TWINS} more; --json lists all")
    if found.unreadable or found.flat:
        terminal.line(f"left out: {len(found.unreadable)} unreadable and {len(found.flat)} flat pictures")


def _comparison(first: Path, second: Path, found: Comparison) -> dict[str, Any]:
    return {
        "folders": [str(first), str(second)],
        "compared": list(found.compared),
        "twins": [[twin.first, twin.second, round(twin.similarity, 4)] for twin in found.twins],
        "unreadable": list(found.unreadable),
        "flat": list(found.flat),
    }


def _amount(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
