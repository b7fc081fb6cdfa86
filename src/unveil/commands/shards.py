"""`unveil data shards`: pack photographs into tar files for training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown
from unveil.commands.transfer import watched

EXAMPLES = examples(
    "unveil data shards photographs/ -o shards/           tar files of 256 MB at most, with an index",
    "unveil data shards photographs/ -o s3://bucket/shards --size 512",
    "unveil train RECIPE --data shards/                   trains on them",
)


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder or URL of photographs.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="SHARDS", help="Folder or URL that the shards are written to.")
    ],
    size: Annotated[
        float, typer.Option("--size", metavar="MEGABYTES", min=0.01, help="Largest size of a shard.")
    ] = 268.435456,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Pack photographs into tar files of bounded size, in WebDataset's layout, with an index.

    Every shard is read again and compared with what was packed. A run that was stopped goes on; a second run packs
    only what has changed.
    """
    from unveil.datasets import shards
    from unveil.stores import open_store

    terminal = Terminal(as_json=as_json)
    with needs_extra("a URL", "cluster"), watched(terminal) as watch:
        done = shards.write(open_store(folder), open_store(output), size=round(size * 1e6), watch=watch)
    if as_json:
        terminal.json(
            {
                "photographs": done.photographs,
                "bytes": done.bytes,
                "kept": done.kept,
                "shards": [asdict(shard) for shard in done.shards],
                "unlistable": list(done.unlistable),
            }
        )
    for fault in done.unlistable:
        terminal.error(shown(fault))
    terminal.line(
        f"{shown(folder)} -> {shown(output)}: {done.photographs:,} photographs in {len(done.shards)} shards, "
        f"{done.bytes / 1e6:,.1f} MB, verified{f'; {done.kept} shards were there' if done.kept else ''}"
    )
    raise typer.Exit(1 if done.unlistable else 0)
