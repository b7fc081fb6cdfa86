"""`unveil compare`: which of two results is closer to the truth, in figures and side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands import arguments, formats
from unveil.commands.naming import find_pictures
from unveil.commands.restoring import refuse_existing
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, UnwritablePicture

if TYPE_CHECKING:
    from unveil.metrics import Protocol, Score
    from unveil.metrics.sheets import Strip

EXAMPLES = examples(
    "unveil compare ours.png theirs.png --truth clean.png     figures, and compared.png with the errors of both",
    "unveil compare ours/ theirs/ --truth clean/ -o sheet.png",
    "unveil compare before.jpg after.jpg                      how far two pictures are from each other",
)

MOST_STRIPS = 5


@dataclass(frozen=True, slots=True)
class Trio:
    """One picture: both candidates and, if there is one, the truth."""

    name: str
    first: Path
    second: Path
    truth: Path | None


def command(
    first: Annotated[Path, typer.Argument(metavar="A", help="A picture, or a folder of pictures.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another, of the same names if it is a folder.")],
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="C", help="What both should be; without it, A is held against B.")
    ] = None,
    protocol_name: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Protocol: rgb, rgb8, y; rgb8:4 leaves out a border of 4.")
    ] = "rgb",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG", help="The side-by-side picture; compared.png by default."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
) -> None:
    """Measure two pictures, or two folders of them, against the truth, and show them side by side.

    Of folders, the picture shows those where A and B differ most.
    """
    terminal = Terminal(as_json=as_json)
    target = output or Path("compared.png")
    if target.suffix.lower() != ".png":
        raise InvalidRequest(f"-o {shown(target)}: the picture is a PNG; let its name end in .png")
    refuse_existing(target, overwrite)
    trios = _trios(first, second, truth)

    from unveil.metrics import protocol
    from unveil.metrics.sheets import FULL_ERROR, draw

    chosen = protocol(protocol_name)
    limit = arguments.pixels(pixel_limit)
    scored = [(trio, _scores(trio, chosen, limit)) for trio in trios]
    telling = sorted(scored, key=lambda pair: -_difference(pair[1]))[:MOST_STRIPS]
    strips = [_strip(trio, scores, limit) for trio, scores in telling]
    sheet = draw(
        f"A: {first.name}   B: {second.name}",
        strips,
        foot=f"PSNR / SSIM, protocol {chosen.name}. Errors are white from {FULL_ERROR} of 255 on.",
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(target)
    except OSError as error:
        raise UnwritablePicture(target, error.strerror or str(error)) from error
    if as_json:
        terminal.json(_as_json(scored, chosen, target))
    terminal.line(_table(scored, chosen))
    terminal.note(f"written to {shown(target)}")


def _trios(first: Path, second: Path, truth: Path | None) -> list[Trio]:
    """The pictures of A with their counterparts, which have the same path without ending."""
    given = [first, second, *([truth] if truth else [])]
    for path in given:
        if not path.exists():
            raise InvalidRequest(f"there is no file or folder {shown(path)}")
    folders = [path.is_dir() for path in given]
    if not any(folders):
        return [Trio(first.name, first, second, truth)]
    if not all(folders):
        raise InvalidRequest("give files only or folders only, or it is not clear what belongs to what")
    listed = [_by_name(path) for path in given]
    shared = sorted(set(listed[0]).intersection(*listed[1:]))
    if not shared:
        raise InvalidRequest(f"no picture has the same name in {', '.join(map(shown, given))}")
    alone = sum(len(names) - len(shared) for names in listed)
    if alone:
        Terminal().note(f"{alone} pictures have no counterpart in every folder and are left out")
    return [Trio(name, listed[0][name], listed[1][name], listed[2][name] if truth else None) for name in shared]


def _by_name(folder: Path) -> dict[str, Path]:
    pictures = find_pictures([folder], formats.readable_endings()).pictures
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file, _ in pictures}


def _read(path: Path, limit: int) -> Any:
    from unveil import images

    return images.read(path, pixel_limit=limit).srgb()


def _scores(trio: Trio, by: Protocol, limit: int) -> tuple[Score, ...]:
    """Of A and of B against the truth, or of A against B."""
    one, other = _read(trio.first, limit), _read(trio.second, limit)
    truth = None if trio.truth is None else _read(trio.truth, limit)
    try:
        return (by.score(one, other),) if truth is None else (by.score(one, truth), by.score(other, truth))
    except InvalidRequest as error:
        raise InvalidRequest(f"{shown(trio.name)}: {error}") from error


def _difference(scores: Sequence[Score]) -> float:
    from unveil.metrics.fidelity import capped

    found = [capped(score.psnr) for score in scores]
    return abs(found[0] - found[1]) if len(found) == 2 else -found[0]


def _strip(trio: Trio, scores: Sequence[Score], limit: int) -> Strip:
    from unveil.metrics.sheets import Panel, Strip, cutout, error_map

    one, other = _read(trio.first, limit), _read(trio.second, limit)
    truth = None if trio.truth is None else _read(trio.truth, limit)
    part = cutout(one, other)
    if truth is None:
        panels = [Panel(part(one), "A"), Panel(part(other), "B"), Panel(part(error_map(one, other)), "difference")]
        return Strip(f"{shown(trio.name)}   {_said(scores[0])}", tuple(panels))
    panels = [Panel(part(one), f"A   {_said(scores[0])}"), Panel(part(error_map(one, truth)), "error of A")]
    panels += [Panel(part(other), f"B   {_said(scores[1])}"), Panel(part(error_map(other, truth)), "error of B")]
    return Strip(shown(trio.name), (*panels, Panel(part(truth), "truth")))


def _said(score: Score) -> str:
    return "equal" if score.psnr == float("inf") else f"{score.psnr:.2f} dB / {score.ssim:.4f}"


def _means(scored: Sequence[tuple[Trio, tuple[Score, ...]]]) -> list[tuple[float, float]]:
    """Mean PSNR, equal pictures counting as 100 dB, and mean SSIM of every column."""
    columns = list(zip(*(scores for _, scores in scored), strict=True))
    return [
        (
            sum(min(score.psnr, 100.0) for score in column) / len(column),
            sum(score.ssim for score in column) / len(column),
        )
        for column in columns
    ]


def _table(scored: Sequence[tuple[Trio, tuple[Score, ...]]], by: Protocol) -> Any:
    from rich.table import Table

    heads = ("A", "B") if len(scored[0][1]) == 2 else ("A against B",)
    table = Table(f"PSNR / SSIM, {by.name}", *heads, box=None, pad_edge=False, header_style="bold")
    for trio, scores in scored:
        table.add_row(shown(trio.name), *map(_said, scores))
    if len(scored) > 1:
        table.add_row(f"mean of {len(scored)}", *(f"{psnr:.2f} dB / {ssim:.4f}" for psnr, ssim in _means(scored)))
    return table


def _as_json(scored: Sequence[tuple[Trio, tuple[Score, ...]]], by: Protocol, target: Path) -> dict[str, Any]:
    names = ("a", "b") if len(scored[0][1]) == 2 else ("a_against_b",)

    def figures(scores: Sequence[Score]) -> dict[str, Any]:
        # JSON has no infinity: null is the PSNR of equal pictures.
        return {
            name: {"psnr": None if score.psnr == float("inf") else score.psnr, "ssim": score.ssim}
            for name, score in zip(names, scores, strict=True)
        }

    return {
        "protocol": by.name,
        "results": [{"name": trio.name, **figures(scores)} for trio, scores in scored],
        "mean": {name: {"psnr": psnr, "ssim": ssim} for name, (psnr, ssim) in zip(names, _means(scored), strict=True)},
        "picture": str(target),
    }
