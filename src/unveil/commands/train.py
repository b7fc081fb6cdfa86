"""`unveil train`: train a model from a recipe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unveil.commands.extras import needs_extra
from unveil.commands.terminal import examples

EXAMPLES = examples(
    "unveil train recipes/abair/fast.yaml --data photographs/ --out runs/first",
    "unveil train recipes/abair/fast.yaml --data photographs/ --phase pretrain --set trainer.max_steps=100",
)


class Phase(StrEnum):
    """The phases of training, in their order."""

    pretrain = "pretrain"
    adapt = "adapt"
    estimate = "estimate"
    all = "all"


def command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: a YAML file, such as those in recipes/.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FOLDER", help="Folder of clean photographs; may be given several times."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where checkpoints and logs go.")] = Path("runs"),
    phase: Annotated[Phase, typer.Option("--phase", help="Run one phase only.")] = Phase.all,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="key=value", help="Change one value of the recipe; may be given several times."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the checkpoints in DIR, or start anew.")
    ] = True,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, help="Processor threads to use; all of them by default."),
    ] = None,
) -> None:
    """Train a model from a recipe, with clean photographs as its data.

    Needs the extra 'train'. An interrupted run goes on where it stopped.
    """
    with needs_extra("'unveil train'", "train"):
        from unveil import training
    phases = tuple(each.value for each in Phase if each is not Phase.all) if phase is Phase.all else (phase.value,)
    training.run(
        recipe, data=data or [], out=out, phases=phases, overrides=overrides or [], resume=resume, threads=threads
    )
