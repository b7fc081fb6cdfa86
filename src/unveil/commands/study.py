"""`unveil study`: train the variants of a recipe from several seeds and compare them."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Annotated, Any

import typer

from unveil.commands.batch import resumable
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown

GRACE = 30.0
"""Seconds that a worker has to end after its parent."""

EXAMPLES = examples(
    "unveil study studies/abair-pretraining.yaml --data photographs/ --root data/",
    "unveil study studies/abair-pretraining.yaml --data photographs/ --root data/ --jobs 2 -o runs/study",
    "unveil study studies/abair-pretraining.yaml --table -o runs/study       what is there so far",
)


def command(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="A study: a YAML file, such as those in studies/.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FOLDER", help="Folder of clean photographs to train on; repeatable."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", help="Folder below which the test pictures lie; $UNVEIL_DATA or data/."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Where runs and tables go; runs/studies/NAME by default."),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, help="Runs at a time, each with one processor core.")
    ] = 1,
    table: Annotated[bool, typer.Option("--table", help="Train nothing; print the table of what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and the table.")] = False,
) -> None:
    """Train the variants of a recipe from several seeds and print one table: means, and their spread over the seeds.

    Needs the extra 'train'. The same command goes on where it stopped.
    """
    terminal = Terminal(quiet=quiet, as_json=as_json)
    with needs_extra("'unveil study'", "train"):
        from unveil.evaluation import study as studies
        from unveil.evaluation import study_tables
    from unveil import datasets

    plan = studies.Study.read(file)
    out = output if output is not None else Path("runs/studies") / plan.name
    if not table:
        out.mkdir(parents=True, exist_ok=True)
        with resumable(terminal):
            _run(terminal, file, plan.tasks(), data or [], root or datasets.default_root(), out, jobs)
    figures = studies.collected(plan, out)
    if as_json:
        terminal.json({"study": plan.name, "question": plan.question, "figures": figures})
        return
    text = study_tables.markdown(plan, figures)
    if figures and not table:
        (out / "table.md").write_text(text, encoding="utf-8")
        (out / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
        terminal.line(f"{shown(file)} -> {shown(out / 'table.md')}")
    typer.echo(text, nl=False)


def _run(
    terminal: Terminal,
    file: Path,
    tasks: list[tuple[str, int]],
    data: list[Path],
    root: Path,
    out: Path,
    jobs: int,
) -> None:
    if jobs == 1:
        for number, (variant, seed) in enumerate(tasks, 1):
            terminal.line(f"[{number}/{len(tasks)}] {variant}, seed {seed}")
            work(file, variant, seed, data, root, out, None)
        return
    # Those that others take phases from come first in each seed; one seed is one job, so that they are there in time.
    seeds = sorted({seed for _, seed in tasks})
    context = get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=context, initializer=leave_with_parent) as pool:
        chores = {
            pool.submit(work_all, file, [task for task in tasks if task[1] == seed], data, root, out): seed
            for seed in seeds
        }
        for chore in as_completed(chores):
            chore.result()
            terminal.line(f"seed {chores[chore]}: done")


def leave_with_parent() -> None:
    """Have this process interrupt itself, as Ctrl-C would, when the one that started it is gone, however it went.

    A worker of a parent that was killed would otherwise go on for hours, unseen.
    """
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
        # Time for a checkpoint; a worker without work waits for ever.
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def work_all(file: Path, tasks: list[tuple[str, int]], data: list[Path], root: Path, out: Path) -> None:
    """All variants of one seed, in a process of its own."""
    for variant, seed in tasks:
        work(file, variant, seed, data, root, out, 1)


def work(
    file: Path, variant: str, seed: int, data: list[Path], root: Path, out: Path, threads: int | None
) -> dict[str, Any]:
    """One run of a study."""
    from unveil.evaluation.study import Study, run_task

    try:
        return run_task(Study.read(file), variant, seed, data=data, root=root, out=out, threads=threads)
    finally:
        # A trainer and its parts refer to each other, so the photographs that they keep decoded would stay: gigabytes
        # after a few runs.
        gc.collect()
