"""A catalogue of made-up sets in place of the real one, and a web server that can misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from set_samples import CATALOGUE


@dataclass
class Served:
    """One file on the server and how it behaves.

    Attributes:
        break_after: bytes after which a connection is cut, one for each connection to come; then it works.
        announce: a Content-Length that is not true.
        statuses: status codes to answer with, one for each request to come.
        resumable: whether Range requests are understood.
    """

    content: bytes
    etag: str | None = '"one"'
    kind: str = "application/zip"
    break_after: list[int] = field(default_factory=list)
    announce: int | None = None
    statuses: list[int] = field(default_factory=list)
    resumable: bool = True


@dataclass
class Server:
    address: str
    files: dict[str, Served]
    asked: list[tuple[str, str | None]]

    def serve(self, name: str, content: bytes, **behaviour: object) -> str:
        """Put a file on the server; returns its address."""
        self.files[f"/{name}"] = Served(content, **behaviour)  # type: ignore[arg-type]
        return f"{self.address}/{name}"


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, files: dict[str, Served], asked: list[tuple[str, str | None]], *rest: object) -> None:
        self.files, self.asked = files, asked
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        asked_for = self.headers["Range"]
        self.asked.append((self.path, asked_for))
        served = self.files.get(self.path)
        if served is None:
            self.send_error(404)
            return
        if served.statuses:
            self.send_error(served.statuses.pop(0))
            return
        start = 0
        same = self.headers["If-Range"] in (None, served.etag)
        if asked_for and served.resumable and same:
            start = int(asked_for.removeprefix("bytes=").rstrip("-"))
            if start >= len(served.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(served.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        body = served.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        if served.etag:
            self.send_header("ETag", served.etag)
        self.send_header("Content-Type", served.kind)
        self.send_header("Content-Length", str(len(body) if served.announce is None else served.announce))
        self.end_headers()
        cut = served.break_after.pop(0) if served.break_after else len(body)
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    files: dict[str, Served] = {}
    asked: list[tuple[str, str | None]] = []
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, files, asked))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield Server(f"http://127.0.0.1:{web.server_address[1]}", files, asked)
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.fixture
def made_up(tmp_path_factory, monkeypatch) -> Callable[[str], None]:
    """Put the made-up catalogue in place of the real one; call it with the server's address."""
    from unveil.datasets import catalogue

    caches = (catalogue.sets, catalogue.overlaps, catalogue.by_plain_name, catalogue._file)

    def put(address: str = "http://127.0.0.1:9") -> None:
        path = tmp_path_factory.mktemp("catalogue") / "catalogue.toml"
        path.write_text(CATALOGUE.replace("ADDRESS", address))
        monkeypatch.setattr(catalogue, "CATALOGUE", path)
        for cached in caches:
            cached.cache_clear()

    yield put
    for cached in caches:
        cached.cache_clear()
