"""`unveil prepare`: fetch a public data set, or arrange one that was fetched by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands.terminal import Terminal, examples, shown
from unveil.commands.transfer import watched
from unveil.errors import InvalidRequest

if TYPE_CHECKING:
    from unveil.datasets import DataSet
    from unveil.datasets.checking import SetReport

EXAMPLES = examples(
    "unveil prepare                                        lists the sets",
    "unveil prepare div2k --part train --root data         downloads, unpacks and checks",
    "unveil prepare lol-v1 --root data --from LOLdataset.zip",
    "unveil prepare mioir --root data --from photographs/  makes MiOIR's test sets of clean pictures",
)

MIOIR = "mioir"
"""A name of no data set: sets with this paper's degradations, made of somebody's own pictures."""


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A data set; without one, all of them are listed.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", metavar="DIR", help="Where data sets lie; $UNVEIL_DATA, or 'data' in this folder, by default."
        ),
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="PATH", help="An archive or folder that you have fetched by hand; repeatable."),
    ] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="PART", help="Download only what this part needs; repeatable."),
    ] = None,
    urls: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="Download from here instead of the known address; repeatable."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Only the first N files of a set, or N pictures for mioir."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep-archives", help="Keep what was downloaded after unpacking.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="For mioir: same seed, same pictures, same sets.")] = None,
    depths: Annotated[
        Path | None,
        typer.Option("--depth", metavar="DIR", help="For mioir: depth maps with the pictures' names; made up without."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fetch a public data set into DIR/NAME and check it, or say how to fetch it by hand.

    An interrupted download goes on where it was. Archives of sets that only drives and forms give away are unpacked,
    arranged and checked with --from. 'mioir' is made: seven degradations of the pictures in a folder, in and out of the
    range of training, as that paper makes them; this needs the extra 'train'.
    """
    from unveil.datasets import catalogue

    terminal = Terminal(as_json=as_json)
    if name is None:
        _list(terminal)
        return
    if name == MIOIR:
        if parts or urls or keep or len(sources or ()) != 1:
            raise InvalidRequest("mioir is made of one folder of clean pictures: give it, and it alone, with --from")
        from unveil.commands.making import make

        raise typer.Exit(make(sources[0] if sources else Path(), root, seed or 0, depths, limit, terminal))
    if seed is not None or depths is not None:
        raise InvalidRequest("--seed and --depth are for 'unveil prepare mioir'; other sets are fetched as they are")
    entry, part = catalogue.find(name)
    wanted = [*(parts or ()), *([part] if part else [])]
    code = _prepare(entry, root, sources or [], wanted, urls or [], limit, keep, terminal)
    raise typer.Exit(code)


def _prepare(
    entry: DataSet,
    root: Path | None,
    sources: list[Path],
    parts: list[str],
    urls: list[str],
    limit: int | None,
    keep: bool,
    terminal: Terminal,
) -> int:
    from unveil.datasets import checking, default_root, preparing
    from unveil.errors import DataSetMissing

    if sources and (urls or limit):
        raise InvalidRequest("--from is for what was fetched by hand; it goes with neither --url nor --limit")
    place = default_root() if root is None else root
    plan = preparing.planned(entry, parts=parts, urls=urls, limit=limit)
    home = place / entry.name
    _introduce(entry, plan and not sources, terminal)
    try:
        with watched(terminal) as watch:
            if sources:
                preparing.take(entry, place, sources, watch=watch)
            elif plan:
                preparing.fetch(entry, place, plan, keep=keep, watch=watch)
            report = checking.check(home, entry, digest=False, watch=watch)
    except KeyboardInterrupt:
        terminal.note("interrupted; what has come is kept, and the same command goes on from there")
        raise
    except DataSetMissing:
        _explain(entry, place, terminal)
        return 1
    _report(entry, report, place, terminal)
    return 0 if _is_enough(report, parts, limit) else 1


def _is_enough(report: SetReport, parts: list[str], limit: int | None) -> bool:
    if limit is not None:
        # Some of a set was asked for, so that less than all of it is there is no fault.
        return any(part.pairs for part in report.parts)
    found = {part.name for part in report.parts}
    asked = [part for part in report.parts if not parts or part.name in parts]
    return set(parts) <= found and not report.faults and not any(part.faults for part in asked)


def _introduce(entry: DataSet, downloads: object, terminal: Terminal) -> None:
    terminal.note(f"{entry.title}: {entry.use}")
    terminal.note(f"licence: {entry.licence}; home: {entry.home}")
    if entry.note:
        terminal.note(entry.note)
    if downloads and not entry.verified:
        terminal.note(f"nobody has verified this entry yet; it is from {entry.source}")


def _explain(entry: DataSet, root: Path, terminal: Terminal) -> None:
    """Say how to fetch a set by hand."""
    if terminal.as_json:
        terminal.json({"set": entry.name, "folder": str(root / entry.name), "found": False, "steps": list(entry.steps)})
        return
    terminal.line(f"{entry.title} cannot be downloaded by a program:")
    for number, step in enumerate(entry.steps, 1):
        terminal.line(f"  {number}. {step}")
    terminal.line(
        f"unveil prepare {entry.name} --root {shown(root)} --from PATH   then unpacks, arranges and checks it"
    )


def _report(entry: DataSet, report: SetReport, root: Path, terminal: Terminal) -> None:
    from unveil.commands.data import as_record, show_report

    if terminal.as_json:
        terminal.json(as_record(report))
        return
    show_report(report, terminal)
    terminal.line(f"next: unveil data check {shown(report.folder)}   adds a digest and looks for overlaps")
    clean = [part for part in entry.parts if part.role == "train" and part.kind == "clean"]
    if any(part.name == found.name for part in clean for found in report.parts):
        terminal.line(f"      unveil train RECIPE --data {shown(report.folder)}")
    if any(part.role == "test" for part in entry.parts):
        terminal.line(f"      unveil evaluate --suite SUITE --root {shown(root)}")


def _list(terminal: Terminal) -> None:
    from unveil.datasets import sets

    if terminal.as_json:
        terminal.json({"sets": [_row(entry) for entry in sets().values()]})
        return
    from rich.table import Table

    table = Table("name", "for", "size", "licence", "how", box=None, pad_edge=False, header_style="bold")
    for entry in sets().values():
        size = "" if entry.gigabytes is None else f"{entry.gigabytes:g} GB"
        table.add_row(entry.name, entry.use, size, entry.licence, "downloads" if entry.downloads else "by hand")
    terminal.line(table)
    terminal.line("\nunveil prepare NAME fetches one, or says how to. Sizes are rough; empty ones are not known.")


def _row(entry: DataSet) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "use": entry.use,
        "home": entry.home,
        "licence": entry.licence,
        "gigabytes": entry.gigabytes,
        "downloads": bool(entry.downloads),
        "verified": entry.verified,
        "source": entry.source,
        "parts": [
            {"name": part.name, "role": part.role, "kind": part.kind, "expected": part.count} for part in entry.parts
        ],
    }
