"""`unveil train`: train a model from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unveil.commands.arguments import Threads
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown

EXAMPLES = examples(
    "unveil train recipes/abair/fast.yaml --data photographs/ --out runs/first",
    "unveil train recipes/abair/fast.yaml --data photographs/ --phase pretrain --set pretraining.steps=100",
)


def command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: a YAML file, such as those in recipes/.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FOLDER", help="Folder of clean photographs; may be given several times."),
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
            help="pretrain, adapt, adapt:noise (one adapter), estimate, export or all, the default; repeatable.",
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
    threads: Threads = None,
) -> None:
    """Train a model from a recipe, with clean photographs as its data.

    Needs the extra 'train'. An interrupted run goes on where it stopped.
    """
    with needs_extra("'unveil train'", "train"):
        from unveil import training

        folder = training.run(
            recipe,
            data=data or (),
            out=out,
            phases=phases or ("all",),
            overrides=overrides or (),
            resume=resume,
            threads=threads,
        )
    Terminal().line(f"{shown(recipe)} -> {shown(folder)}")
