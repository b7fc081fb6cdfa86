"""What `server_load.py` sends: good requests, every sort of bad one, and what must answer them."""

from __future__ import annotations

import http.client
import socket
import struct
import time
import zlib
from dataclasses import dataclass, field

import numpy as np

from unveil.images import Picture, encode

LARGEST = 2_000_000
WEIGHTS = {"weights": "noise=1"}
# In the place of a status, where nobody stayed to hear the answer.
LEFT = 0


@dataclass(frozen=True)
class Kind:
    """A kind of request: how often it comes, which statuses may answer it, and its answer where that is known."""

    name: str
    share: float
    expected: tuple[int, ...]
    body: bytes = b""
    path: str = "/v1/restore"
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    leaves: float | None = None
    """Seconds after which the caller goes away; 0: in the middle of the upload."""


def all_kinds() -> list[Kind]:
    """Good requests and every sort of bad one."""
    small, large = picture(160, 120), picture(1200, 800, "jpeg")
    fine = form(small, WEIGHTS)
    swollen = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    bomb = zlib.compress(bytes(200_000_000), 9)
    with_bomb = small[:33] + chunk(b"zTXt", b"x\0\0" + bomb) + small[33:]
    return [
        Kind("restore, 0.02 megapixels", 30, (200,), fine),
        Kind("restore, 0.2 megapixels, JPEG", 8, (200,), form(picture(512, 384, "jpeg"), WEIGHTS)),
        Kind("part of 1 megapixel", 5, (200,), form(large, {**WEIGHTS, "region": "300,200,256,256"})),
        Kind("diagnose", 10, (200,), form(small), "/v1/diagnose"),
        Kind("page, health, counters", 12, (200,), path="/health", method="GET"),
        Kind("cut off", 5, (422,), form(small[: len(small) // 2])),
        Kind("no picture", 5, (415,), form(b"hello, world" * 1000)),
        Kind("too many bytes", 3, (413,), form(bytes(int(1.5 * LARGEST)))),
        Kind("too many pixels", 4, (413,), form(swollen + chunk(b"IDAT", b"") + chunk(b"IEND", b""))),
        Kind("a text that swells to 200 MB", 3, (200,), form(with_bomb, WEIGHTS)),
        Kind("wrong option", 4, (422,), form(small, {"strength": "7"})),
        Kind("no body", 3, (415,)),
        Kind("wrong method", 3, (405,), method="PUT"),
        Kind("another site's", 3, (403,), fine, headers={"Origin": "http://evil.example"}),
        Kind("another name's", 3, (403,), fine, headers={"Host": "evil.example"}),
        Kind("leaves during the upload", 5, (LEFT,), form(large, WEIGHTS), leaves=0.0),
        Kind("leaves during the work", 5, (LEFT,), form(large, WEIGHTS), leaves=0.1),
    ]


def picture(width: int, height: int, format: str = "png") -> bytes:
    """A picture with noise, so that there is work to do."""
    random = np.random.default_rng(width)
    ramp = np.linspace(60, 180, width)[None, :, None] + np.zeros((height, 1, 3))
    noisy = np.clip(ramp + random.normal(0, 20, ramp.shape), 0, 255).astype(np.uint8)
    return encode(Picture(noisy), format)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def form(data: bytes, fields: dict[str, str] | None = None) -> bytes:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in (fields or {}).items()
    ]
    head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return "".join([*parts, head]).encode() + data + b"\r\n--b--\r\n"


def ask(port: int, kind: Kind, timeout: float = 60.0) -> tuple[int, bytes]:
    """Send one request; its status and the whole answer."""
    if kind.leaves is not None:
        return leave(port, kind, kind.leaves)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {**({"Content-Type": "multipart/form-data; boundary=b"} if kind.body else {}), **kind.headers}
    try:
        connection.request(kind.method, kind.path, kind.body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def leave(port: int, kind: Kind, seconds: float) -> tuple[int, bytes]:
    """Go away in the middle of the upload, or so many seconds after it."""
    head = f"POST {kind.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(kind.body)}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode())
        connection.sendall(kind.body if seconds else kind.body[: len(kind.body) // 2])
        time.sleep(seconds)
    return LEFT, b""


def fault(kind: Kind, status: int, said: bytes, wanted: dict[str, bytes], also: tuple[int, ...]) -> str:
    """What is wrong with an answer; nothing, if it is as it must be."""
    if status not in (*kind.expected, *also):
        return f"answered {status}, expected {kind.expected}: {said[:200]!r}"
    known = wanted.get(kind.name)
    # A diagnosis says how many seconds it took.
    if status == 200 and known is not None and kind.path == "/v1/restore" and said != known:
        return f"{len(said)} bytes, not the {len(known)} that are right"
    return ""
