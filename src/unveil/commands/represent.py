"""`unveil represent`: what a model's prompts say of pictures, as points on a plane, and how well classes come apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unveil.commands import arguments, formats, naming
from unveil.commands.arguments import EngineName
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, OutputExists

EXAMPLES = examples(
    "unveil represent data/mioir/blur data/mioir/noise data/mioir/rain --model ap.safetensors -o clusters.png",
)


def command(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Folders of pictures, one for each class.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="X.png", help="Draw the points to this PNG file.")
    ] = None,
    model: arguments.ModelName = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many pictures of each folder.")
    ] = None,
    engine: arguments.Engine = EngineName.auto,
    threads: arguments.Threads = None,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say how well a model tells degradations apart inside itself: the Calinski-Harabasz index of its codes.

    For models that take their prompt from the picture. A code is what the model computes of a whole picture before it
    restores it; -o draws the codes on their two principal axes.
    """
    terminal = Terminal(as_json=as_json)
    if output is not None and output.suffix.lower() != ".png":
        raise InvalidRequest(f"-o {shown(output)}: the plot is a PNG file; give a name that ends in .png")
    if output is not None and output.exists() and not overwrite:
        raise OutputExists(output, "exists already; give --overwrite to replace it, or another name with -o")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < max(2, len(names)):
        raise InvalidRequest(f"found the folders {', '.join(names)}, expected at least two of different names")
    found: dict[str, list[Path]] = {}
    for folder, name in zip(folders, names, strict=True):
        pictures = naming.find_pictures([folder], formats.readable_endings()).pictures
        found[name] = [path for path, _ in pictures][:limit]

    import numpy as np

    from unveil import images, models
    from unveil.metrics.clusters import calinski_harabasz, plane
    from unveil.restoration import Restorer

    restorer = Restorer(models.read(models.find(model or models.DEFAULT)), engine=engine.value, threads=threads)
    codes: list[np.ndarray] = []
    labels: list[str] = []
    with terminal.progress(sum(map(len, found.values()))) as bar:
        for name, pictures in found.items():
            for path in pictures:
                bar.begin(shown(path))
                code = restorer.encode(images.read(path, pixel_limit=arguments.pixels(pixel_limit)))
                codes.append(np.concatenate([values.ravel() for values in code.values()]))
                labels.append(name)
                bar.end()
    features = np.stack(codes)
    index = calinski_harabasz(features, labels)
    if output is not None:
        from unveil.reporting.scatter import scatter

        places, shares = plane(features)
        axes = tuple(f"axis {number}: {share:.0%} of the variance" for number, share in enumerate(shares, 1))
        title = f"{restorer.name}: {len(codes)} pictures, Calinski-Harabasz index {index:.1f}"
        output.parent.mkdir(parents=True, exist_ok=True)
        scatter(places, labels, title=title, axes=(axes[0], axes[1])).save(output, "PNG", optimize=True)
    if as_json:
        terminal.json(
            {
                "model": restorer.name,
                "calinski_harabasz": index if np.isfinite(index) else None,
                "pictures": {name: len(pictures) for name, pictures in found.items()},
                "length": features.shape[1],
            }
        )
    terminal.line(
        f"{restorer.name}: Calinski-Harabasz index {index:.1f} over {len(codes)} pictures in {len(found)} classes"
    )
    if output is not None:
        terminal.line(f"-> {shown(output)}")
