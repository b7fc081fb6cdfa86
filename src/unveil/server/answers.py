"""What routes answer, as OpenAPI describes it, and a response that is sent in pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unveil.server.work import Restored

PIECE = 256 * 1024


class DiagnosisAnswer(BaseModel):
    """What is wrong with a picture."""

    main: str = Field(description="The likeliest class; may be `clean`.")
    is_clean: bool = Field(description="Whether it would come back untouched.")
    probabilities: dict[str, float] = Field(description="Of all classes, the likeliest first; they sum to one.")
    weights: dict[str, float] = Field(description="Of the adapters that would be blended in.")
    picture: dict[str, Any] = Field(description="Width, height, depth, format, and which metadata the file has.")
    notes: list[str] = Field(description="What may surprise the owner: further pages, a broken profile.")
    seconds: float


class ModelFacts(BaseModel):
    """The model that is served."""

    name: str
    summary: str
    licence: str
    degradations: dict[str, str] = Field(description="What it can undo: identifier to printed name.")
    diagnoses: bool = Field(description="Whether it can tell by itself what is wrong.")
    blend: str = Field(description="Its rule for weights: sw, oh, topk:1, none ...")


class ModelsAnswer(BaseModel):
    """All models that are served: one."""

    models: list[ModelFacts]


class HealthAnswer(BaseModel):
    """Whether the server takes pictures, and how large."""

    status: str = Field(description="`ready`, `stopping`, or `stuck` in a picture for twice the time limit.")
    version: str
    places: int
    places_taken: int
    max_upload: int = Field(description="Bytes of a file.")
    pixel_limit: int = Field(description="Pixels of a picture.")
    needs_token: bool


class ProgressAnswer(BaseModel):
    """How far a request is."""

    state: str = Field(description="`receiving`, `waiting`, `working` or `answering`.")
    before: int = Field(description="Requests that come first.")
    done: int = Field(description="Tiles that are finished.")
    total: int = Field(description="Tiles in all; 0 where that is not known yet.")


class RestoredAnswer(BaseModel):
    """A restored picture for callers that accept `application/json` rather than a picture."""

    picture: str = Field(description="The file, in base64.")
    media_type: str
    file_name: str
    diagnosis: dict[str, float] | None
    weights: dict[str, float]
    later: list[dict[str, float]] = Field(description="Weights of further rounds, after another look.")
    untouched: bool
    notes: list[str]
    seconds: float


class InPieces(Response):
    """A body sent piece by piece, so that the caller's place in the line is kept until most of it is on its way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        view = memoryview(self.body)
        for start in range(0, max(len(view), 1), PIECE):
            piece = bytes(view[start : start + PIECE])
            await send({"type": "http.response.body", "body": piece, "more_body": start + PIECE < len(view)})


def picture_response(done: Restored) -> InPieces:
    """The file, with all that is known about it in headers whose values are JSON (ASCII)."""
    return InPieces(
        done.data,
        media_type=done.media_type,
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(done.file_name, safe='')}",
            "Unveil-Diagnosis": _json(_ranked(done)),
            "Unveil-Weights": _json(done.weights),
            "Unveil-Later": _json(done.later),
            "Unveil-Untouched": _json(done.untouched),
            "Unveil-Notes": _json(done.notes),
            "Unveil-Seconds": f"{done.seconds:.3f}",
        },
    )


def json_response(done: Restored) -> InPieces:
    """The same as one JSON object, `RestoredAnswer`."""
    answer: Mapping[str, Any] = {
        "picture": base64.b64encode(done.data).decode("ascii"),
        "media_type": done.media_type,
        "file_name": done.file_name,
        "diagnosis": _ranked(done),
        "weights": done.weights,
        "later": done.later,
        "untouched": done.untouched,
        "notes": done.notes,
        "seconds": round(done.seconds, 3),
    }
    return InPieces(_json(answer).encode("ascii"), media_type="application/json")


def _ranked(done: Restored) -> dict[str, float] | None:
    return None if done.diagnosis is None else {name: round(value, 4) for name, value in done.diagnosis.ranked}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
