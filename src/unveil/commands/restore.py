"""`unveil restore`: find out what is wrong with pictures and write them restored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from unveil.commands import arguments, naming
from unveil.commands.arguments import EngineName
from unveil.commands.batch import Record, Tick, run_batch
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, OutputExists

EXAMPLES = examples(
    "unveil restore photo.jpg                     writes photo.restored.jpg beside it",
    "unveil restore holiday/ -o better/           a folder with all its folders",
    "unveil restore old.png --only noise,jpeg     leaves everything else as it is",
    "unveil restore night.jpg --strength 0.5      half way between input and result",
)


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Pictures, or folders of pictures.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="OUT", help="File or folder to write; a folder if it ends in '/'."),
    ] = None,
    model: arguments.ModelName = None,
    strength: Annotated[
        float,
        typer.Option("--strength", metavar="0..1", min=0, max=1, help="0 keeps the input, 1 is the whole restoration."),
    ] = 1.0,
    only: Annotated[
        str | None, typer.Option("--only", metavar="rain,noise", help="Undo these degradations and no others.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="rain=.6,noise=.4", help="Say yourself what is wrong, and how much."),
    ] = None,
    engine: arguments.Engine = EngineName.auto,
    quality: Annotated[
        int | None,
        typer.Option("--quality", metavar="1..100", min=1, max=100, help="Quality of JPEG, WebP and AVIF files."),
    ] = None,
    extension: Annotated[
        str | None,
        typer.Option("--format", metavar="EXT", help="Format of the results: jpg, png, webp, tif, avif, bmp."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results of earlier runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    threads: arguments.Threads = None,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
) -> None:
    """Find out what is wrong with pictures and undo it.

    Without -o, photo.jpg becomes photo.restored.jpg beside it, and a folder is restored with everything below it.
    An input is never overwritten.
    """
    terminal = Terminal(quiet=quiet, as_json=as_json)
    if only is not None and weights is not None:
        raise InvalidRequest("--only and --weights contradict each other; give one of them")
    chosen = None if only is None else arguments.parse_names(only, "--only")
    given = None if weights is None else arguments.parse_weights(weights, "--weights")
    found, jobs = naming.plan_files(paths, output, label="restored", extension=extension)

    from unveil import images, models
    from unveil.restoration import Restorer

    restorer = Restorer(models.read(models.find(model or models.DEFAULT)), engine=engine.value, threads=threads)
    flag = "--only" if given is None else "--weights"
    arguments.require_known(chosen or given or (), restorer.card.degradations, flag, f"the model {restorer.name}")

    def work(job: naming.Job, record: Record, tick: Tick) -> None:
        if not job.open_suffix:
            refuse_existing(job.target, overwrite)
        picture = images.read(job.source, pixel_limit=arguments.pixels(pixel_limit))
        target = job.settle(depth=picture.depth, has_alpha=picture.alpha is not None)
        refuse_existing(target, overwrite)
        done = restorer.run(picture, strength=strength, weights=given, only=chosen, progress=tick)
        target.parent.mkdir(parents=True, exist_ok=True)
        if done.untouched and quality is None and target.suffix.lower() in images.FORMATS[picture.format].suffixes:
            # Encoding it once more would cost quality for nothing.
            images.copy(job.source, target, overwrite=overwrite)
        else:
            images.write(done.image, target, quality=quality, overwrite=overwrite)
        record |= {
            "output": str(target),
            "diagnosis": dict(done.diagnosis.ranked) if done.diagnosis else None,
            "weights": done.weights,
            "untouched": done.untouched,
            "seconds": round(done.seconds, 3),
        }

    code = run_batch(
        jobs,
        terminal=terminal,
        begin=_begin,
        work=work,
        show=lambda record: terminal.line(_sentence(record)),
        unreadable=found.unreadable,
    )
    raise typer.Exit(code)


def _begin(job: naming.Job) -> Record:
    return {
        "input": str(job.source),
        "output": None,
        "diagnosis": None,
        "weights": None,
        "untouched": None,
        "seconds": None,
        "error": None,
    }


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Say that a result is in the way before the work is done, not after."""
    if not overwrite and os.path.lexists(target):
        raise OutputExists(target, "exists already; give --overwrite to replace it, or another output with -o")


def _sentence(record: Mapping[str, Any]) -> str:
    names = f"{shown(record['input'])} -> {shown(record['output'])}"
    seconds = f"{record['seconds']:.1f} s"
    if record["untouched"]:
        clean = record["diagnosis"] is not None and next(iter(record["diagnosis"])) == "clean"
        return f"{names}  {'looks clean, ' if clean else ''}unchanged  {seconds}"
    ranked = sorted(record["weights"].items(), key=lambda pair: -pair[1])
    said = ", ".join(f"{name} {weight:.2f}" for name, weight in ranked if weight >= 0.05)
    return f"{names}  {said or 'nothing in particular'}  {seconds}"
