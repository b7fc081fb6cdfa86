"""`unveil evaluate`: measure models on a named suite, with tables that say how they were made."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands import arguments
from unveil.commands.arguments import EngineName, PrecisionName
from unveil.commands.batch import INTERRUPTED, explain, stopping
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import DataSetMissing, InvalidRequest, OutputExists

if TYPE_CHECKING:
    from unveil.evaluation import Measuring, Report, Suite
    from unveil.evaluation.sets import FoundSet
    from unveil.evaluation.subjects import Subject

EXAMPLES = examples(
    "unveil evaluate --suite local --clean photographs/ --limit 5    on any folder of clean pictures",
    "unveil evaluate --suite 5d --root data/ --model mine.safetensors --model abair-fast",
    "unveil evaluate --suite local --root data/ --baselines --oracle -o results/local",
)


class Plot(StrEnum):
    """Pictures of whole tables."""

    radar = "radar"


def command(
    suite_name: Annotated[
        str, typer.Option("--suite", metavar="NAME", help="What to measure on; 'list' shows all suites.")
    ],
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME", help="Model by name or file, or an .onnx network; may be given several times."
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", metavar="DIR", help="Folder of the sets, as 'unveil prepare' makes it; $UNVEIL_DATA or data/."
        ),
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option("--clean", metavar="DIR", help="For the suite 'local': any folder of clean pictures."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many pictures of each set.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="RESULTS", help="Folder of results; results/SUITE by default."),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="SET,SET", help="Of the suite, measure only these sets.")
    ] = None,
    blends: Annotated[
        list[str] | None,
        typer.Option(
            "--blend",
            metavar="RULE",
            help="Also measure with this rule: sw, oh, auto, topk:2, threshold:0.02, sum, average, or none, which is "
            "the base network alone. Repeatable.",
        ),
    ] = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="Also measure with the adapter that the set calls for.")] = (
        False
    ),
    baselines: Annotated[bool, typer.Option("--baselines", help="Also measure classical restorers.")] = False,
    multiple: Annotated[
        int, typer.Option("--multiple", metavar="N", min=1, help="Pad sides to multiples of N for .onnx networks.")
    ] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Of all degradations that are made here.")] = 0,
    engine: arguments.Engine = EngineName.auto,
    precision: arguments.Precision = PrecisionName.fp32,
    threads: arguments.Threads = None,
    sheets: Annotated[bool, typer.Option(help="Draw best, median and worst picture of each set.")] = True,
    plots: Annotated[
        list[Plot] | None, typer.Option("--plot", help="Also draw: radar, all columns on one wheel of sets.")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option("--card", metavar="FILE", help="Write a copy of the model with these figures in its card."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Measure models on a named suite of sets.

    Needs the extra 'train'. Every figure is kept as soon as it is known: the same command goes on where it stopped, and
    measures again whatever has changed since.
    """
    terminal = Terminal(quiet=quiet, as_json=as_json)
    with needs_extra("'unveil evaluate'", "train"):
        from unveil.evaluation import SUITES, Ledger, Measuring, Report, local_from
        from unveil.evaluation.subjects import ORACLE, OWN, Unrestored, open_model
        from unveil.evaluation.tables import rows

    if suite_name == "list":
        _list(terminal, SUITES.values())
        return
    from unveil import datasets

    arguments.require_known([suite_name], SUITES, "--suite", "the table of suites")
    if clean is not None and suite_name != "local":
        raise InvalidRequest(f"--clean makes the suite 'local'; '{suite_name}' has its own sets, below --root")
    if card is not None and card.exists():
        raise OutputExists(card, "exists already; name another file with --card")
    suite = SUITES[suite_name] if clean is None else local_from(clean)
    rules = tuple(dict.fromkeys((OWN, *(blends or ()), *((ORACLE,) if oracle else ()))))
    root = root or datasets.default_root()
    found, skipped = _find(suite, root, only, limit)
    for name, reason in skipped.items():
        terminal.note(f"skipped {name}: {reason}")
    if not found:
        raise InvalidRequest(
            f"no set of the suite '{suite.name}' is there; give the folder that they lie in with --root"
        )
    subjects: list[Subject] = [Unrestored()]
    for name in names or [None]:
        subjects += open_model(
            name, rules=rules, engine=engine.value, precision=precision.value, threads=threads, multiple=multiple
        )
    if card is not None and len(names or [None]) > 1:
        raise InvalidRequest("--card writes the figures of one model; give one --model")
    if baselines:
        with needs_extra("--baselines", "train"):
            from unveil.evaluation.baselines import baselines as classical

            subjects += classical()
    _refuse_equal_names(subjects)
    folder = output or Path("results", suite.name)
    measuring = Measuring(found, subjects, Ledger(folder), seed=seed)
    code = _measure(measuring, terminal)
    if code == INTERRUPTED:
        terminal.note("interrupted; what was measured is kept, and the same command goes on")
        raise typer.Exit(code)
    said = _command_line(suite, root, clean, names, limit, only, rules, baselines, multiple, seed, engine, precision)
    report = Report(suite, said, measuring, rows(measuring), skipped)
    report.write(folder)
    if plots:
        _plot(report, folder, terminal)
    if sheets and _draw(measuring, folder / "sheets", terminal) == INTERRUPTED:
        raise typer.Exit(INTERRUPTED)
    if card is not None:
        _write_card(report, names, card, terminal)
    if as_json:
        terminal.json(report.as_json())
    terminal.line(report.as_markdown())
    terminal.note(f"written to {shown(folder)}")
    raise typer.Exit(code)


def _list(terminal: Terminal, suites: Any) -> None:
    from rich.table import Table

    if terminal.as_json:
        terminal.json({suite.name: [entry.name for entry in suite.sets] for suite in suites})
    table = Table("suite", "sets", "what", box=None, pad_edge=False, header_style="bold")
    for suite in suites:
        table.add_row(suite.name, str(len(suite.sets)), suite.summary)
    terminal.line(table)


def _find(suite: Suite, root: Path, only: str | None, limit: int | None) -> tuple[list[FoundSet], dict[str, str]]:
    """The sets that are there, and for the others what was expected where."""
    wanted = [entry.name for entry in suite.sets] if only is None else arguments.parse_names(only, "--only")
    arguments.require_known(wanted, [entry.name for entry in suite.sets], "--only", f"the suite {suite.name}")
    found: list[FoundSet] = []
    skipped: dict[str, str] = {}
    for entry in suite.sets:
        if entry.name not in wanted:
            continue
        try:
            found.append(entry.find(root).first(limit))
        except DataSetMissing as missing:
            skipped[f"{entry.printed}, {entry.label}"] = str(missing)
    return found, skipped


def _refuse_equal_names(subjects: Sequence[Subject]) -> None:
    names = [subject.name for subject in subjects]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidRequest(f"two columns would be called '{twice[0]}'; measure these models one at a time")


def _measure(measuring: Measuring, terminal: Terminal) -> int:
    """Do what is on the agenda; the exit code is 0, 1 where a picture failed, or 130."""
    agenda = measuring.agenda()
    for (name, reason), count in agenda.outdated.items():
        plural = "figure is" if count == 1 else "figures are"
        terminal.note(f"{name}: {count} earlier {plural} measured again: {reason}")
    if agenda.kept:
        terminal.note(f"{agenda.kept} figures of earlier runs still hold")
    failed = False
    try:
        with terminal.progress(len(agenda.tasks)) as bar, stopping() as stop_if_asked:

            def tick(done: int, total: int) -> None:
                stop_if_asked()
                bar.tiles(done, total)

            for task in agenda.tasks:
                bar.begin(shown(f"{task.of.of.name}/{task.item.name}"))
                try:
                    measuring.work(task, tick)
                except Exception as error:
                    explain(task.item.truth, error, terminal)
                    failed = True
                bar.end()
    except KeyboardInterrupt:
        return INTERRUPTED
    return int(failed)


def _draw(measuring: Measuring, folder: Path, terminal: Terminal) -> int:
    """Draw the sheets that are missing or show other figures; the exit code is 0, or 130."""
    from unveil.evaluation.sheets import sheets

    missing = [sheet for sheet in sheets(measuring) if not sheet.is_drawn(folder)]
    try:
        with terminal.progress(len(missing)) as bar, stopping() as stop_if_asked:

            def tick(done: int, total: int) -> None:
                stop_if_asked()
                bar.tiles(done, total)

            for sheet in missing:
                bar.begin(f"drawing {sheet.name}")
                sheet.draw(folder, measuring.seed, tick)
                bar.end()
    except KeyboardInterrupt:
        terminal.note("interrupted; the table is written, and the same command draws the missing sheets")
        return INTERRUPTED
    return 0


def _plot(report: Report, folder: Path, terminal: Terminal) -> None:
    from unveil.evaluation.radar import radar

    try:
        radar(report.rows, report.subjects, title=f"Suite {report.suite.name}").save(
            folder / "radar.png", optimize=True
        )
    except InvalidRequest as error:
        terminal.note(f"no radar: {error}")


def _write_card(report: Report, names: list[str] | None, card: Path, terminal: Terminal) -> None:
    """A copy of the model whose card holds the figures of its own way of restoring."""
    from dataclasses import replace

    from unveil import models
    from unveil.evaluation.tables import as_card_metrics

    model = models.read(models.find((names or [models.DEFAULT])[0]))
    metrics = as_card_metrics(report.rows, model.card.name)
    models.write(replace(model, card=replace(model.card, metrics=metrics)), card)
    terminal.note(f"{len(metrics)} figures in the card of {shown(card)}")


def _command_line(
    suite: Suite,
    root: Path,
    clean: Path | None,
    names: list[str] | None,
    limit: int | None,
    only: str | None,
    rules: tuple[str, ...],
    baselines: bool,
    multiple: int,
    seed: int,
    engine: EngineName,
    precision: PrecisionName,
) -> str:
    """The command that makes these figures again, without what changes no figure."""
    words = ["unveil", "evaluate", "--suite", suite.name]
    words += ["--root", str(root)] if clean is None else ["--clean", str(clean)]
    for name in names or ():
        words += ["--model", name]
    if only:
        words += ["--only", only]
    if limit is not None:
        words += ["--limit", str(limit)]
    for rule in rules[1:]:
        words += ["--oracle"] if rule == "oracle" else ["--blend", rule]
    words += ["--baselines"] if baselines else []
    words += ["--multiple", str(multiple)] if multiple != 8 else []
    words += ["--seed", str(seed)] if seed else []
    words += ["--engine", engine.value] if engine != EngineName.auto else []
    words += ["--precision", precision.value] if precision != PrecisionName.fp32 else []
    return shlex.join(words)
