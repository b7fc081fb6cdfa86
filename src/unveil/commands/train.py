"""`unveil train`: train a model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unveil.commands.arguments import Threads
from unveil.commands.batch import resumable
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown

EXAMPLES = examples(
    "unveil train recipes/abair/fast.yaml --data photographs/ --out runs/first",
    "unveil train recipes/abair/fast.yaml --data photographs/ --phase pretrain --set pretraining.iterations=100",
    "unveil train recipes/abair/fast.yaml --data photographs/ --set pretraining.parts=2 --devices 2",
)


def command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: a YAML file, such as those in recipes/.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Folder, shards or URL of clean photographs; may be given several times."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Where checkpoints and logs go; runs/ and the recipe's name by default."
        ),
    ] = None,
    phases: Annotated[
        list[str] | None,
        typer.Option(
            "--phase",
            metavar="PHASE",
            help="A phase of the recipe's method (ABAIR: pretrain, adapt, adapt:noise, estimate; MiOIR: "
            "restore, classify; ConStyle: encode, restore), export or all, the "
            "default; repeatable.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="key=value", help="Change one value of the recipe; may be given several times."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Go on from the checkpoints in DIR; or refuse a DIR that has some."),
    ] = True,
    devices: Annotated[
        int | None,
        typer.Option(
            "--devices", metavar="N", min=1, help="Processes on this machine, one a GPU where there are some; 1."
        ),
    ] = None,
    nodes: Annotated[int, typer.Option("--nodes", metavar="N", min=1, help="Machines that Slurm has given.")] = 1,
    strategy: Annotated[
        str, typer.Option("--strategy", metavar="NAME", help="How processes work together: auto, ddp or fsdp.")
    ] = "auto",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network first; pays on long runs, needs a C++ compiler.")
    ] = False,
    every: Annotated[
        int, typer.Option("--checkpoint-every", metavar="N", min=1, help="Steps between checkpoints.")
    ] = 500,
    threads: Threads = None,
) -> None:
    """Train a model from a recipe, with clean photographs as its data.

    Needs the extra 'train'. An interrupted run goes on where it stopped.
    """
    terminal = Terminal()
    with needs_extra("'unveil train'", "train"):
        from unveil import training

        machine = training.Machine(devices=devices, nodes=nodes, strategy=strategy, compile=compiled, every=every)
        with resumable(terminal):
            folder = training.run(
                recipe,
                data=data or (),
                out=out,
                phases=phases or ("all",),
                overrides=overrides or (),
                resume=resume,
                threads=threads,
                machine=machine,
                say=terminal.note,
            )
    terminal.line(f"{shown(recipe)} -> {shown(folder)}")
