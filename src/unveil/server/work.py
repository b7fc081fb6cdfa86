"""What the worker does for one request, from the bytes of a file to an answer. Runs in the worker's thread only."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from unveil.errors import InvalidRequest, PictureError
from unveil.images import FORMATS, Picture, PictureWarning, encode, read
from unveil.images.formats import recognise
from unveil.images.metadata import has_position, strip
from unveil.restoration import Diagnosis, Restorer
from unveil.restoration.prompting import weights_of
from unveil.server.forms import Form
from unveil.server.line import Tick
from unveil.server.options import Options
from unveil.server.problems import Problem

MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "tiff": "image/tiff",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "heic": "image/heic",
    "gif": "image/gif",
}


@dataclass(frozen=True, slots=True)
class Restored:
    """A finished file and how it came about; `size` is width and height of what was worked on."""

    data: bytes
    media_type: str
    file_name: str
    size: tuple[int, int]
    diagnosis: Diagnosis | None
    weights: dict[str, float]
    untouched: bool
    seconds: float
    notes: list[str] = field(default_factory=list[str])
    later: list[dict[str, float]] = field(default_factory=list[dict[str, float]])


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """What is wrong with a picture, and what else its file says."""

    diagnosis: Diagnosis
    picture: dict[str, Any]
    size: tuple[int, int]
    seconds: float
    notes: list[str] = field(default_factory=list[str])


def restore(restorer: Restorer, form: Form, options: Options, tick: Tick, *, pixel_limit: int) -> Restored:
    """Restore the uploaded picture and write it as asked.

    Raises:
        Problem, UnveilError: see `problems.explain`.
        Dropped: by way of `tick`, when nobody waits any more.
    """
    with _noting() as notes:
        picture = _read(form.data, pixel_limit)
        tick(0, 0)
        name = _format_for(picture, options)
        weights = options.weights if options.prompt is None else weights_of(options.prompt, restorer.card)
        if options.region is None:
            done = restorer.run(
                picture,
                strength=options.strength,
                weights=weights,
                only=options.only,
                blend=options.blend,
                rounds=options.rounds,
                ensemble=options.ensemble,
                progress=tick,
            )
            later = list(done.later)
            found, weights, untouched, seconds, result = (
                done.diagnosis,
                done.weights,
                done.untouched,
                done.seconds,
                done.image,
            )
        else:
            later = []
            found, weights, untouched, seconds, result = _restore_part(
                restorer, picture, options, weights, options.region, tick
            )
        tick(0, 0)
        if untouched and name == picture.format and not options.asks_for_encoding:
            # Encoding it once more would cost quality for nothing.
            data = form.data
        else:
            data = encode(strip(result, options.strip), name, quality=options.quality)
        return Restored(
            data=data,
            media_type=MEDIA_TYPES[name],
            file_name=(PurePath(form.name).stem or "picture") + ".restored" + FORMATS[name].suffixes[0],
            size=(picture.width, picture.height),
            diagnosis=found,
            weights=weights,
            untouched=untouched,
            seconds=seconds,
            later=later,
            notes=notes,
        )


def diagnose(restorer: Restorer, form: Form, tick: Tick, *, pixel_limit: int, clock: Callable[[], float]) -> Diagnosed:
    """Say what is wrong with the uploaded picture. Raises as `restore` does."""
    started = clock()
    with _noting() as notes:
        picture = _read(form.data, pixel_limit)
        tick(0, 0)
        found = restorer.diagnose(picture)
    about = {
        "width": picture.width,
        "height": picture.height,
        "depth": picture.depth,
        "grey": picture.is_grey,
        "alpha": picture.alpha is not None,
        "format": picture.format,
        "profile": picture.icc is not None,
        "exif": picture.exif is not None,
        "xmp": picture.xmp is not None,
        "location": has_position(picture),
    }
    return Diagnosed(found, about, (picture.width, picture.height), clock() - started, notes)


def _read(data: bytes, pixel_limit: int) -> Picture:
    if not data:
        raise Problem(422, "bad_picture", "The file is empty.")
    try:
        recognise(io.BytesIO(data), None)
    except PictureError as error:
        raise Problem(415, "unsupported_picture", f"The file cannot be used: {error.cause}.") from error
    return read(data, pixel_limit=pixel_limit)


def _format_for(picture: Picture, options: Options) -> str:
    if options.format != "same":
        return options.format
    if FORMATS[picture.format].writable:
        return picture.format
    return "png" if picture.depth == 16 or picture.alpha is not None else "jpeg"


def _restore_part(
    restorer: Restorer,
    picture: Picture,
    options: Options,
    asked: dict[str, float] | None,
    region: tuple[int, int, int, int],
    tick: Tick,
) -> tuple[Diagnosis | None, dict[str, float], bool, float, Picture]:
    """A part of the picture, diagnosed as a whole; a margin keeps the cut out of sight of the network."""
    left, top, width, height = region
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > picture.width or top + height > picture.height:
        raise InvalidRequest(f"region {region} does not lie within {picture.width} x {picture.height} pixels.")
    found, weights = restorer.choose(picture, weights=asked, only=options.only, blend=options.blend)
    if weights is None:
        return found, {}, True, 0.0, _cut(picture, left, top, left + width, top + height)
    # Cut on the network's own grid, or it answers differently than on the whole picture.
    margin, stride = restorer.card.halo, restorer.card.stride
    outer_left, outer_top = (max(start - margin, 0) // stride * stride for start in (left, top))
    outer_right, outer_bottom = min(left + width + margin, picture.width), min(top + height + margin, picture.height)
    outer = _cut(picture, outer_left, outer_top, outer_right, outer_bottom)
    done = restorer.run(
        outer,
        strength=options.strength,
        weights=weights,
        ensemble=options.ensemble,
        context=picture,
        progress=tick,
    )
    inner_left, inner_top = left - outer_left, top - outer_top
    inner = _cut(done.image, inner_left, inner_top, inner_left + width, inner_top + height)
    return found, done.weights, done.untouched, done.seconds, inner


def _cut(picture: Picture, left: int, top: int, right: int, bottom: int) -> Picture:
    alpha = picture.alpha
    return replace(
        picture,
        pixels=np.ascontiguousarray(picture.pixels[top:bottom, left:right]),
        alpha=None if alpha is None else np.ascontiguousarray(alpha[top:bottom, left:right]),
        exif=None,
        xmp=None,
    )


@contextmanager
def _noting() -> Generator[list[str]]:
    """Inside, what `PictureWarning` says of a picture is collected.

    Filters of warnings belong to the whole process; there is only one worker, so nobody else turns them meanwhile.
    """
    notes: list[str] = []

    def note(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, PictureWarning):
            notes.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", PictureWarning)
        warnings.showwarning = note
        yield notes
