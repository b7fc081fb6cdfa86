"""What a caller is told when a request fails: a status, a word for programs, a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from unveil.errors import (
    InvalidRequest,
    PictureError,
    PictureTooLarge,
    UnsupportedPicture,
    UnveilError,
)

UNEXPECTED = "The server failed; its log says more. Please report it."


class Problem(Exception):
    """Ends a request with a status code and `{"error": word, "message": sentence}`."""

    def __init__(self, status: int, word: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.word = word
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(message)

    def response(self) -> JSONResponse:
        return JSONResponse({"error": self.word, "message": self.message}, self.status, self.headers)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and leave its word for the journal."""
        scope["state"]["facts"]["error"] = self.word
        await self.response()(scope, receive, send)


def too_large(found: str, limit: int) -> Problem:
    """413 for an upload; `found` says what was seen of it."""
    return Problem(413, "upload_too_large", f"The upload is {found}; this server takes up to {limit / 1e6:g} MB.")


def explain(error: Exception) -> Problem:
    """The problem that an error of the library is to a caller; anything unforeseen is a 500 that tells nothing."""
    match error:
        case Problem():
            return error
        case PictureTooLarge():
            return Problem(413, "picture_too_large", _sentence(error.cause.partition("; raise")[0]))
        case UnsupportedPicture():
            return Problem(415, "unsupported_picture", _sentence(error.cause))
        case PictureError():
            return Problem(422, "bad_picture", _sentence(error.cause))
        case InvalidRequest():
            return Problem(422, "bad_option", str(error))
        case MemoryError():
            return Problem(503, "out_of_memory", "This picture needs more memory than is free; try a smaller one.")
        case UnveilError():
            return Problem(500, "engine_failed", UNEXPECTED)
        case _:
            return Problem(500, "unexpected", UNEXPECTED)


def _sentence(cause: str) -> str:
    return f"The picture cannot be used: {cause}."


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Failures for the OpenAPI description of a route."""
    said = {
        401: "The token is missing or wrong.",
        403: "The request came from another web site, or under a foreign host name.",
        404: "There is nothing of that name.",
        408: "The upload took too long.",
        413: "The file has too many bytes, or the picture too many pixels.",
        415: "Not a multipart form, or a file of a kind that is not read.",
        422: "A damaged picture, or an option that is out of range or unknown.",
        429: "The queue is full; come back after the seconds in Retry-After.",
        500: "The server failed.",
        503: "The work took too long, or the server is stopping or out of memory.",
    }
    schema = {
        "type": "object",
        "required": ["error", "message"],
        "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
    }
    return {code: {"description": said[code], "content": {"application/json": {"schema": schema}}} for code in statuses}
