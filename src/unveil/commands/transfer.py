"""What a user sees of downloads and other long work on files: a bar on stderr where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unveil.commands.terminal import Terminal, shown

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from unveil.datasets.watching import Watch


@contextmanager
def watched(terminal: Terminal) -> Generator[Watch]:
    """A `Watch` whose messages go to stderr and whose progress is a bar with the time that is left."""
    from unveil.datasets.watching import Watch

    if terminal.quiet or not sys.stderr.isatty():
        yield Watch(say=lambda text: terminal.note(shown(text)))
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as live:
        bar = _Bar(live)

        def receive(name: str, done: int, total: int | None) -> None:
            bar.show(name, done, total, decimal(done) + ("" if total is None else f" of {decimal(total)}"))

        def tick(name: str, done: int, total: int | None) -> None:
            bar.show(name, done, total, f"{done:,}" + ("" if total is None else f" of {total:,}"))

        yield Watch(say=lambda text: console.print(shown(text), markup=False), tick=tick, receive=receive)


class _Bar:
    """One line that is begun anew where the work changes."""

    def __init__(self, live: Progress) -> None:
        self._live = live
        self._task: TaskID | None = None
        self._name = ""

    def show(self, name: str, done: int, total: int | None, amount: str) -> None:
        if self._task is None or name != self._name:
            if self._task is not None:
                self._live.remove_task(self._task)
            # What a resumed download had at its start must not count as its speed, so it goes in as completed.
            self._task = self._live.add_task(shown(name), total=total, completed=done, amount=amount)
            self._name = name
            return
        self._live.update(self._task, completed=done, total=total, amount=amount)
