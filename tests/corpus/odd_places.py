"""Places where files are lost or programs hang: full disks, folders without rights, loops, pipes, files that change.

Every case works in a folder of its own, tries what people try, and says what came of it in the words of the table.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unveil import images
from unveil.commands.application import run
from unveil.errors import UnveilError
from unveil.images import Picture
from unveil.restoration import Restorer

PATIENCE = 60
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Scenario:
    """One case of the table: `outcome` is what `attempt` has to give."""

    group: str
    case: str
    outcome: str
    attempt: Callable[[Place], str]


SCENARIOS: list[Scenario] = []


def scenario(group: str, case: str, outcome: str) -> Callable[[Callable[[Place], str]], Callable[[Place], str]]:
    """Puts a function into the table."""

    def enter(attempt: Callable[[Place], str]) -> Callable[[Place], str]:
        SCENARIOS.append(Scenario(group, case, outcome, attempt))
        return attempt

    return enter


class Impossible(Exception):
    """Raised where this system cannot make the case: no rights to mount, no pipes."""


@dataclass
class Place:
    """An empty folder, with what the cases need: pictures, the command line, a limit on time."""

    root: Path
    model: Path
    restorer: Restorer
    said: list[str] = field(default_factory=list)

    def picture(self, name: str | os.PathLike[str] = "in.png", side: int = 40) -> Path:
        """A noisy picture, which the toy model changes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode(Picture(rough(side)), "png"))
        return path

    def command(self, *words: str | os.PathLike[str]) -> int:
        """The exit code of a command line in this process; what it says is added to `said`."""
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), in_time():
            code = run([os.fspath(word) for word in words])
        out.flush()
        self.said += [out.buffer.getvalue().decode(), err.getvalue()]  # type: ignore[attr-defined]
        return code

    def restore(self, *words: str | os.PathLike[str]) -> int:
        return self.command("restore", *words, "--model", self.model)

    def process(self, *words: str | os.PathLike[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        """The same in a process of its own."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **options.pop("env", {})}
        line = [sys.executable, "-m", "unveil", *words, "--model", self.model]
        return subprocess.run(line, env=env, timeout=60, check=False, **{"capture_output": True, **options})

    def names(self) -> list[str]:
        """Everything below the folder but what belongs to the history."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))
        return sorted(name for name in found if ".unveil/" not in name and not name.endswith(".unveil"))

    def complains(self, *parts: str) -> bool:
        """Whether all of this was said last, and nothing of a fault of ours."""
        said = "".join(self.said[-2:])
        return all(part in said for part in parts) and "fault of unveil" not in said and "Traceback" not in said


def rough(side: int = 40) -> np.ndarray:
    """What the toy finds noisy."""
    return np.random.default_rng(1).integers(40, 215, (side, side, 3), np.uint8)


def error_of(call: Callable[[], object]) -> str:
    """The name of the typed error that a call of the Python face raises; anything else is let through."""
    with in_time(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except UnveilError as error:
            return type(error).__name__
    return "nothing"


@contextlib.contextmanager
def in_time(seconds: int = PATIENCE) -> Generator[None]:
    """Raise TimeoutError in what hangs. Not for libvips, whose callbacks into Python an exception must not leave."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"it hung for {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "48k") -> Generator[Path]:
    """A file system of its own, full after so much."""
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", os.fspath(folder)]
    try:
        made = subprocess.run(mounted, capture_output=True, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        raise Impossible("a file system of its own needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", os.fspath(folder)], check=True)


@contextlib.contextmanager
def largest_file(size: int) -> Generator[None]:
    """No file can grow beyond this, as with a quota."""
    try:
        import resource
    except ImportError:
        raise Impossible("limits on files are POSIX's") from None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None]:
    """The folder cannot be written to, not even by root, who for the time is nobody."""
    if not hasattr(os, "geteuid"):
        raise Impossible("rights of folders are POSIX's")
    folder.chmod(0o555)
    mine = os.geteuid()
    if mine == 0:
        for parent in folder.parents:
            if parent.stat().st_mode & 0o005 != 0o005:
                parent.chmod(0o755)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(mine)
        folder.chmod(0o755)


def make_pipe(path: Path) -> Path:
    if not hasattr(os, "mkfifo"):
        raise Impossible("named pipes are POSIX's")
    os.mkfifo(path)
    return path


def make_socket(path: Path) -> Path:
    if not hasattr(socket, "AF_UNIX"):
        raise Impossible("sockets among files are POSIX's")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path))
    return path


def make_link(path: Path, target: str | os.PathLike[str]) -> Path:
    try:
        path.symlink_to(target)
    except OSError:
        raise Impossible("links need rights on this system") from None
    return path


def results_of(place: Place) -> list[dict[str, Any]]:
    """What the last command printed with --json."""
    return json.loads(place.said[-2])["results"]
