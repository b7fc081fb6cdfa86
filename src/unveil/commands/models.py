"""`unveil models`: list the models that can be used by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands.terminal import Terminal, examples, shown

if TYPE_CHECKING:
    from unveil.models import Entry

EXAMPLES = examples("unveil models", "unveil models --json")


def command(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the bundled models and your own.

    Your own are model files in the folder 'models' of UNVEIL_HOME, or of the platform's place for data.
    """
    from unveil import models

    terminal = Terminal(as_json=as_json)
    rows = [_row(entry, is_default=entry.name == models.DEFAULT) for entry in models.listing()]
    if as_json:
        terminal.json({"models": rows})
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table("name", "origin", "undoes", "size", "licence", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        name = shown(row["name"]) + (" (default)" if row["default"] else "")
        undoes = (
            f"[red]broken: {escape(row['error'])}[/red]" if row["error"] else ", ".join(row["degradations"].values())
        )
        table.add_row(escape(name), row["origin"], undoes, f"{row['bytes'] / 1e6:.1f} MB", row["licence"] or "")
    terminal.line(table)


def _row(entry: Entry, *, is_default: bool) -> dict[str, Any]:
    card = entry.card
    return {
        "name": entry.name,
        "path": str(entry.path),
        "origin": entry.origin,
        "default": is_default,
        "summary": card.summary if card else None,
        "degradations": dict(card.degradations) if card else {},
        "licence": card.licence if card else None,
        "bytes": entry.path.stat().st_size if entry.path.is_file() else 0,
        "error": entry.error,
    }
