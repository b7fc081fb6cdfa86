"""`unveil report`: one HTML file that shows what was wrong with pictures and what restoring them did."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands import arguments, formats, naming
from unveil.commands.arguments import EngineName
from unveil.commands.batch import Record, Tick, run_batch
from unveil.commands.restoring import refuse_existing
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, UnwritablePicture

if TYPE_CHECKING:
    from unveil.images import Picture
    from unveil.reporting.report import Entry, Regions
    from unveil.restoration import Restoration, Restorer

EXAMPLES = examples(
    "unveil report holiday/ -o holiday.html               before and after of every picture, in one file",
    "unveil report noisy/ -o test.html --truth clean/     with PSNR and SSIM",
)

# A detail takes as many characters as a small preview; it has its own part of the budget.
WHOLE_SHARE = 0.7
LEAST_BUDGET = 4000


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Pictures, or folders of pictures.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="HTML", help="The file to write.")] = Path(
        "report.html"
    ),
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth", metavar="DIR", help="Pictures of the same names as they should be: adds PSNR and SSIM."
        ),
    ] = None,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="Heading of the report.")] = "Restored pictures",
    model: arguments.ModelName = None,
    strength: arguments.Strength = 1.0,
    only: arguments.Only = None,
    weights: arguments.Weights = None,
    blend: arguments.Blend = None,
    protocol_name: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Protocol: rgb, rgb8, y; rgb8:4 leaves out a border of 4.")
    ] = "rgb",
    limit: Annotated[
        float, typer.Option("--size-limit", metavar="MB", min=0.1, help="Previews shrink until the file is this small.")
    ] = 20.0,
    engine: arguments.Engine = EngineName.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    threads: arguments.Threads = None,
    pixel_limit: arguments.PixelLimit = arguments.LARGEST_PICTURE,
) -> None:
    """Restore pictures in memory and write one HTML file about it: before and after, diagnosis, metrics.

    The file holds everything and loads nothing: it can be sent by mail. Only 'unveil restore' writes pictures.
    """
    terminal = Terminal(quiet=quiet)
    if only is not None and weights is not None:
        raise InvalidRequest("--only and --weights contradict each other; give one of them")
    blended = arguments.parse_blend(blend, weights)
    if output.suffix.lower() not in (".html", ".htm"):
        raise InvalidRequest(f"-o {shown(output)}: the report is HTML; let its name end in .html")
    refuse_existing(output, overwrite)
    chosen = None if only is None else arguments.parse_names(only, "--only")
    given = None if weights is None else arguments.parse_weights(weights, "--weights")
    found = naming.find_pictures(paths, formats.readable_endings(), without_label="restored")
    truths = _truths(truth, found.pictures) if truth else {}

    from unveil import __version__, images, models
    from unveil.metrics import protocol
    from unveil.reporting.report import Entry, page
    from unveil.restoration import Restorer

    by = protocol(protocol_name)
    restorer = Restorer(models.read(models.find(model or models.DEFAULT)), engine=engine.value, threads=threads)
    flag = "--only" if given is None else "--weights"
    arguments.require_known(chosen or given or (), restorer.card.degradations, flag, f"the model {restorer.name}")
    arguments.require_known(blended, restorer.card.degradations, "--blend", f"the model {restorer.name}")
    budget = max(int(limit * 1e6 / max(len(found.pictures), 1)), LEAST_BUDGET)
    entries: list[Entry] = []

    def work(picture: tuple[Path, Path | None], record: Record, tick: Tick) -> None:
        name = _name(picture)
        try:
            read = images.read(picture[0], pixel_limit=arguments.pixels(pixel_limit))
            done = restorer.run(read, strength=strength, weights=given, only=chosen, blend=blend, progress=tick)
            scores, remark = None, None
            if truth:
                scores, remark = _scores(read, done.image, truths.get(picture[0]), by)
            regions = _regions(read, restorer) if restorer.card.map else None
            entries.append(_entry(name, read, done, scores, remark, budget, regions))
        except Exception as error:
            entries.append(Entry(name, error=getattr(error, "cause", None) or str(error)))
            raise

    code = run_batch(
        found.pictures,
        terminal=terminal,
        begin=lambda picture: {"input": str(picture[0]), "error": None},
        work=work,
        show=lambda record: None,
        unreadable=found.unreadable,
    )
    if entries:
        sentence = by.sentence if any(entry.scores for entry in entries) else None
        text = page(title, entries, model=restorer.name, version=__version__, protocol=sentence)
        _write(text, output, overwrite=overwrite)
        terminal.note(f"written to {shown(output)}, {output.stat().st_size / 1e6:.1f} MB")
    raise typer.Exit(code)


def _name(picture: tuple[Path, Path | None]) -> str:
    file, root = picture
    return shown(file.relative_to(root).as_posix() if root else file.name)


def _regions(picture: Picture, restorer: Restorer) -> Regions:
    """Where the damage is, as a preview that hardly counts against the budget."""
    from unveil.reporting import maps, previews
    from unveil.reporting.report import Regions

    found = restorer.map(picture)
    painted = maps.overlay(previews.as_bytes(picture.srgb()), found.shares, found.classes, side=previews.DETAIL)
    told = maps.legend(found.coverage, found.printed)
    return Regions(previews.inline(painted), painted.shape[1], painted.shape[0], told)


def _entry(
    name: str,
    picture: Picture,
    done: Restoration,
    scores: Any,
    remark: str | None,
    budget: int,
    regions: Regions | None,
) -> Entry:
    from unveil.reporting import previews
    from unveil.reporting.report import Entry

    budget = max(budget - len(regions.picture), LEAST_BUDGET) if regions else budget
    before, after = previews.as_bytes(picture.srgb()), previews.as_bytes(done.image.srgb())
    whole = previews.pair(before, after, budget=round(budget * WHOLE_SHARE))
    detail = None
    if not whole.is_whole and not done.untouched:
        close = previews.detail(before, after)
        detail = close if close.size <= budget - whole.size else None
    diagnosis = done.diagnosis
    ranked = [(key, diagnosis.printed.get(key, key), value) for key, value in diagnosis.ranked] if diagnosis else []
    return Entry(
        name=name,
        size=(picture.width, picture.height),
        whole=whole,
        detail=detail,
        diagnosis=ranked,
        weights=done.weights,
        untouched=done.untouched,
        seconds=done.seconds,
        scores=scores,
        remark=remark,
        regions=regions,
    )


def _truths(folder: Path, pictures: list[tuple[Path, Path | None]]) -> dict[Path, Path]:
    """The truth of each picture that has one: the file of the same path below the folder, or else of the same name;
    endings may differ. One file is the truth of one picture.
    """
    if not folder.exists():
        raise InvalidRequest(f"--truth: there is no file or folder {shown(folder)}")
    if not folder.is_dir():
        if len(pictures) > 1:
            raise InvalidRequest("--truth is one file, and there are several pictures; name a folder")
        return {pictures[0][0]: folder} if pictures else {}
    by_path: dict[Path, Path] = {}
    by_name: dict[str, list[Path]] = {}
    for file, _ in naming.find_pictures([folder], formats.readable_endings()).pictures:
        by_path[file.relative_to(folder).with_suffix("")] = file
        by_name.setdefault(file.stem, []).append(file)
    truths: dict[Path, Path] = {}
    for file, root in pictures:
        same = by_name.get(file.stem, [])
        found = by_path.get(file.relative_to(root or file.parent).with_suffix(""))
        if found or len(same) == 1:
            truths[file] = found or same[0]
    if not truths:
        raise InvalidRequest(f"--truth {shown(folder)}: no picture there has the name of one that is to be restored")
    return truths


def _scores(before: Picture, after: Picture, truth: Path | None, by: Any) -> tuple[Any, str | None]:
    """PSNR and SSIM before and after, or None and why there are none."""
    from unveil import images
    from unveil.errors import PictureError

    if truth is None:
        return None, "No truth of this name was found."
    try:
        wanted = images.read(truth).srgb()
        first, second = (by.score(picture.srgb(), wanted) for picture in (before, after))
    except (InvalidRequest, PictureError) as error:
        return None, f"Not measured: {error}"
    return ((first.psnr, first.ssim), (second.psnr, second.ssim)), None


def _write(text: str, target: Path, *, overwrite: bool) -> None:
    refuse_existing(target, overwrite)
    part = target.with_name(f".unveil-{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise UnwritablePicture(target, f"cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)
