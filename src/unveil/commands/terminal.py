"""What a user sees: results on stdout, errors and progress on stderr."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cached_property
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

PLEASE_REPORT = "(this is a fault of unveil; please report it, with the traceback that UNVEIL_DEBUG=1 shows)"


def shown(path: str | PathLike[str]) -> str:
    """A path as text that is safe to print: undecodable bytes and control characters are written as escapes."""
    text = fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _harmless(text: str) -> str:
    """Text as `shown`, but with its line ends: names and cards within it may hold what a terminal would obey."""
    return "\n".join(map(shown, text.split("\n")))


def examples(*lines: str) -> str:
    """The end of a command's help: one command line a line."""
    return "\n".join([" Examples:", *(f"   {line}" for line in lines)])


def debugging() -> bool:
    """Whether the user asked for tracebacks (`UNVEIL_DEBUG=1`)."""
    return os.environ.get("UNVEIL_DEBUG", "") not in ("", "0")


class Terminal:
    """Prints for one command. Quiet says errors only; with `as_json` stdout belongs to one JSON object."""

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self._live: Progress | None = None

    @cached_property
    def _results(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, soft_wrap=True)

    @cached_property
    def _messages(self) -> Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def speaks_unicode(self) -> bool:
        """Whether stdout can show block characters."""
        return self._results.encoding.lower().startswith("utf")

    def line(self, content: RenderableType) -> None:
        """Print one result, unless quiet or JSON was asked for."""
        if self.quiet or self.as_json:
            return
        # A line on the same screen as a live progress bar must go through the bar, or they overwrite each other.
        console = self._live.console if self._live and self._results.is_terminal else self._results
        console.print(content, markup=False)

    def note(self, text: str) -> None:
        """Say something that is no result, on stderr, unless quiet."""
        if not self.quiet:
            self._messages.print(text, markup=False)

    def error(self, text: str) -> None:
        """Print one red line on stderr."""
        self._messages.print(f"error: {_harmless(text)}", style="red", markup=False)

    def unexpected(self, error: Exception) -> None:
        """Report an error that nobody foresaw: short, or with its traceback under UNVEIL_DEBUG=1."""
        if debugging():
            traceback.print_exception(error)
        self.error(f"unexpected {type(error).__name__}: {error} {PLEASE_REPORT}")

    def json(self, value: Mapping[str, Any]) -> None:
        """Print one JSON object on stdout."""
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
        sys.stdout.flush()

    @contextmanager
    def short_warnings(self) -> Generator[None]:
        """Show Python warnings as one yellow line each, without file names and code."""

        def show(message: Warning | str, *_: Any, **__: Any) -> None:
            self._messages.print(f"warning: {_harmless(str(message))}", style="yellow", markup=False)

        with warnings.catch_warnings():
            warnings.showwarning = show
            yield

    @contextmanager
    def progress(self, pictures: int) -> Generator[Bar]:
        """A bar on stderr where that is a terminal: over tiles for one picture, over pictures for several."""
        if self.quiet or pictures == 0 or not sys.stderr.isatty():
            yield Bar(None, None, by_tiles=False)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        class Rate(ProgressColumn):
            """How fast it goes: pictures or tiles a second, or seconds for one where it goes slowly."""

            def render(self, task: Any) -> Any:
                from rich.text import Text

                speed = task.finished_speed or task.speed
                if not speed:
                    return Text("")
                return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")

        by_tiles = pictures == 1
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            Rate(),
        )
        with Progress(*columns, console=self._messages, transient=True) as live:
            self._live = live
            try:
                yield Bar(live, live.add_task("", total=None if by_tiles else pictures), by_tiles=by_tiles)
            finally:
                self._live = None


class Bar:
    """The progress bar of one run, or a stand-in that shows nothing."""

    def __init__(self, live: Progress | None, task: TaskID | None, *, by_tiles: bool) -> None:
        self._live = live
        self._task = task
        self._by_tiles = by_tiles
        self._pictures = 0

    def begin(self, name: str) -> None:
        """Say which picture is being worked on."""
        self._update(description=name, refresh=True)

    def end(self) -> None:
        """One picture is finished, well or not."""
        self._pictures += 1
        if not self._by_tiles:
            self._update(completed=self._pictures)

    def tiles(self, done: int, total: int) -> None:
        """So many tiles of the picture are done."""
        if self._by_tiles:
            self._update(completed=done, total=total)
        else:
            # Parts of a picture count too, or the time that is left would be a guess until a large one is finished.
            self._update(completed=self._pictures + done / total)

    def _update(self, **changes: Any) -> None:
        if self._live is not None and self._task is not None:
            self._live.update(self._task, **changes)
