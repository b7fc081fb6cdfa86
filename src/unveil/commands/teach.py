"""`unveil teach`: a new kind of damage, learnt from a few pairs of pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unveil.commands.arguments import Threads
from unveil.commands.batch import resumable
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, OutputExists

if TYPE_CHECKING:
    from unveil.training.examination import Examination

EXAMPLES = examples(
    "unveil teach scratched/ clean/ --name scratches -o mine.safetensors",
    "unveil teach clean/ --name old-phone --recipe old-phone.yaml -o mine.safetensors",
    "unveil restore photo.jpg --model mine.safetensors",
)


def command(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="[DEGRADED] CLEAN",
            help="Damaged pictures and the same pictures clean, by equal names; or clean ones alone, with --recipe.",
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Of the damage: small letters, digits, '-' and '_'.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="MODEL", help="The model file to write; NAME.safetensors by default."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="The model that learns; the shipped one.")
    ] = None,
    printed: Annotated[
        str | None,
        typer.Option("--printed", metavar="TEXT", help="The damage's name for people."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            metavar="FILE",
            help="YAML: 'steps', a list of {degradation: NAME, severity: [LOW, HIGH]}, done to the clean pictures.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FOLDER", help="More clean photographs, to keep the old damages apart."),
    ] = None,
    iterations: Annotated[
        int, typer.Option("--iterations", metavar="N", min=50, help="At most so many steps of the adapter.")
    ] = 800,
    work: Annotated[
        Path | None,
        typer.Option("--work", metavar="DIR", help="Where teach-NAME lies, with checkpoints, until the end; runs."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing model file.")] = False,
    threads: Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Teach a model a new kind of damage from 10 to 500 pairs of pictures, in minutes.

    Needs the extra 'train'. What the model could do before it keeps: base and old adapters stay as they are, byte for
    byte. Some pairs are held back, and the report is about these. Ctrl-C keeps what is done; the same command goes on.
    """
    terminal = Terminal(quiet=quiet, as_json=as_json)
    with needs_extra("'unveil teach'", "train"):
        from unveil import models
        from unveil.training import examination, teaching
        from unveil.training.damaging import damage_folder

    target = output or Path(f"{name}.safetensors")
    if target.exists() and not overwrite:
        raise OutputExists(target, "exists already; name another file with -o, or replace it with --overwrite")
    # A folder of our own, for at the end it goes with all that is in it.
    folder = (work or Path("runs")) / f"teach-{name}"
    if recipe is not None and len(folders) != 1:
        raise InvalidRequest(f"--recipe makes the damage itself: give the clean folder alone, found {len(folders)}")
    if recipe is None and len(folders) != 2:
        raise InvalidRequest(f"expected two folders, damaged and clean pictures of equal names, found {len(folders)}")
    with resumable(terminal):
        degraded, clean = folders[0], folders[-1]
        if recipe is not None:
            degraded, clean = damage_folder(clean, recipe, folder / "pairs"), folder / "pairs" / "clean"
        before = models.read(models.find(model or models.DEFAULT))
        material = teaching.gather(degraded, clean)
        after = teaching.teach(
            before,
            material,
            name,
            printed=printed,
            lesson=teaching.Lesson(iterations=iterations),
            folder=folder,
            data=data or (),
            threads=threads,
            say=terminal.line,
        )
        terminal.line(f"measuring {len(material.kept)} pairs that were held back")
        sheet = target.with_suffix(".png")
        found = examination.examine(before, after, material, name, sheet=sheet, threads=threads)
        # Last: the command refuses to replace a model, so one that was stopped before could not go on.
        models.write_adapter(models.take_adapter(after, name), target.with_suffix(f".{name}.adapter.safetensors"))
        models.write(after, target)
        target.with_suffix(".json").write_text(json.dumps(found.as_dict(), indent=2), encoding="utf-8")
    if as_json:
        terminal.json(found.as_dict())
    else:
        _report(terminal, found, after.card.estimator is not None)
        terminal.line(f"{shown(degraded)} -> {shown(target)}, pictures in {shown(sheet)}")
    shutil.rmtree(folder, ignore_errors=True)


def _report(terminal: Terminal, found: Examination, recognises: bool) -> None:
    said = "gained" if found.gain >= 0 else "LOST"
    terminal.line(
        f"{found.name}: {said} {abs(found.gain):.2f} dB on {found.pictures} held-back pictures "
        f"({found.degraded:.2f} -> {found.after:.2f}; the model before: {found.before:.2f}; with --only {found.name}: "
        f"{found.known_to_user:.2f})"
    )
    if not recognises:
        terminal.line(f"the model has no estimator: ask for it with --weights {found.name}=1")
        return
    taken = ", ".join(f"{key} {share:.0%}" for key, share in found.named.items())
    terminal.line(f"held-back pictures are taken for: {taken}")
    for way, change in found.others.items():
        mistaken = f", {change.mistaken:.0%} taken for {found.name}" if change.mistaken else ""
        terminal.line(f"  {way:7} {change.before:.2f} -> {change.after:.2f} dB{mistaken}")
    worst, loss = found.largest_loss
    terminal.line(f"other degradations: {worst} changed most, by {loss:+.2f} dB")
