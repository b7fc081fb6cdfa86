"""Pictures one after the other: a bad one is reported and the rest goes on, Ctrl-C stops between whole files."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypeVar

from unveil.commands.terminal import PLEASE_REPORT, Bar, Terminal, debugging, shown
from unveil.errors import PictureError, UnveilError

Record = dict[str, Any]
"""What `--json` says of one picture; `input` and `error` are always there."""

Item = TypeVar("Item")

INTERRUPTED = 130


def run_batch(
    items: Sequence[Item],
    *,
    terminal: Terminal,
    begin: Callable[[Item], Record],
    work: Callable[[Item, Record, Bar], None],
    show: Callable[[Record], None],
    unreadable: Sequence[OSError] = (),
) -> int:
    """Work on each item and return the exit code: 0 all good, 1 something failed, 130 interrupted.

    `begin` makes an item's record, `work` fills it, `show` prints it. `unreadable` are folders that could not be
    listed: they count as failures.
    """
    records: list[Record] = [
        {"input": error.filename, "error": _explain(error.filename, error, terminal)} for error in unreadable
    ]
    interrupted = False
    try:
        with terminal.progress(len(items)) as bar:
            for item in items:
                record = begin(item)
                bar.begin(shown(record["input"]))
                try:
                    work(item, record, bar)
                except BrokenPipeError:
                    raise
                except Exception as error:
                    record["error"] = _explain(record["input"], error, terminal)
                records.append(record)
                if record["error"] is None:
                    show(record)
                bar.end()
    except KeyboardInterrupt:
        interrupted = True
    failures = sum(record["error"] is not None for record in records)
    if terminal.as_json:
        terminal.json({"results": records, "interrupted": interrupted})
    if interrupted:
        terminal.note(f"interrupted: {len(records) - failures} of {len(items)} pictures finished, {failures} failed")
        return INTERRUPTED
    if len(items) > 1:
        terminal.note(f"{len(records) - failures} of {len(items)} pictures finished, {failures} failed")
    return 1 if failures else 0


def _explain(path: str | PathLike[str], error: Exception, terminal: Terminal) -> str:
    """Report one failure on stderr and return it as text."""
    if isinstance(error, PictureError):
        text = error.cause if error.path is None else f"{shown(error.path)}: {error.cause}"
    elif isinstance(error, UnveilError):
        text = f"{shown(path)}: {error}"
    elif isinstance(error, OSError):
        text = f"{shown(error.filename or path)}: {error.strerror or error}"
    else:
        text = f"{shown(path)}: unexpected {type(error).__name__}: {error} {PLEASE_REPORT}"
        if debugging():
            traceback.print_exception(error)
    terminal.error(text)
    return text
