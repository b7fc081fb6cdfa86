"""Who may send a picture now: places in the line, the size of the upload, and how long things may take."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unveil.server.line import Line, LineClosed, LineFull
from unveil.server.problems import Problem, too_large
from unveil.server.settings import FORM_ROOM, Settings

NAME = re.compile(r"[A-Za-z0-9-]{16,64}")
# A browser shows an answer only after it has sent everything, so what is refused is read first and thrown away.
DISCARD_SECONDS = 5.0
# Who sends or reads fewer bytes a second than this, after so many seconds of grace, does nothing but hold a place.
GRACE, SLOWEST = 10.0, 20_000


class Admission:
    """ASGI middleware for the paths that take pictures: scope["state"]["place"] is the request's place in the line."""

    def __init__(self, app: ASGIApp, *, settings: Settings, line: Line, paths: frozenset[str]) -> None:
        self._app = app
        self._settings = settings
        self._line = line
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            _check_length(headers, self._settings.max_upload)
            wanted = headers.get("unveil-request", "")
            place = self._line.enter(wanted if NAME.fullmatch(wanted) else None)
        except Problem as problem:
            await self._refuse(problem, scope, receive, send)
            return
        except LineFull:
            problem = Problem(
                429,
                "queue_full",
                f"All {self._line.capacity} places are taken; try again in a moment.",
                headers={"Retry-After": "2"},
            )
            await self._refuse(problem, scope, receive, send)
            return
        except LineClosed:
            await self._refuse(stopping(), scope, receive, send)
            return
        scope["state"]["place"] = place
        try:
            await self._app(scope, self._hurried(receive), self._watched(send))
        finally:
            place.leave()

    def _hurried(self, receive: Receive) -> Receive:
        """Receive that gives up when the body is longer than allowed, takes too long or comes too slowly."""
        seen = 0
        patience = self._patience()
        complete = False

        async def receive_hurried() -> Message:
            nonlocal seen, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), patience(seen))
            except TimeoutError:
                said = f"The upload took longer than {self._settings.timeout:g} seconds, or came too slowly."
                raise Problem(408, "upload_too_slow", said) from None
            seen += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if seen > self._settings.max_upload + FORM_ROOM:
                raise too_large(f"more than {self._settings.max_upload / 1e6:g} MB", self._settings.max_upload)
            return message

        return receive_hurried

    def _watched(self, send: Send) -> Send:
        """Send that does not wait forever for a caller who does not read, or hardly."""
        patience: Callable[[int], float] | None = None
        sent = 0

        async def send_watched(message: Message) -> None:
            nonlocal patience, sent
            patience = patience or self._patience()
            await asyncio.wait_for(send(message), patience(sent))
            sent += len(message.get("body", b""))

        return send_watched

    def _patience(self) -> Callable[[int], float]:
        """How many seconds a caller still has who got so many bytes across since this was called."""
        began, limit = time.monotonic(), self._settings.timeout

        def left(count: int) -> float:
            return max(began + min(limit, GRACE + count / SLOWEST) - time.monotonic(), 0.001)

        return left

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        if "100-continue" not in Headers(scope=scope).get("expect", "").lower():
            await discard(receive, self._settings.max_upload)
        await problem.answer(scope, receive, send)


def _check_length(headers: Headers, limit: int) -> None:
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit + FORM_ROOM:
        raise too_large(f"{int(length) / 1e6:.1f} MB", limit)


def stopping() -> Problem:
    return Problem(503, "stopping", "The server is stopping and takes nothing more.", headers={"Retry-After": "10"})


async def discard(receive: Receive, limit: int) -> None:
    """Read the rest of a body and keep nothing, up to twice the limit and a few seconds."""
    seen = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while seen <= 2 * limit:
                message = await receive()
                seen += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
