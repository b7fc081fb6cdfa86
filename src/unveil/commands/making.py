"""`unveil prepare mioir`: the paper's test sets, made of somebody's own clean pictures."""

from __future__ import annotations

from pathlib import Path

from unveil.commands.batch import INTERRUPTED, explain, stopping
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, shown


def make(source: Path, root: Path | None, seed: int, depths: Path | None, limit: int | None, terminal: Terminal) -> int:
    """Make the sets in `root/mioir`; the exit code is 0, 1 where a picture failed, or 130."""
    with needs_extra("'unveil prepare mioir'", "train"):
        from unveil.evaluation.making import FOLDER, Making
    from unveil.datasets import default_root

    place = default_root() if root is None else root
    making = Making(source, place / FOLDER, seed=seed, depths=depths, limit=limit)
    pictures = making.pictures()
    missing = {name: path for name, path in pictures.items() if not making.is_made(name, path)}
    if len(missing) < len(pictures):
        terminal.note(f"{len(pictures) - len(missing)} of {len(pictures)} pictures are there already")
    failed = 0
    try:
        with terminal.progress(len(missing)) as bar, stopping() as stop_if_asked:

            def tick(done: int, total: int) -> None:
                stop_if_asked()
                bar.tiles(done, total)

            for name, path in missing.items():
                bar.begin(shown(path))
                try:
                    making.make(name, path, tick)
                except Exception as error:
                    explain(path, error, terminal)
                    failed += 1
                bar.end()
    except KeyboardInterrupt:
        terminal.note("interrupted; what is made is kept, and the same command goes on from there")
        return INTERRUPTED
    if terminal.as_json:
        terminal.json({"folder": str(making.home), "pictures": len(pictures), "made": len(missing) - failed})
    terminal.line(f"{len(pictures) - failed} pictures, each clean and in 14 degraded forms -> {shown(making.home)}")
    terminal.line(f"next: unveil evaluate --suite mioir-own --root {shown(place)}")
    return int(failed > 0)
