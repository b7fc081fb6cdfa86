"""`unveil diagnose`: say what is wrong with pictures, and change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unveil.commands import arguments, formats, naming
from unveil.commands.arguments import EngineName
from unveil.commands.batch import Record, Tick, run_batch
from unveil.commands.restoring import refuse_existing
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest

if TYPE_CHECKING:
    from unveil.images import Picture
    from unveil.restoration import Restorer

EXAMPLES = examples(
    "unveil diagnose photo.jpg",
    "unveil diagnose holiday/ --json > diagnosis.json",
    "unveil diagnose photo.jpg --model mine.safetensors --map map.png    where in the picture it is",
)

BAR_WIDTH = 24


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Pictures, or folders of pictures.")],
    model: arguments.ModelName = None,
    engine: arguments.Engine = EngineName.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    map_output: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="OUT",
            help="Also draw where the damage is: a .png file, or a folder. Models with a map only.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing maps.")] = False,
    threads: arguments.Threads = None,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
) -> None:
    """Say what is wrong with pictures, the likeliest first."""
    terminal = Terminal(as_json=as_json)
    found = naming.find_pictures(paths, formats.readable_endings())

    maps = _targets(found.pictures, map_output, overwrite)

    from unveil import images, models
    from unveil.restoration import Restorer

    restorer = Restorer(models.read(models.find(model or models.DEFAULT)), engine=engine.value, threads=threads)
    if maps and not restorer.card.map:
        raise InvalidRequest(f"the model {restorer.name} cannot tell where in a picture its damage is; leave out --map")

    def work(picture: tuple[Path, Path | None], record: Record, tick: Tick) -> None:
        read = images.read(picture[0], pixel_limit=arguments.pixels(pixel_limit))
        if picture[0] in maps:
            record |= _draw(read, restorer, maps[picture[0]], overwrite)
        if restorer.card.estimator is None and maps:
            return
        diagnosis = restorer.diagnose(read)
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
            **({"map": None, "coverage": None} if maps else {}),
            "error": None,
        },
        work=work,
        show=lambda record: terminal.line(_chart(record, terminal)),
        unreadable=found.unreadable,
    )
    raise typer.Exit(code)


def _targets(pictures: Sequence[tuple[Path, Path | None]], output: Path | None, overwrite: bool) -> dict[Path, Path]:
    """Where the map of each picture goes."""
    if output is None:
        return {}
    if output.suffix.lower() == ".png":
        if len(pictures) > 1:
            raise InvalidRequest(f"--map {shown(output)} is one file, for {len(pictures)} pictures; name a folder")
        targets = {file: output for file, _ in pictures}
    elif output.suffix:
        raise InvalidRequest(f"--map {shown(output)}: a map is a .png file")
    else:
        targets = {
            file: output / file.relative_to(root or file.parent).with_name(f"{file.name}.map.png")
            for file, root in pictures
        }
        if len(set(targets.values())) < len(targets):
            raise InvalidRequest("--map: two pictures have the same name; draw the maps of one folder at a time")
    for target in targets.values():
        refuse_existing(target, overwrite)
    return targets


def _draw(picture: Picture, restorer: Restorer, target: Path, overwrite: bool) -> Record:
    from unveil import images
    from unveil.reporting import maps, previews

    found = restorer.map(picture)
    painted = maps.overlay(previews.as_bytes(picture.srgb()), found.shares, found.classes)
    sheet = maps.with_legend(painted, found.coverage, found.printed)
    target.parent.mkdir(parents=True, exist_ok=True)
    images.write(images.Picture(sheet), target, overwrite=overwrite)
    return {"map": str(target), "coverage": {name: round(share, 4) for name, share in found.coverage.items()}}


def _chart(record: Record, terminal: Terminal) -> str:
    """One line a degradation: identifier, bar, probability, and the name for people where it is another."""
    diagnosis: dict[str, float] = record["diagnosis"] or {}
    width = max(map(len, diagnosis), default=0)
    full = "█" if terminal.speaks_unicode else "#"
    lines = [shown(record["input"])]
    for name, probability in diagnosis.items():
        bar = full * round(probability * BAR_WIDTH)
        printed = record["printed"].get(name, name)
        aside = "" if printed == name else printed
        lines.append(f"  {name:<{width}}  {bar:<{BAR_WIDTH}}  {probability:.2f}  {aside}".rstrip())
    if record.get("map"):
        lines.append(f"  map -> {shown(record['map'])}")
    return "\n".join(lines)
