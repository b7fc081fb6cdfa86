"""Who may ask: the name the server was called by, the page the request came from, and the token.

Browsers carry requests of any web site to any address, so a server on the loopback address is not out of reach of the
web. Three rules close that: the host must be an address or a known name (a name that an attacker points to 127.0.0.1 is
neither), what changes or computes something must come from our own page or from no page at all, and no answer carries a
permission for other sites to read it (CORS).
"""

from __future__ import annotations

import hmac
import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unveil.server.problems import Problem
from unveil.server.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware. `open_paths` need no token: the page, which asks for it, and the probe of health."""

    def __init__(self, app: ASGIApp, *, settings: Settings, open_paths: frozenset[str]) -> None:
        self._app = app
        self._settings = settings
        self._open_paths = open_paths
        self._names = frozenset({"localhost", settings.host.lower(), *(name.lower() for name in settings.hosts)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        problem = self._judge(scope)
        await (self._app if problem is None else problem.answer)(scope, receive, send_guarded)

    def _judge(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return Problem(
                403, "foreign_host", "This server was called by a name that is not its own; see --allow-host."
            )
        if scope["method"] not in SAFE and not _is_same_site(headers, hosts[0]):
            return Problem(403, "foreign_origin", "Requests from other web sites are refused.")
        if self._settings.token is not None and scope["path"] not in self._open_paths:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            known = hmac.compare_digest(given.strip().encode(), self._settings.token.encode())
            if scheme.lower() != "bearer" or not known:
                return Problem(
                    401,
                    "token_needed",
                    "This server wants its token: send the header 'Authorization: Bearer TOKEN'.",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        return None

    def _is_own(self, host: str) -> bool:
        name = host.lower()
        if name.startswith("["):
            name, closed, _ = name[1:].partition("]")
            return bool(closed) and _is_address(name)
        name = name.partition(":")[0].removesuffix(".")
        return name in self._names or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_same_site(headers: Headers, host: str) -> bool:
    """Whether no browser sent this, or a browser on behalf of our own page."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origins = headers.getlist("origin")
    return not origins or (len(origins) == 1 and origins[0].lower().partition("://")[2] == host.lower())
