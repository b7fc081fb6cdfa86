"""The ASGI application: routes, and the middleware around them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from unveil import __version__
from unveil.restoration import Restorer, blending
from unveil.server import journal, work
from unveil.server.admission import Admission
from unveil.server.answers import (
    DiagnosisAnswer,
    HealthAnswer,
    ModelFacts,
    ModelsAnswer,
    ProgressAnswer,
    RestoredAnswer,
    json_response,
    picture_response,
)
from unveil.server.figures import MEDIA_TYPE, Figures
from unveil.server.forms import read_form
from unveil.server.guard import Guard
from unveil.server.journal import Journal
from unveil.server.line import Line, Place, Tick
from unveil.server.options import Options, no_options, parse_options
from unveil.server.pages import page_files
from unveil.server.problems import Problem, described, explain
from unveil.server.settings import Settings


class Worked(Protocol):
    """What the worker gives back tells how much work it was."""

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def seconds(self) -> float: ...


T = TypeVar("T", bound=Worked)

RESTORE, DIAGNOSE = "/v1/restore", "/v1/diagnose"
# As nginx counts it; nobody is there to see it but the journal.
CALLER_LEFT = 499
DESCRIPTION = """Finds out what is wrong with a photograph and undoes it. Nothing is kept once a request is answered.

Failures answer `{"error": word, "message": sentence}`."""


def create_application(restorer: Restorer, settings: Settings) -> FastAPI:
    """The application for one model. Its line of work starts and ends with the ASGI lifespan."""
    line = Line(waiting=settings.queue)
    figures = Figures(version=__version__, model=restorer.name, line=line)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        line.start()
        yield
        await asyncio.to_thread(line.stop, seconds=settings.timeout)

    app = FastAPI(
        title="unveil",
        version=__version__,
        description=DESCRIPTION,
        # Their pages fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.line = line
    _add_pages(app)
    _add_facts(app, restorer, settings, line, figures)
    _add_work(app, restorer, settings, figures)
    _add_failures(app)
    pages = page_files()
    app.add_middleware(Admission, settings=settings, line=line, paths=frozenset({RESTORE, DIAGNOSE}))
    app.add_middleware(Guard, settings=settings, open_paths=frozenset({"/health", *pages}))
    app.add_middleware(Journal, figures=figures, routes=frozenset({*pages, *app.openapi()["paths"], "/openapi.json"}))
    return app


def _add_pages(app: FastAPI) -> None:
    for file in page_files().values():

        async def page(data: bytes = file.data, media_type: str = file.media_type) -> Response:
            return Response(data, media_type=media_type)

        app.add_route(file.path, _route(page), methods=["GET", "HEAD"], include_in_schema=False)


def _route(answer: Callable[[], Any]) -> Callable[[Request], Any]:
    async def route(_: Request) -> Response:
        return await answer()

    return route


def _add_facts(app: FastAPI, restorer: Restorer, settings: Settings, line: Line, figures: Figures) -> None:
    @app.get("/v1/models", summary="What is served", responses=described(401, 403))
    async def models() -> ModelsAnswer:
        card = restorer.card
        return ModelsAnswer(
            models=[
                ModelFacts(
                    name=card.name,
                    summary=card.summary,
                    licence=card.licence,
                    degradations=card.degradations,
                    diagnoses=card.estimator is not None,
                    blend=card.blend,
                )
            ]
        )

    @app.get("/health", summary="Whether pictures are taken", responses=described(403))
    async def health() -> JSONResponse:
        # Native code cannot be stopped. What hangs in it is for whoever watches over the process to end.
        stuck = line.overdue > settings.timeout
        status = "stopping" if line.is_closed else "stuck" if stuck else "ready"
        answer = HealthAnswer(
            status=status,
            version=__version__,
            places=line.capacity,
            places_taken=line.taken,
            max_upload=settings.max_upload,
            pixel_limit=settings.pixel_limit,
            needs_token=settings.token is not None,
        )
        return JSONResponse(answer.model_dump(), 200 if status == "ready" else 503)

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response, responses=described(401, 403))
    async def metrics() -> Response:
        return Response(figures.text(), media_type=MEDIA_TYPE)

    @app.get("/v1/progress/{name}", summary="How far a request is", responses=described(401, 403, 404))
    async def progress(name: str) -> ProgressAnswer:
        """`name` is what the request was sent with, in the header `Unveil-Request`: 16 to 64 letters, digits and
        hyphens that nobody can guess.
        """
        place = line.find(name)
        if place is None:
            raise Problem(404, "not_found", "No request of that name is being worked on.")
        return ProgressAnswer(state=place.state, before=line.before(place), done=place.done, total=place.total)


def _add_work(app: FastAPI, restorer: Restorer, settings: Settings, figures: Figures) -> None:
    failures = described(401, 403, 408, 413, 415, 422, 429, 500, 503)

    @app.post(
        RESTORE,
        summary="Restore a picture",
        response_class=Response,
        openapi_extra=_form_schema(Options.model_json_schema()["properties"]),
        responses={
            200: {
                "description": "The picture with its metadata, or JSON where the caller accepts only that. "
                "Headers: Unveil-Diagnosis, -Weights, -Later, -Untouched, -Notes (JSON), Unveil-Seconds.",
                "content": {
                    "image/*": {"schema": {"type": "string", "format": "binary"}},
                    "application/json": {"schema": RestoredAnswer.model_json_schema()},
                },
            },
            **failures,
        },
    )
    async def restore(request: Request) -> Response:
        form = await read_form(request)
        options = parse_options(form.fields)

        def task(tick: Tick) -> work.Restored:
            return work.restore(restorer, form, options, tick, pixel_limit=settings.pixel_limit)

        done = await _worked(request, task, settings, figures)
        return json_response(done) if _prefers_json(request) else picture_response(done)

    @app.post(DIAGNOSE, summary="Say what is wrong with a picture", openapi_extra=_form_schema({}), responses=failures)
    async def diagnose(request: Request) -> DiagnosisAnswer:
        form = await read_form(request)
        no_options(form.fields)

        def task(tick: Tick) -> work.Diagnosed:
            return work.diagnose(restorer, form, tick, pixel_limit=settings.pixel_limit, clock=time.perf_counter)

        done = await _worked(request, task, settings, figures)
        card, found = restorer.card, done.diagnosis
        return DiagnosisAnswer(
            **found.as_dict(),
            weights={} if found.is_clean else blending.weigh(card.blend, found.probabilities, card.degradations),
            picture=done.picture,
            notes=done.notes,
            seconds=round(done.seconds, 3),
        )


async def _worked(request: Request, task: Callable[[Tick], T], settings: Settings, figures: Figures) -> T:
    """Have the task done by the worker, unless the caller leaves or the time is over."""
    place: Place = request.state.place
    started = time.perf_counter()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working = asyncio.ensure_future(place.work(task, seconds=settings.timeout))
    leaving = asyncio.ensure_future(watch())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        done = working.result()
    except TimeoutError:
        raise Problem(
            503,
            "too_slow",
            f"It was not done within {settings.timeout:g} seconds; send a smaller picture, or come back later.",
            headers={"Retry-After": "30"},
        ) from None
    except ClientDisconnect:
        raise
    except Exception as error:
        raise explain(error) from error
    finally:
        for future in (working, leaving):
            future.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
    width, height = done.size
    figures.worked(request.url.path, seconds=done.seconds, pixels=width * height)
    request.state.facts.update(
        megapixels=round(width * height / 1e6, 3),
        work_seconds=round(done.seconds, 3),
        total_seconds=round(time.perf_counter() - started, 3),
    )
    return done


def _add_failures(app: FastAPI) -> None:
    async def fail(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        facts: dict[str, Any] = request.state.facts
        facts["error"] = problem.word
        if problem.status == 500:
            facts["failure"] = journal.where(problem.__cause__ or problem)
        return problem.response()

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {404: ("not_found", "There is nothing here."), 405: ("wrong_method", "This path wants another method.")}
        word, message = words.get(error.status_code, ("refused", str(error.detail)))
        return await fail(request, Problem(error.status_code, word, message, headers=error.headers))

    async def left(request: Request, _: Exception) -> Response:
        request.state.facts["error"] = "caller_left"
        return Response(status_code=CALLER_LEFT)

    app.add_exception_handler(Problem, fail)
    app.add_exception_handler(HTTPException, refuse)
    app.add_exception_handler(ClientDisconnect, left)


def _prefers_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "image/" not in accepted


def _form_schema(fields: dict[str, Any]) -> dict[str, Any]:
    properties = {"file": {"type": "string", "format": "binary", "description": "The picture."}, **fields}
    schema = {"type": "object", "required": ["file"], "properties": properties, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
