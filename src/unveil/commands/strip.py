"""`unveil strip`: one picture under prompts that go from one degradation to another, as one picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unveil.commands import arguments
from unveil.commands.arguments import EngineName
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, OutputExists

EXAMPLES = examples(
    "unveil strip photo.jpg --from dark --to rain --model ep.safetensors -o strip.png",
    "unveil strip photo.jpg --from dark --to rain --steps 9 --side 256 --model ep.safetensors -o strip.png",
)


class Mixed(StrEnum):
    """What is averaged between two prompts."""

    prompts = "prompts"
    codes = "codes"


def command(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="A picture.")],
    start: Annotated[str, typer.Option("--from", metavar="NAME", help="The prompt at the left.")],
    end: Annotated[str, typer.Option("--to", metavar="NAME", help="The prompt at the right.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="X.png", help="The PNG file to write.")],
    model: arguments.ModelName = None,
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=2, max=25, help="Results to draw.")] = 5,
    side: Annotated[
        int, typer.Option("--side", metavar="N", min=16, help="Show the middle of the picture, so many pixels wide.")
    ] = 256,
    mixing: Annotated[
        Mixed, typer.Option("--mix", help="Average the prompts, or the codes that the model makes of them.")
    ] = Mixed.prompts,
    engine: arguments.Engine = EngineName.auto,
    threads: arguments.Threads = None,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Restore a picture under mixtures of two prompts, and put the results side by side.

    For models with prompts. The mixture at each place is the weighted mean of the two prompts, or with --mix codes that
    of what the network makes of them.
    """
    if output.suffix.lower() != ".png":
        raise InvalidRequest(f"-o {shown(output)}: the strip is a PNG file; give a name that ends in .png")
    if output.exists() and not overwrite:
        raise OutputExists(output, "exists already; give --overwrite to replace it, or another name with -o")

    from unveil import images, models
    from unveil.metrics.sheets import Panel, Strip, as_bytes, draw
    from unveil.restoration import Restorer
    from unveil.restoration.prompting import check_model

    restorer = Restorer(models.read(models.find(model or models.DEFAULT)), engine=engine.value, threads=threads)
    check_model(restorer.card)
    for flag, name in (("--from", start), ("--to", end)):
        arguments.require_known([name], restorer.card.prompts, flag, f"the model {restorer.name}")
    if start == end:
        raise InvalidRequest(f"--from and --to both name {start!r}; a strip goes from one prompt to another")
    pixels = as_bytes(images.read(picture, pixel_limit=arguments.pixels(pixel_limit)).srgb())
    rows, columns = (slice(max(0, (length - side) // 2), (length + side) // 2) for length in pixels.shape[:2])
    panels = [Panel(pixels[rows, columns], "input")]
    with Terminal().progress(steps) as bar:
        for number in range(steps):
            share = number / (steps - 1)
            bar.begin(f"{share:.2f}")
            mixed = restorer.restore(pixels, prompt={start: 1 - share, end: share}, mixing=mixing.value)
            panels.append(Panel(mixed[rows, columns], f"{start} {1 - share:.2f}, {end} {share:.2f}"))
            bar.end()
    sheet = draw(f"{picture.name}: {start} to {end}, {restorer.name}", [Strip("", tuple(panels))])
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(output, "PNG", optimize=True)
    Terminal().line(f"{shown(picture)} -> {shown(output)}")
