"""One file from a web server: resumed where it broke, started again where it changed, and its size checked."""

from __future__ import annotations

import email.message
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from unveil.datasets.watching import SILENT, Watch
from unveil.errors import DownloadFailed

CHUNK = 1 << 20
LONGEST_PAUSE = 60.0
_USER_AGENT = "unveil (https://pypi.org/project/unveil)"
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that is wholly there. `sha256` was computed here, over what lies on the disk."""

    path: Path
    url: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _State:
    """What the server said about the file when its first byte came; kept beside the part file."""

    url: str
    etag: str | None
    modified: str | None
    total: int | None

    def differs(self, other: _State) -> bool:
        """Whether the server has another file now. What one of both did not say is no difference."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.total, other.total))
        return any(a is not None and b is not None and a != b for a, b in pairs)


class _Broken(Exception):
    """The connection broke or the server is busy: worth another attempt, after so many seconds."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class _Changed(Exception):
    """The part that was there is thrown away: ask again, from the first byte."""


def download(
    url: str, target: Path, *, watch: Watch = SILENT, attempts: int = 6, pause: float = 1.0, timeout: float = 60.0
) -> Downloaded:
    """Download `url` to `target`.

    What has come so far lies in `target` + ".part" and is kept when this is interrupted; the next call goes on from
    there if the server can (RFC 9110, 14.2) and still has the same file by its ETag, its date or its size. A broken
    connection is tried again: `attempts` times in a row without any new byte, after pauses that double from `pause`
    seconds.

    Raises DownloadFailed where the server refuses, sends a web page instead of a file, or more or fewer bytes than it
    announced, or where the disk is too small.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadFailed(f"{url} is no address that can be downloaded; expected one with http:// or https://")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures, furthest = 0, _size(part)
    while True:
        try:
            _transfer(url, part, target.name, watch=watch, timeout=timeout)
            break
        except _Changed:
            failures, furthest = failures + 1, 0
            if failures >= attempts:
                raise DownloadFailed(f"{url}: the file changes with every answer of the server; try later") from None
        except _Broken as broken:
            reached = _size(part)
            failures = 1 if reached > furthest else failures + 1
            furthest = max(reached, furthest)
            if failures >= attempts:
                raise DownloadFailed(
                    f"{url}: {broken}; gave up after {failures} attempts without a new byte. {reached:,} bytes are "
                    f"kept in {part}: the same command goes on from there"
                ) from broken
            wait = pause * 2 ** (failures - 1) if broken.pause is None else broken.pause
            wait = min(wait, LONGEST_PAUSE)
            watch.say(f"{target.name}: {broken}; trying again in {wait:.0f} s")
            time.sleep(wait)
    size, digest = _size(part), sha256_of(part)
    part.replace(target)
    _state_file(part).unlink(missing_ok=True)
    return Downloaded(target, url, size, digest)


def file_name(url: str) -> str:
    """The name for a downloaded file: the last part of the address, with nothing in it that means a folder."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1])
    return re.sub(r"[^\w.+ -]", "_", name).lstrip(".") or "download"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _transfer(url: str, part: Path, name: str, *, watch: Watch, timeout: float) -> None:
    """One connection: from what is there to the end of the file."""
    known = _read_state(part, url)
    have = _size(part) if known else 0
    if known is None and part.exists():
        watch.say(f"{name}: the part that is there belongs to another address; starting again")
    try:
        response = _open(url, known, have, timeout)
    except urllib.error.HTTPError as error:
        with error:
            _settle_refusal(error, url, part, known, have, name, watch)
        return
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"no answer ({getattr(error, 'reason', None) or error})") from error
    with response:
        told = _state(url, response, have)
        have = _start_of(response, told, known, have, part, name, watch)
        _require_file(response, url, name)
        _require_room(part, told.total, have)
        _write_state(part, told)
        with part.open("ab" if have else "wb") as stream:
            _copy(response, stream, name, have, told.total, watch)
    size = _size(part)
    if told.total is not None and size < told.total:
        raise _Broken(f"the connection ended after {size:,} of {told.total:,} bytes")
    if told.total is not None and size > told.total:
        _discard(part)
        raise DownloadFailed(f"{url}: {size:,} bytes came where {told.total:,} were announced; the file is thrown away")


def _open(url: str, known: _State | None, have: int, timeout: float) -> http.client.HTTPResponse:
    headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    if have and known:
        headers["Range"] = f"bytes={have}-"
        # A weak ETag says nothing about single bytes and must not stand here (RFC 9110, 13.1.5).
        strong = known.etag if known.etag and not known.etag.startswith("W/") else None
        if validator := strong or known.modified:
            headers["If-Range"] = validator
    opener = urllib.request.OpenerDirector()
    # Without the handlers for files and FTP, which the usual opener has: a redirect must not lead to either.
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return cast("http.client.HTTPResponse", opener.open(urllib.request.Request(url, headers=headers), timeout=timeout))


def _settle_refusal(
    error: urllib.error.HTTPError, url: str, part: Path, known: _State | None, have: int, name: str, watch: Watch
) -> None:
    """Return where the file turns out to be complete; otherwise raise."""
    if error.code == 416 and known is not None:
        if known.total == have and not known.differs(
            _State(url, error.headers["ETag"], None, _total_of(error.headers))
        ):
            return
        _discard(part)
        watch.say(f"{name}: what is there does not fit the server's file; starting again")
        raise _Broken("the part did not fit", 0.0)
    if error.code in _PASSING:
        after = error.headers["Retry-After"] or ""
        raise _Broken(f"the server says {error.code} {error.reason}", float(after) if after.isdigit() else None)
    advice = "the file has moved or needs a login; look at the set's home page and give the new address with --url"
    raise DownloadFailed(f"{url}: the server says {error.code} {error.reason}; {advice}")


def _state(url: str, response: http.client.HTTPResponse, have: int) -> _State:
    length = response.headers["Content-Length"]
    total = int(length) if length and length.isdigit() else None
    if response.status == 206:
        total = _total_of(response.headers) or (None if total is None else total + have)
    return _State(url, response.headers["ETag"], response.headers["Last-Modified"], total)


def _total_of(headers: email.message.Message) -> int | None:
    found = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", headers["Content-Range"] or "")
    return int(found[1]) if found else None


def _start_of(
    response: http.client.HTTPResponse,
    told: _State,
    known: _State | None,
    have: int,
    part: Path,
    name: str,
    watch: Watch,
) -> int:
    """From which byte on the server sends: `have`, or 0 where it starts again."""
    if not have or known is None:
        return 0
    if response.status == 206:
        start = re.match(r"bytes (\d+)-", response.headers["Content-Range"] or "")
        if start and int(start[1]) == have and not known.differs(told):
            watch.say(f"{name}: going on after {have:,} bytes")
            return have
        _discard(part)
        watch.say(f"{name}: the file on the server has changed; starting again")
        raise _Changed
    changed = "the file on the server has changed" if known.differs(told) else "the server cannot go on in the middle"
    watch.say(f"{name}: {changed}; starting again")
    return 0


def _require_file(response: http.client.HTTPResponse, url: str, name: str) -> None:
    kind = response.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml") and not name.lower().endswith((".html", ".htm")):
        raise DownloadFailed(
            f"{url}: the server sent a web page instead of a file, as drives and login forms do; download it with a "
            "browser and give it with --from"
        )


def _require_room(part: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise DownloadFailed(
            f"{part.parent} has {free / 1e9:.2f} GB left where {(total - have) / 1e9:.2f} GB are needed for "
            f"{part.stem}; make room or choose another --root"
        )


def _copy(
    response: http.client.HTTPResponse, stream: BinaryIO, name: str, have: int, total: int | None, watch: Watch
) -> None:
    done = have
    watch.receive(name, done, total)
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(f"the connection broke after {done:,} bytes ({error})") from error
        if not chunk:
            return
        try:
            stream.write(chunk)
        except OSError as error:
            raise DownloadFailed(
                f"{stream.name} cannot be written ({error.strerror}); {done:,} bytes are kept"
            ) from error
        done += len(chunk)
        watch.receive(name, done, total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_file(part).unlink(missing_ok=True)


def _state_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_state(part: Path, url: str) -> _State | None:
    if not part.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(_state_file(part).read_text(encoding="utf-8"))
        state = _State(**found)
    except (OSError, ValueError, TypeError):
        return None
    return state if state.url == url else None


def _write_state(part: Path, state: _State) -> None:
    fresh = _state_file(part).with_suffix(".new")
    fresh.write_text(json.dumps(asdict(state)), encoding="utf-8")
    os.replace(fresh, _state_file(part))  # noqa: PTH105  one call on every platform
