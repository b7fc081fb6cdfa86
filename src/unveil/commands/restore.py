"""`unveil restore`: find out what is wrong with pictures and write them restored."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands import arguments, forecast, naming, piping, scale, watching
from unveil.commands.arguments import ClusterName, EngineName, PrecisionName, Stripped
from unveil.commands.batch import Record, run_batch
from unveil.commands.naming import Job
from unveil.commands.restoring import Histories, Restoring, Wishes, places, refuse_existing
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest

if TYPE_CHECKING:
    from unveil.restoration import Restorer

EXAMPLES = examples(
    "unveil restore photo.jpg                     writes photo.restored.jpg beside it",
    "unveil restore holiday/ -o better/           a folder with all its folders; once more: what is left",
    "unveil restore inbox/ -o better/ --watch     pictures as they arrive, until Ctrl-C",
    "unveil restore old.png --only noise,jpeg     leaves everything else as it is",
    "unveil restore night.jpg --strength 0.5      half way between input and result",
    "unveil restore best.jpg --ensemble 8         eight times slower, a little better",
    "unveil restore s3://in/ -o s3://out/ --cluster ray     on all cores, or on a Ray cluster",
    "unveil restore - < noisy.png > better.png    from stdin to stdout",
)


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Pictures, folders or URLs; '-' is stdin.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="File, folder ('/' at the end) or URL to write; '-' is stdout."
        ),
    ] = None,
    model: arguments.ModelName = None,
    strength: arguments.Strength = 1.0,
    only: arguments.Only = None,
    weights: arguments.Weights = None,
    prompt: arguments.Prompt = None,
    blend: arguments.Blend = None,
    engine: arguments.Engine = EngineName.auto,
    precision: arguments.Precision = PrecisionName.fp32,
    quality: Annotated[
        int | None,
        typer.Option("--quality", metavar="1..100", min=1, max=100, help="Quality of JPEG, WebP and AVIF files."),
    ] = None,
    extension: Annotated[
        str | None,
        typer.Option("--format", metavar="EXT", help="Format of the results: jpg, png, webp, tif, avif, bmp."),
    ] = None,
    strip: arguments.Strip = Stripped.none,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do everything anew, and replace whatever is in the way.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Restore what arrives in the folders, until Ctrl-C.")] = False,
    cluster: Annotated[
        ClusterName | None,
        typer.Option("--cluster", help="Restore on all cores, or on the Ray cluster that RAY_ADDRESS names."),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option("--actors", metavar="N", min=1, help="With --cluster: pictures at work at once."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            metavar="N",
            min=1,
            max=4,
            help="Looks at a picture at most; 1 undoes only what is seen at first.",
        ),
    ] = None,
    ensemble: Annotated[
        int | None,
        typer.Option(
            "--ensemble",
            metavar="N",
            help="Average over 2, 4 or 8 turned views of the picture: N times slower, a little better.",
        ),
    ] = None,
    threads: arguments.Threads = None,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
) -> None:
    """Find out what is wrong with pictures and undo it.

    Without -o, photo.jpg becomes photo.restored.jpg beside it, and a folder is restored with everything below it.
    An input is never overwritten. Of a folder, a second run does only what is left. Pictures keep their size: detail
    that an enlarged picture lacks is brought back where it can be, but nothing is enlarged.
    """
    terminal = Terminal(quiet=quiet, as_json=as_json)
    if only is not None and weights is not None:
        raise InvalidRequest("--only and --weights contradict each other; give one of them")
    blended = arguments.parse_blend(blend, weights)
    if watch and (dry_run or as_json):
        raise InvalidRequest(f"--watch and {'--dry-run' if dry_run else '--json'} contradict each other; leave one out")
    if ensemble is not None:
        from unveil.restoration import ensemble as ensembles

        ensembles.check(ensemble)
    chosen = None if only is None else arguments.parse_names(only, "--only")
    given = None if weights is None else arguments.parse_weights(weights, "--weights")
    if prompt is not None:
        if only is not None or weights is not None or blend is not None:
            raise InvalidRequest("--prompt says all that --only, --weights and --blend say; give it alone")
        given = arguments.parse_prompt(prompt)
    wishes = Wishes(
        strength,
        chosen,
        given,
        quality,
        overwrite,
        arguments.pixels(pixel_limit),
        blend,
        strip.value,
        precision.value,
        rounds,
        ensemble,
    )
    at_scale = scale.is_meant(paths, output, cluster)
    if at_scale and watch:
        raise InvalidRequest("--watch goes with neither --cluster nor URLs; leave one out")
    if actors is not None and cluster is None:
        raise InvalidRequest("--actors goes with --cluster ray; give both")
    piped = not at_scale and piping.is_piped(paths, output)
    if piped and (watch or dry_run or as_json):
        raise InvalidRequest("'-' goes with neither --watch nor --dry-run nor --json")
    found, jobs = naming.Found(), list[Job]()

    def show(record: Record) -> None:
        terminal.line(_sentence(record))

    if watch:
        watching.check(paths, output)
    elif not piped and not at_scale:
        found, jobs = naming.plan_files(paths, output, label="restored", extension=extension)

    from unveil import models
    from unveil.restoration.prompting import check_model

    path = models.find(model or models.DEFAULT)
    flag = "--only" if given is None else "--weights" if prompt is None else "--prompt"
    if at_scale:
        run = scale.prepare(
            paths,
            output,
            wishes,
            model=model,
            cluster=cluster,
            actors=actors,
            engine=engine.value,
            threads=threads,
            extension=extension,
        )
        owner = f"the model {run.model.card.name}"
        if prompt is not None:
            check_model(run.model.card)
        arguments.require_known(chosen or given or (), run.model.card.degradations, flag, owner)
        arguments.require_known(blended, run.model.card.degradations, "--blend", owner)
        raise typer.Exit(scale.rehearse(run, terminal) if dry_run else scale.restore(run, show, terminal))
    histories = Histories(wishes.digest(path), overwrite)
    if dry_run:
        raise typer.Exit(_rehearse(jobs, histories, terminal, found.unreadable))

    from unveil.restoration import Restorer

    restorer = Restorer(models.read(path), engine=engine.value, threads=threads, precision=precision.value)
    if prompt is not None:
        check_model(restorer.card)
    arguments.require_known(chosen or given or (), restorer.card.degradations, flag, f"the model {restorer.name}")
    arguments.require_known(blended, restorer.card.degradations, "--blend", f"the model {restorer.name}")
    if piped:
        piping.restore(paths[0], output, restorer, wishes, extension)
        return
    restoring = Restoring(restorer, wishes, histories)

    if watch:
        looking = watching.Watch(paths, output, extension)
        with histories.opened(dict.fromkeys(looking.places, ())):
            raise typer.Exit(watching.run(looking, restoring, terminal=terminal, begin=_begin, show=show))
    with histories.opened(places(jobs)):
        _announce(jobs, restorer, wishes, terminal)
        code = run_batch(
            jobs,
            terminal=terminal,
            begin=lambda job: _begin(job.source),
            work=restoring,
            show=show,
            unreadable=found.unreadable,
        )
    raise typer.Exit(code)


def _begin(source: Path) -> Record:
    return {
        "input": str(source),
        "output": None,
        "diagnosis": None,
        "weights": None,
        "untouched": None,
        "seconds": None,
        "skipped": False,
        "error": None,
    }


def _rehearse(jobs: Sequence[Job], histories: Histories, terminal: Terminal, unreadable: Sequence[OSError]) -> int:
    """Say what a run would do; the exit code is the one that the run would have, as far as can be known before it."""

    def work(job: Job, record: Record, _: object) -> None:
        state, place = histories.look(job)
        if not job.source.is_file():
            raise FileNotFoundError(2, "there is no such file", str(job.source))
        if state == "foreign" and not histories.overwrite:
            refuse_existing(place, overwrite=False)
        if state == "done" and not histories.overwrite:
            record["skipped"] = True
        record["output"] = str(place)

    def show(record: Record) -> None:
        terminal.line(f"{shown(record['input'])} -> {shown(record['output'])}")

    return run_batch(
        jobs,
        terminal=terminal,
        begin=lambda job: _begin(job.source),
        work=work,
        show=show,
        unreadable=unreadable,
        achieved="planned",
    )


def _announce(
    jobs: Sequence[Job],
    restorer: Restorer,
    wishes: Wishes,
    terminal: Terminal,
) -> None:
    """Before long work, say what does it and how long it will take."""
    if terminal.quiet:
        return
    left = [job.source for job in jobs if wishes.overwrite or not any(map(os.path.lexists, job.candidates))]
    size = forecast.megapixels(left)
    if not left or size < forecast.SMALL:
        return
    seconds = size * forecast.seconds_per_megapixel(restorer, wishes.weights, wishes.ensemble)
    if seconds < forecast.SHORT:
        return
    pictures = "1 picture" if len(left) == 1 else f"{len(left)} pictures"
    terminal.note(
        f"{pictures}, {size:.1f} megapixels, {restorer.name} on {restorer.engine}: about {forecast.said(seconds)}"
    )


def _sentence(record: Mapping[str, Any]) -> str:
    names = f"{shown(record['input'])} -> {shown(record['output'])}"
    seconds = f"{record['seconds']:.1f} s"
    if record["untouched"]:
        clean = record["diagnosis"] is not None and next(iter(record["diagnosis"])) == "clean"
        return f"{names}  {'looks clean, ' if clean else ''}unchanged  {seconds}"
    ranked = sorted(record["weights"].items(), key=lambda pair: -pair[1])
    said = ", ".join(f"{name} {weight:.2f}" for name, weight in ranked if weight >= 0.05)
    for more in record.get("later", ()):
        said += ", then " + ", ".join(f"{name} {weight:.2f}" for name, weight in more.items() if weight >= 0.05)
    return f"{names}  {said or 'nothing in particular'}  {seconds}"
