"""What earlier runs have done in a folder, so that a second run does only what is left.

The folder `.unveil` beside the results holds `history.jsonl`: one line a result, with the digests of the input, of the
settings and of the result itself. A line is written before its result gets its name, so after a kill at any moment a
result that is there and has the digest of its line is whole; a line without its result says nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

from unveil.commands.terminal import shown
from unveil.errors import InvalidRequest, UnwritablePicture

FOLDER = ".unveil"
PART = ".unveil-*.part"

State = Literal["new", "done", "stale", "foreign"]
"""`done`: made from this input with these settings. `stale`: ours, of another input or other settings. `foreign`: not
written by unveil, or changed since."""


@dataclass(slots=True)
class History:
    """The history of one folder of results. Paths of results are relative to it, with forward slashes.

    `with_manifest`: what runs on a cluster have made counts too (see `unveil.cluster.manifest`).
    """

    folder: Path
    entries: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    with_manifest: bool = True

    @property
    def file(self) -> Path:
        return self.folder / FOLDER / "history.jsonl"

    def load(self) -> None:
        """Read what earlier runs wrote. A line that a kill cut short is passed over."""
        manifest = (self.folder / FOLDER / "manifest").rglob("*.jsonl") if self.with_manifest else ()
        for file in (*sorted(manifest), self.file):
            with contextlib.suppress(FileNotFoundError):
                self._load(file)

    def _load(self, file: Path) -> None:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry: object = json.loads(line)
                if isinstance(entry, dict):
                    known = cast("dict[str, Any]", entry)
                    self.entries[str(known["output"])] = known | {"result": str(known["result"])}

    def state(self, target: Path, source: str, settings: str) -> State:
        """What is at `target`, for a result of an input with the digest `source` and these settings."""
        if not os.path.lexists(target):
            return "new"
        entry = self.entries.get(self._name(target))
        if entry is None or not target.is_file():
            return "foreign"
        found = digest_of(target)
        if found != entry["result"]:
            # A line whose result never got its name: what lies there is still the result that it was to replace.
            return "stale" if found == entry.get("replaces") else "foreign"
        same = entry.get("settings") == settings and entry.get("input") == source
        return "done" if same else "stale"

    def details(self, target: Path) -> dict[str, Any]:
        """What was said of the result when it was made."""
        details: object = self.entries.get(self._name(target), {}).get("details")
        return cast("dict[str, Any]", details) if isinstance(details, dict) else {}

    def add(self, target: Path, *, source: str, settings: str, result: bytes, details: Mapping[str, Any]) -> None:
        """Say that these bytes will be the result at `target`. `source` is the digest of the input."""
        earlier = target.is_file() and self._name(target) in self.entries
        name = self._name(target)
        entry: dict[str, Any] = {
            "output": name,
            "input": source,
            "settings": settings,
            "result": hashlib.sha256(result).hexdigest(),
            "replaces": digest_of(target) if earlier else None,
            "details": dict(details),
        }
        line = json.dumps(entry).encode() + b"\n"
        try:
            opened = self.file.open("ab+")
        except FileNotFoundError:
            cause = f"the record of finished pictures, {shown(self.file)}, was removed meanwhile"
            raise UnwritablePicture(target, f"{cause}; give the command once more") from None
        with opened as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    line = b"\n" + line
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        self.entries[name] = entry

    @contextlib.contextmanager
    def opened(self, places: Iterable[Path]) -> Generator[History]:
        """Inside, no other run works in the folder; what a killed run left under temporary names in `places` is
        cleared away.

        Raises InvalidRequest if another run is at work there, UnwritablePicture if nothing can be written there.
        """
        try:
            (self.folder / FOLDER).mkdir(parents=True, exist_ok=True)
            opened = (self.folder / FOLDER / "lock").open("ab")
        except OSError as error:
            raise UnwritablePicture(self.folder, f"cannot be written to ({error.strerror or error})") from error
        with opened as stream:
            if not _lock(stream):
                raise InvalidRequest(
                    f"another run of unveil is at work in {shown(self.folder)}; wait until it has ended"
                )
            self.load()
            for left in (part for place in set(places) for part in place.glob(PART)):
                left.unlink(missing_ok=True)
            yield self

    def _name(self, target: Path) -> str:
        return Path(os.path.relpath(target, self.folder)).as_posix()


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises OSError where there is no ordinary file."""
    if path.exists() and not path.is_file():
        # Opening a pipe would wait for whoever writes to it, and a device may have no end.
        raise OSError(errno.EINVAL, "no ordinary file", str(path))
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_settings(settings: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides about a result besides its input."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _lock(stream: IO[bytes]) -> bool:
    """Lock an open file until it is closed or the process ends, however that happens; False if somebody else has it.

    A file system without locks counts as locked: refusing to work there would help nobody.
    """
    if sys.platform == "win32":
        import msvcrt

        with contextlib.suppress(OSError):
            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
            return True
        return False
    import fcntl

    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
