"""Connections that do nothing are closed: there is only so much room for connections, and uvicorn lets them idle."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 20.0


class Connection(H11Protocol):
    """Closed where no whole request came between two looks, and cut off where closing it took that long.

    Where there is no room for a new one, the one that has been idle longest is cut off, so that connections which are
    only held open keep nobody out. While a request is worked on, its own limits hold; see `admission`.
    """

    _looking: asyncio.TimerHandle | None = None
    _seen: object = None
    idle_since: float = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._make_room()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being received or answered."""
        # Before the first request there is no cycle, whatever the type says.
        return bool(self.cycle and not self.cycle.response_complete)

    def _make_room(self) -> None:
        there: list[Connection] = [other for other in self.connections if isinstance(other, Connection)]
        there = [other for other in there if not other.transport.is_closing()]
        if self.limit_concurrency is not None and len(there) >= self.limit_concurrency:
            idle = [other for other in there if not other.is_busy]
            min(idle, key=_since).transport.abort()

    def _look_later(self) -> None:
        # The first look must find something to compare with.
        self._seen = self._state()
        self._looking = self.loop.call_later(PATIENCE, self._look)

    def _state(self) -> tuple[Any, bool]:
        return self.cycle, self.transport.is_closing()

    def _look(self) -> None:
        if not self.is_busy and self._seen == self._state():
            if self.transport.is_closing():
                self.transport.abort()
            else:
                self.transport.close()
        self._look_later()


def _since(connection: Connection) -> float:
    return connection.idle_since
