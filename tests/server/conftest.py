"""Real servers on the loopback address, each in a thread of this process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from server_samples import HeldRestorer, file_of

from unveil.server.line import Line
from unveil.server.serving import Server, address_of, listen, make_server
from unveil.server.settings import Settings


@dataclass
class Service:
    """A server that runs, and a client of it."""

    url: str
    client: httpx.Client
    restorer: HeldRestorer
    server: Server
    thread: threading.Thread

    @property
    def line(self) -> Line:
        return self.server.config.app.state.line

    def post(self, path: str = "/v1/restore", data: bytes | None = None, *, name: str = "a.png", **options: Any):
        """Send a picture with form fields; `headers` are headers."""
        headers = options.pop("headers", None)
        files = {"file": (name, file_of() if data is None else data)}
        return self.client.post(path, files=files, data=options, headers=headers)

    def begin(self, **options: Any) -> tuple[threading.Thread, list[httpx.Response]]:
        """Send a picture in the background; the list gets its answer."""
        answers: list[httpx.Response] = []

        def work() -> None:
            with httpx.Client(base_url=self.url, trust_env=False, timeout=20) as client:
                answers.append(client.post("/v1/restore", files={"file": ("a.png", file_of())}, **options))

        thread = threading.Thread(target=work)
        thread.start()
        return thread, answers

    def stop(self) -> None:
        self.server.handle_exit(15, None)


@pytest.fixture(scope="module")
def serve(toy):
    """Start servers of the toy model: `serve(queue=1)` takes what `Settings` takes."""
    started: list[Service] = []

    def start(**settings: Any) -> Service:
        chosen = Settings(**{"port": 0, "timeout": 10, **settings})
        restorer = HeldRestorer(toy, threads=1)
        listener = listen(chosen)
        ready = threading.Event()
        server = make_server(restorer, chosen, ready=ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        assert ready.wait(10)
        url = address_of(listener)
        client = httpx.Client(base_url=url, trust_env=False, timeout=20)
        started.append(Service(url, client, restorer, server, thread))
        return started[-1]

    yield start
    for service in started:
        service.restorer.gate.set()
        service.client.close()
        service.stop()
    for service in started:
        service.thread.join(15)
        assert not service.thread.is_alive(), "the server did not stop"


@pytest.fixture(scope="module")
def service(serve) -> Service:
    """A server with usual limits, shared by the tests of a file."""
    return serve()
