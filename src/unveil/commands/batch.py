"""Pictures one after the other: a bad one is reported and the rest goes on, Ctrl-C or SIGTERM leave whole files."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, TypeVar

import typer

from unveil.commands.terminal import PLEASE_REPORT, Terminal, debugging, shown
from unveil.errors import PictureError, Terminated, UnveilError

Record = dict[str, Any]
"""What `--json` says of one picture; `input` and `error` are always there. `skipped`: it was done by an earlier run."""

Tick = Callable[[int, int], None]
"""Called with (tiles done, tiles in all); raises KeyboardInterrupt when the user asked to stop."""

Item = TypeVar("Item")

INTERRUPTED = 130
TERMINATED = 143


def run_batch(
    items: Sequence[Item],
    *,
    terminal: Terminal,
    begin: Callable[[Item], Record],
    work: Callable[[Item, Record, Tick], None],
    show: Callable[[Record], None],
    unreadable: Sequence[OSError] = (),
    achieved: str = "finished",
) -> int:
    """Work on each item and return the exit code: 0 all good, 1 something failed, 130 interrupted, 143 terminated.

    `begin` makes an item's record, `work` fills it, `show` prints it. `unreadable` are folders that could not be
    listed: they count as failures. `achieved` is the word of the last line for what did not fail.
    """
    records: list[Record] = [
        {"input": error.filename, "error": explain(error.filename, error, terminal)} for error in unreadable
    ]
    code: int | None = None
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
                if record["error"] is None and not record.get("skipped"):
                    show(record)
                bar.end()
    except KeyboardInterrupt as stop:
        code = stopped(stop)
    failures = sum(record["error"] is not None for record in records)
    skipped = sum(bool(record.get("skipped")) for record in records)
    if terminal.as_json:
        terminal.json({"results": records, "interrupted": code is not None})
    said = closing(len(records) - failures, len(items), achieved, failures, skipped)
    if code is not None:
        terminal.note(f"interrupted: {said}")
        return code
    if len(items) > 1 or skipped:
        terminal.note(said)
    return 1 if failures else 0


def closing(good: int, of: int, achieved: str, failed: int, skipped: int) -> str:
    """The last line of a batch: what became of its pictures."""
    said = f"{good} of {of} pictures {achieved}, {failed} failed"
    if skipped:
        said += f"; {skipped} of them {'was' if skipped == 1 else 'were'} done before"
    return said


def stopped(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


@contextmanager
def resumable(terminal: Terminal) -> Generator[None]:
    """Inside, long work that keeps what it has done: stopped, it ends the command and says how it goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        terminal.note(f"interrupted: {stop}" if str(stop) else "interrupted: the same command goes on")
        raise typer.Exit(stopped(stop)) from None


@contextmanager
def stopping() -> Generator[Callable[[], None]]:
    """Inside, the first Ctrl-C (or SIGTERM) only asks: what this gives then raises KeyboardInterrupt (or Terminated)
    when it is called. A second one raises at once.

    Raised anywhere, as Python does it, the exception gets lost where C code calls back into Python: in pyvips.
    """
    asked: KeyboardInterrupt | None = None

    def ask(number: int, *_: object) -> None:
        nonlocal asked
        if asked is not None:
            raise asked
        asked = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()

    def stop_if_asked() -> None:
        if asked is not None:
            raise asked

    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    # Only the main thread may set handlers, and whoever started us with a signal ignored meant it.
    mine = threading.current_thread() is threading.main_thread()
    heard = [number for number, handler in usual.items() if mine and signal.getsignal(number) is handler]
    for number in heard:
        signal.signal(number, ask)
    try:
        yield stop_if_asked
    finally:
        for number in heard:
            signal.signal(number, usual[number])


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
