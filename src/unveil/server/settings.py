"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from unveil.errors import InvalidRequest

SHORTEST_TOKEN = 8
# Room for the options and the headers of the parts beside the picture itself.
FORM_ROOM = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits and secrets of one server.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        token: what callers must know; None lets everybody in who reaches the port.
        hosts: further names under which the server may be called, beside `host`, `localhost` and addresses.
        max_upload: bytes of one picture file.
        pixel_limit: pixels of one picture.
        queue: requests that may wait while one is worked on.
        timeout: seconds that receiving, working (waiting included) and answering may take, each.

    Raises:
        InvalidRequest: a value out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    hosts: tuple[str, ...] = ()
    max_upload: int = 64_000_000
    pixel_limit: int = 64_000_000
    queue: int = 8
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidRequest(f"port is {self.port}, expected 0 to 65535.")
        if self.max_upload < 1 or self.pixel_limit < 1:
            raise InvalidRequest("max_upload and pixel_limit must be at least one byte and one pixel.")
        if self.queue < 0:
            raise InvalidRequest(f"queue is {self.queue}, expected 0 (nobody waits) or more.")
        if not 0 < self.timeout < 86_400:
            raise InvalidRequest(f"timeout is {self.timeout:g}, expected seconds above 0 and below a day.")
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not self.token.isascii()):
            raise InvalidRequest(f"the token must have at least {SHORTEST_TOKEN} characters, ASCII only.")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
