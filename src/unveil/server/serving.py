"""Runs the application with uvicorn until it is asked to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from unveil.errors import InvalidRequest
from unveil.restoration import Restorer
from unveil.server import journal
from unveil.server.application import create_application
from unveil.server.connections import Connection
from unveil.server.line import Line
from unveil.server.settings import Settings

# Connections that look at the page or wait for their refusal, beside those that have a place.
SPARE_CONNECTIONS = 128
LONGEST_HEADERS = 32 * 1024


class Server(uvicorn.Server):
    """Asked once to stop, it takes nothing new and answers what it has; asked twice, it leaves at once."""

    def __init__(self, config: uvicorn.Config, line: Line, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._line = line
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not the inherited one: it would raise the signal again at the end, and a graceful stop is no failure.
        self._line.close()
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """A socket at the address of the settings.

    Raises:
        InvalidRequest: the address is not ours, or the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InvalidRequest(f"--host {settings.host} is no address of this machine ({error.strerror}).") from error
    try:
        if os.name == "posix":
            # After a restart the port is free at once. On Windows the same option would let two servers share it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = f"cannot listen on {settings.host} port {settings.port} ({error.strerror})"
        raise InvalidRequest(f"{reason}; choose another --port, or 0 for a free one.") from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL that a browser on this machine opens."""
    host, port = map(str, listener.getsockname()[:2])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(restorer: Restorer, settings: Settings, *, ready: Callable[[], object]) -> Server:
    """A server that is not running yet; `run(sockets=[...])` runs it, and it calls `ready` once it listens."""
    application = create_application(restorer, settings)
    config = uvicorn.Config(
        application,
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        backlog=128,
        limit_concurrency=settings.queue + SPARE_CONNECTIONS,
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        # Everyone inside may take their time for each part; nobody can take longer.
        timeout_graceful_shutdown=int(3 * settings.timeout) + 1,
    )
    return Server(config, application.state.line, ready)


def serve(
    restorer: Restorer, settings: Settings, *, listener: socket.socket | None = None, ready: Callable[[str], object]
) -> bool:
    """Serve until SIGINT or SIGTERM, then finish what is in hand. `ready` is called with the address.

    Returns whether everybody was answered: False after a second Ctrl-C.

    Raises:
        InvalidRequest: the address cannot be listened on.
    """
    with listener or listen(settings) as listening:

        def announce() -> None:
            journal.write("start", model=restorer.name, host=settings.host, port=listening.getsockname()[1])
            ready(address_of(listening))

        server = make_server(restorer, settings, ready=announce)
        server.run(sockets=[listening])
        journal.write("stop", graceful=not server.force_exit)
        return not server.force_exit


def log_to_stderr() -> None:
    """Send the journal to stderr, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    journal.LOG.handlers = [handler]
    journal.LOG.setLevel(logging.INFO)
    journal.LOG.propagate = False
