"""Many images, one after the other: folders, lists, generators and batches of arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sized
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest, PictureError
from unveil.restoration.result import Restoration

Count = Callable[[int, int | None], object]
"""Called with the images done and their number, or None where that is not known. What it raises ends the work."""

Failure = Callable[[object, PictureError], object]
"""Called with an image that cannot be read, and the error. What it raises ends the work."""


def run_many(
    images: object,
    run: Callable[[object], Restoration],
    *,
    on_image: Count | None = None,
    on_error: Failure | None = None,
) -> Generator[Restoration]:
    """Run each of `images` (see `Restorer.run_many`) when its restoration is asked for."""
    listed = _listed(images)
    total = len(listed) if isinstance(listed, Sized) else None
    return _each(listed, run, total, on_image, on_error)


def _each(
    images: Iterable[object],
    run: Callable[[object], Restoration],
    total: int | None,
    on_image: Count | None,
    on_error: Failure | None,
) -> Generator[Restoration]:
    for done, image in enumerate(images, 1):
        try:
            restoration = run(image)
        except PictureError as error:
            if on_error is None:
                raise
            on_error(image, error)
        else:
            yield restoration
        if on_image is not None:
            on_image(done, total)


def _listed(images: object) -> Iterable[object]:
    """A folder as the list of its pictures, a batch as its arrays, anything else as it is."""
    if isinstance(images, str | os.PathLike):
        from unveil.images.folders import pictures_below

        folder = Path(cast("str | os.PathLike[str]", images))
        if not folder.is_dir():
            raise InvalidRequest(f"{folder} is no folder; for one picture there is run, and run_many takes a list.")
        return list(pictures_below(folder))
    if isinstance(images, np.ndarray):
        batch = cast("NDArray[Any]", images)
        if batch.ndim != 4:
            raise InvalidRequest(f"An array of shape {batch.shape} is no batch; expected B H W C.")
        return list(batch)
    if not isinstance(images, Iterable):
        raise InvalidRequest(f"A {type(images).__name__} is no series of images; give a folder, a list or a batch.")
    return cast("Iterable[object]", images)
