"""`unveil degrade`: damage pictures on purpose, with the generators that models are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands import arguments, naming
from unveil.commands.batch import Record, Tick, run_batch
from unveil.commands.extras import needs_extra
from unveil.commands.restoring import refuse_existing
from unveil.commands.terminal import Terminal, examples, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = examples(
    "unveil degrade photo.jpg --with rain:0.5      writes photo.degraded.png beside it",
    "unveil degrade photo.jpg --with noise:0.4 --with jpeg:0.6 --seed 7",
)


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Pictures, or folders of pictures.")],
    wanted: Annotated[
        list[str],
        typer.Option("--with", metavar="NAME:SEVERITY", help="A degradation and its severity, 0 to 1; repeatable."),
    ],
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same picture, same damage.")] = 0,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="OUT", help="File or folder to write; a folder if it ends in '/'."),
    ] = None,
    extension: Annotated[
        str | None, typer.Option("--format", metavar="EXT", help="Format of the results; png by default.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results of earlier runs.")] = False,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
) -> None:
    """Damage pictures on purpose, to try models or to show what they do.

    Several degradations are applied in the order in which they happen to a photograph: scene, camera, file.
    Needs the extra 'train'. Alpha and metadata are kept.
    """
    severities = arguments.parse_severities(wanted, "--with")
    with needs_extra("'unveil degrade'", "train"):
        from unveil.degradations import DEGRADATIONS
    arguments.require_known(severities, DEGRADATIONS, "--with", "the table of degradations")

    from unveil import images

    # Results are PNG unless asked otherwise: JPEG would add damage of its own to what was asked for.
    found, jobs = naming.plan_files(paths, output, label="degraded", extension=extension, default=".png")
    terminal = Terminal()

    def work(job: naming.Job, record: Record, tick: Tick) -> None:
        refuse_existing(job.target, overwrite)
        picture = images.read(job.source, pixel_limit=arguments.pixels(pixel_limit))
        job.target.parent.mkdir(parents=True, exist_ok=True)
        degraded = picture.with_srgb(_degrade(picture.srgb(), severities, seed))
        images.write(degraded, job.target, overwrite=overwrite)

    code = run_batch(
        jobs,
        terminal=terminal,
        begin=lambda job: {"input": str(job.source), "output": str(job.target), "error": None},
        work=work,
        show=lambda record: terminal.line(f"{shown(record['input'])} -> {shown(record['output'])}"),
        unreadable=found.unreadable,
    )
    raise typer.Exit(code)


def _degrade(srgb: NDArray[Any], severities: dict[str, float], seed: int) -> NDArray[Any]:
    """Degrade `srgb` (H W 3, uint8 or uint16); same shape and dtype, and the same result for the same seed."""
    import numpy
    import torch

    from unveil.degradations.mixtures import compose

    full = numpy.iinfo(srgb.dtype).max
    image = torch.as_tensor(srgb.astype(numpy.float32) / full).permute(2, 0, 1).unsqueeze(0)
    image = compose(image, list(severities), list(severities.values()), torch.Generator().manual_seed(seed))
    return (image[0].permute(1, 2, 0) * full).round().numpy().astype(srgb.dtype)
