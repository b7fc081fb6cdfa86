"""One line of JSON a request, and the counters: nothing of a picture, its name or its metadata is written down."""

from __future__ import annotations

import json
import logging
import secrets
import time
import traceback
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unveil.server.figures import Figures
from unveil.server.problems import explain

LOG = logging.getLogger("unveil.server")


def write(event: str, /, level: int = logging.INFO, **facts: Any) -> None:
    """Log one event as a line of JSON, values that are None left out."""
    if LOG.isEnabledFor(level):
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        said = {name: value for name, value in facts.items() if value is not None}
        LOG.log(level, json.dumps({"time": moment, "level": logging.getLevelName(level), "event": event, **said}))


def where(error: BaseException) -> str:
    """Kind and place of a failure. Its message stays out of the journal: it may hold parts of a file."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}, line {frames[-1].lineno}" if frames else type(error).__name__


class Journal:
    """ASGI middleware, the outermost: counts, logs, and gives each answer its request's number.

    Routes may put facts to be logged into `scope["state"]["facts"]`.
    """

    def __init__(self, app: ASGIApp, *, figures: Figures, routes: Collection[str]) -> None:
        self._app = app
        self._figures = figures
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        number = secrets.token_hex(6)
        facts: dict[str, Any] = {}
        scope["state"] = {**scope.get("state", {}), "facts": facts, "number": number}
        # Names in paths are the caller's, and labels must stay few.
        route = scope["path"] if scope["path"] in self._routes else "other"
        status, received, sent = 0, 0, 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def send_counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["Unveil-Number"] = number
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive_counted, send_counted)
        except Exception as error:
            facts["error"], facts["failure"] = "broken_off", where(error)
            if not status:
                await explain(error).response()(scope, receive, send_counted)
        finally:
            if "error" in facts:
                self._figures.failed(facts["error"])
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "OPTIONS") else "other"
            self._figures.answered(method, route, status, seconds=seconds, received=received, sent=sent)
            write(
                "request",
                number=number,
                method=method,
                route=route,
                # Nothing was answered where the caller had left.
                status=status or None,
                seconds=round(seconds, 4),
                received=received,
                sent=sent,
                **facts,
            )
