"""`unveil restore --watch`: pictures are restored as they arrive in a folder, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unveil.commands import formats, naming
from unveil.commands.batch import Record, Tick, run_batch, stopping
from unveil.commands.naming import Found, Job
from unveil.commands.restoring import Restoring
from unveil.commands.terminal import Terminal, shown
from unveil.errors import InvalidRequest

INTERVAL = 1.0
"""Seconds between two looks. A file that has not changed from one look to the next is taken for complete."""

Look = tuple[int, int]


@dataclass(slots=True)
class Watch:
    """Size and time of change of every file at the last look, and of those that are handled."""

    paths: Sequence[Path]
    output: str | None
    extension: str | None
    seen: dict[Path, Look] = field(default_factory=dict[Path, Look])
    handled: dict[Path, Look] = field(default_factory=dict[Path, Look])
    writers: dict[Path, Path] = field(default_factory=dict[Path, Path])

    @property
    def places(self) -> list[Path]:
        """The folders that keep the histories: the output folder, or those that are watched."""
        folder = naming.output_folder(self.paths, self.output)
        return [folder] if folder else list(self.paths)

    def arrived(self) -> list[tuple[Path, Path | None]]:
        """The pictures that are complete and were not handled yet in this state, in order of name."""
        folder = naming.output_folder(self.paths, self.output)
        label = "restored" if self.output is None else None
        try:
            found = naming.find_pictures(self.paths, formats.readable_endings(), without=folder, without_label=label)
        except InvalidRequest:
            return []
        ready: list[tuple[Path, Path | None]] = []
        seen: dict[Path, Look] = {}
        for path, root in found.pictures:
            try:
                status = path.stat()
            except OSError:
                continue
            seen[path] = (status.st_mtime_ns, status.st_size)
            if self.seen.get(path) == seen[path] and self.handled.get(path) != seen[path]:
                ready.append((path, root))
        self.seen = seen
        return ready

    def job(self, picture: tuple[Path, Path | None]) -> Job:
        """Where a picture goes. Raises InvalidRequest if another one went there, or the place is an input's."""
        self.handled[picture[0]] = self.seen[picture[0]]
        (job,) = naming.plan(
            self.paths,
            Found([picture]),
            self.output,
            label="restored",
            writable=formats.writable_endings(),
            suffix=formats.suffix_of(self.extension),
        )
        for target in job.candidates:
            other = self.writers.setdefault(target, job.source)
            if other != job.source:
                raise InvalidRequest(f"would be written to {shown(target)}, as {shown(other)} was")
        return job


def check(paths: Sequence[Path], output: str | None) -> None:
    """Raises InvalidRequest unless there are folders to watch and a folder to write to."""
    for path in paths:
        if not path.is_dir():
            raise InvalidRequest(f"--watch looks at folders, and {shown(path)} is none; name a folder that exists")
    naming.output_folder(paths, output)


def run(
    watch: Watch,
    restoring: Restoring,
    *,
    terminal: Terminal,
    begin: Callable[[Path], Record],
    show: Callable[[Record], None],
) -> int:
    """Restore what arrives until Ctrl-C; the exit code is 0, or 1 if a picture failed."""
    failed = False
    terminal.note(f"watching {', '.join(map(shown, watch.paths))}; Ctrl-C ends it")

    def work(picture: tuple[Path, Path | None], record: Record, tick: Tick) -> None:
        def hear(done: int, total: int) -> None:
            stop_if_asked()
            tick(done, total)

        restoring(watch.job(picture), record, hear)

    # The handler of `stopping` stays in place between the batches, so no Ctrl-C falls into a gap.
    with stopping() as stop_if_asked:
        try:
            while True:
                for picture in watch.arrived():
                    code = run_batch(
                        [picture], terminal=terminal, begin=lambda each: begin(each[0]), work=work, show=show
                    )
                    if code > 1:
                        raise KeyboardInterrupt
                    failed |= code == 1
                    stop_if_asked()
                _rest(stop_if_asked)
        except KeyboardInterrupt:
            return 1 if failed else 0


def _rest(stop_if_asked: Callable[[], None]) -> None:
    until = time.monotonic() + INTERVAL
    while (left := until - time.monotonic()) > 0:
        stop_if_asked()
        time.sleep(min(left, 0.1))
