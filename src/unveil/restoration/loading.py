"""The three verbs of the package's face: load a model by name, and restore or diagnose with it in one call."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from numpy.typing import NDArray

from unveil import models
from unveil.restoration.diagnosis import Diagnosis
from unveil.restoration.options import Options
from unveil.restoration.restorer import Restorer

if TYPE_CHECKING:
    from unveil.images import Picture


def load(name_or_path: str | os.PathLike[str] | None = None, *, engine: str = "auto") -> Restorer:
    """A Restorer for a model of the catalogue, or for a model file; without a name, for the default model.

    `hf:owner/name`, `hf:owner/name@revision` and `hf:owner/name/file.safetensors` come from the Hugging Face hub
    (extra `hub`); they are kept in its cache.

    Raises:
        ModelNotFound, InvalidModel, ModelTooNew: see `unveil.errors`.
        MissingExtra: the engine is not installed.
    """
    return Restorer(models.read(models.find(name_or_path or models.DEFAULT)), engine=engine)


@overload
def restore(
    image: NDArray[Any],
    *,
    model: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    **options: Unpack[Options],
) -> NDArray[Any]: ...
@overload
def restore(
    image: str | os.PathLike[str] | Picture,
    *,
    model: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    **options: Unpack[Options],
) -> Picture: ...
def restore(
    image: Any, *, model: str | os.PathLike[str] | None = None, engine: str = "auto", **options: Unpack[Options]
) -> Any:
    """Restore an image with the default model or the one named; the options are those of `Restorer.run`.

    A path or a Picture gives a Picture; an array gives an array of the same shape and dtype. The model stays in memory
    for the next call.
    """
    return _keep(model, engine).run(image, **options).image


def diagnose(image: object, *, model: str | os.PathLike[str] | None = None, engine: str = "auto") -> Diagnosis:
    """Say what is wrong with an image, by the default model or the one named. The model stays in memory."""
    return _keep(model, engine).diagnose(image)


def _keep(model: str | os.PathLike[str] | None, engine: str) -> Restorer:
    path = models.find(model or models.DEFAULT).absolute()
    state = path.stat()
    return _kept(path, state.st_mtime_ns, state.st_size, engine)


@lru_cache(maxsize=2)
def _kept(path: Path, changed: int, size: int, engine: str) -> Restorer:
    """The time and the size are part of the key, so a model file that was replaced is read again."""
    return Restorer(models.read(path), engine=engine)
