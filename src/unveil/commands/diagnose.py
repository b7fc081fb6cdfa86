"""`unveil diagnose`: say what is wrong with pictures, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unveil.commands import arguments, formats, naming
from unveil.commands.arguments import EngineName
from unveil.commands.batch import Record, Tick, run_batch
from unveil.commands.terminal import Terminal, examples, shown

EXAMPLES = examples(
    "unveil diagnose photo.jpg",
    "unveil diagnose holiday/ --json > diagnosis.json",
)

BAR_WIDTH = 24


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Pictures, or folders of pictures.")],
    model: arguments.ModelName = None,
    engine: arguments.Engine = EngineName.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    threads: arguments.Threads = None,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
) -> None:
    """Say what is wrong with pictures, the likeliest first."""
    terminal = Terminal(as_json=as_json)
    found = naming.find_pictures(paths, formats.readable_endings())

    from unveil import images, models
    from unveil.restoration import Restorer

    restorer = Restorer(models.read(models.find(model or models.DEFAULT)), engine=engine.value, threads=threads)

    def work(picture: tuple[Path, Path | None], record: Record, tick: Tick) -> None:
        diagnosis = restorer.diagnose(images.read(picture[0], pixel_limit=arguments.pixels(pixel_limit)))
        record |= {
            "diagnosis": dict(diagnosis.ranked),
            "printed": diagnosis.printed,
            "main": diagnosis.main,
            "clean": diagnosis.is_clean,
        }

    code = run_batch(
        found.pictures,
        terminal=terminal,
        begin=lambda picture: {
            "input": str(picture[0]),
            "diagnosis": None,
            "printed": None,
            "main": None,
            "clean": None,
            "error": None,
        },
        work=work,
        show=lambda record: terminal.line(_chart(record, terminal)),
        unreadable=found.unreadable,
    )
    raise typer.Exit(code)


def _chart(record: Record, terminal: Terminal) -> str:
    """One line a degradation: identifier, bar, probability, and the name for people where it is another."""
    diagnosis: dict[str, float] = record["diagnosis"]
    width = max(map(len, diagnosis), default=0)
    full = "█" if terminal.speaks_unicode else "#"
    lines = [shown(record["input"])]
    for name, probability in diagnosis.items():
        bar = full * round(probability * BAR_WIDTH)
        printed = record["printed"].get(name, name)
        aside = "" if printed == name else printed
        lines.append(f"  {name:<{width}}  {bar:<{BAR_WIDTH}}  {probability:.2f}  {aside}".rstrip())
    return "\n".join(lines)
