"""`unveil restore` with `--cluster`, and with URLs: what a run tells of its pictures is shown as it comes."""

from __future__ import annotations

import queue
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unveil.commands.batch import Record, closing, stopped, stopping
from unveil.commands.extras import needs_extra
from unveil.commands.restoring import Wishes
from unveil.commands.terminal import PLEASE_REPORT, Terminal, shown
from unveil.errors import InvalidRequest
from unveil.stores import is_url, spelled

if TYPE_CHECKING:
    from unveil.cluster import Run, Summary

LOOK = 0.1
"""Seconds between two looks at whether the user asked to stop."""

PATIENCE = 20.0
"""Seconds that workers get to end when the user asked to stop."""

WAITING = 1000
"""Records that may wait to be shown; then the workers' side waits."""


def is_meant(paths: Sequence[Path], output: str | None, cluster: str | None) -> bool:
    """Whether a command line names a cluster or an object store."""
    return cluster is not None or any(map(is_url, paths)) or (output is not None and is_url(output))


def prepare(
    paths: Sequence[Path],
    output: str | None,
    wishes: Wishes,
    *,
    model: str | None,
    cluster: str | None,
    actors: int | None,
    engine: str,
    threads: int | None,
    extension: str | None,
) -> Run:
    """The run that a command line asks for. Raises InvalidRequest without -o."""
    if output is None:
        where = "--cluster" if cluster else "a URL"
        raise InvalidRequest(f"{where} needs a folder or a URL for the results; give one with -o")
    with needs_extra("restoring at scale", "cluster"):
        from unveil import cluster as scale

        return scale.prepare(
            [spelled(path) for path in paths],
            output,
            wishes=wishes,
            model=model,
            cluster=cluster,
            actors=actors,
            engine=engine,
            threads=threads,
            format=extension,
        )


def rehearse(run: Run, terminal: Terminal) -> int:
    """Say what a run would do and return 0, or 1 if a folder cannot be listed."""
    records: list[Record] = []

    def tell(record: Record) -> None:
        records.append(record)
        if not record["skipped"]:
            terminal.line(f"{shown(record['input'])} -> {shown(record['output'])}")

    run.rehearse(tell)
    return _end(run, records, len(records), 0, sum(record["skipped"] for record in records), None, terminal, "planned")


def restore(run: Run, show: Callable[[Record], None], terminal: Terminal) -> int:
    """Run and return the exit code: 0 all good, 1 something failed, 130 interrupted, 143 terminated."""
    told: queue.Queue[Record | Summary | BaseException] = queue.Queue(WAITING)
    stop = threading.Event()

    def tell(record: Record) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        told.put(record)

    def work() -> None:
        try:
            told.put(run(tell))
        except BaseException as error:
            told.put(error)

    # Ray waits in calls that no signal ends; here signals are heard at once.
    worker = threading.Thread(target=work, daemon=True)
    records: list[Record] = []
    done, failed, skipped = 0, 0, 0
    code: int | None = None
    try:
        with terminal.progress(run.pictures) as bar, stopping() as stop_if_asked:
            worker.start()
            while True:
                stop_if_asked()
                try:
                    record = told.get(timeout=LOOK)
                except queue.Empty:
                    continue
                if isinstance(record, BaseException):
                    raise record
                if not isinstance(record, dict):
                    break
                bar.begin(shown(record["input"]))
                done += 1
                skipped += bool(record["skipped"])
                failed += record["error"] is not None
                _tell(record, show, terminal)
                if terminal.as_json:
                    records.append(record)
                bar.end()
    except KeyboardInterrupt as asked:
        code = stopped(asked)
        stop.set()
        run.stop()
        _drain(told, worker)
    return _end(run, records, done, failed, skipped, code, terminal, "finished")


def _tell(record: Record, show: Callable[[Record], None], terminal: Terminal) -> None:
    from unveil.images import PictureWarning

    for warning in record.pop("warnings", ()):
        warnings.warn(f"{shown(record['input'])}: {warning}", PictureWarning, stacklevel=1)
    unexpected = record.pop("unexpected", False)
    if record["error"] is not None:
        record["error"] = f"{shown(record['input'])}: {record['error']}" + (f" {PLEASE_REPORT}" if unexpected else "")
        terminal.error(record["error"])
    elif not record["skipped"]:
        show(record)


def _drain(told: queue.Queue[Record | Summary | BaseException], worker: threading.Thread) -> None:
    """Let the worker's thread end: it may wait for room to tell something. What it has in hand is not waited for."""
    until = time.monotonic() + PATIENCE
    while worker.is_alive() and time.monotonic() < until:
        try:
            if not isinstance(told.get(timeout=LOOK), dict):
                return
        except queue.Empty:
            continue


def _end(
    run: Run,
    records: list[Record],
    done: int,
    failed: int,
    skipped: int,
    code: int | None,
    terminal: Terminal,
    achieved: str,
) -> int:
    for error in run.unlistable:
        text = f"{shown(error.filename)}: {error.strerror or error}"
        terminal.error(text)
        records.append({"input": error.filename, "error": text})
    failed += len(run.unlistable)
    if terminal.as_json:
        terminal.json({"results": records, "interrupted": code is not None})
    said = closing(done - failed + len(run.unlistable), run.pictures, achieved, failed, skipped)
    if code is not None:
        terminal.note(f"interrupted: {said}; the same command goes on from there")
        return code
    terminal.note(said)
    return 1 if failed else 0
