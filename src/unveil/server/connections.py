"""Connections that do nothing are closed: there is only so much room for connections, and uvicorn lets them idle."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 20.0


class Connection(H11Protocol):
    """Closed where no whole request came between two looks, and cut off where closing it took that long.

    While a request is worked on, its own limits hold; see `admission`.
    """

    _looking: asyncio.TimerHandle | None = None
    _seen: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        # The first look must find something to compare with.
        self._seen = self._state()
        self._looking = self.loop.call_later(PATIENCE, self._look)

    def _state(self) -> tuple[Any, bool]:
        return self.cycle, self.transport.is_closing()

    def _look(self) -> None:
        # Before the first request there is no cycle, whatever the type says.
        busy = bool(self.cycle) and not self.cycle.response_complete
        if not busy and self._seen == self._state():
            if self.transport.is_closing():
                self.transport.abort()
            else:
                self.transport.close()
        self._look_later()
