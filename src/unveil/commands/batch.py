"""Pictures one after the other: a bad one is reported and the rest goes on, Ctrl-C leaves whole files only."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, TypeVar

from unveil.commands.terminal import PLEASE_REPORT, Terminal, debugging, shown
from unveil.errors import PictureError, UnveilError

Record = dict[str, Any]
"""What `--json` says of one picture; `input` and `error` are always there."""

Tick = Callable[[int, int], None]
"""Called with (tiles done, tiles in all); raises KeyboardInterrupt when the user asked to stop."""

Item = TypeVar("Item")

INTERRUPTED = 130


def run_batch(
    items: Sequence[Item],
    *,
    terminal: Terminal,
    begin: Callable[[Item], Record],
    work: Callable[[Item, Record, Tick], None],
    show: Callable[[Record], None],
    unreadable: Sequence[OSError] = (),
) -> int:
    """Work on each item and return the exit code: 0 all good, 1 something failed, 130 interrupted.

    `begin` makes an item's record, `work` fills it, `show` prints it. `unreadable` are folders that could not be
    listed: they count as failures.
    """
    records: list[Record] = [
        {"input": error.filename, "error": explain(error.filename, error, terminal)} for error in unreadable
    ]
    interrupted = False
    try:
        with terminal.progress(len(items)) as bar, stopping() as stop_if_asked:

            def tick(done: int, total: int) -> None:
                stop_if_asked()
                bar.tiles(done, total)

            for item in items:
                stop_if_asked()
                record = begin(item)
                bar.begin(shown(record["input"]))
                try:
                    work(item, record, tick)
                except BrokenPipeError:
                    raise
                except Exception as error:
                    record["error"] = explain(record["input"], error, terminal)
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


@contextmanager
def stopping() -> Generator[Callable[[], None]]:
    """Inside, the first Ctrl-C only asks: what this gives then raises KeyboardInterrupt when it is
    called. A second Ctrl-C raises at once.

    Raised anywhere, as Python does it, the exception gets lost where C code calls back into Python: in pyvips.
    """
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    # Only the main thread may set handlers, and whoever started us with Ctrl-C ignored meant it.
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield stop_if_asked
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)


def explain(path: str | PathLike[str], error: Exception, terminal: Terminal) -> str:
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
