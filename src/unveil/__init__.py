"""Finds out what is wrong with a photograph and undoes it.

    import unveil

    restored = unveil.restore("photo.jpg")       # a Picture; for a NumPy array, an array of the same shape and dtype
    unveil.write(restored, "restored.jpg")
    print(unveil.diagnose("photo.jpg"))

    restorer = unveil.load("abair-fast")         # keep it for many pictures
    result = restorer.run("photo.jpg", strength=0.8)
    for result in restorer.run_many("holiday/"):
        unveil.write(result.image, result.source.with_suffix(".restored.png"))

Importing this package loads nothing heavy, not even NumPy; that happens at the first use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from unveil.errors import (
    CheckpointError,
    DataError,
    DataSetMissing,
    Diverged,
    DownloadFailed,
    EngineError,
    InvalidModel,
    InvalidRequest,
    MissingExtra,
    ModelError,
    ModelNotFound,
    ModelTooNew,
    OutOfMemory,
    OutputExists,
    PictureError,
    PictureTooLarge,
    RecipeError,
    StoreError,
    TrainingError,
    UnknownNetwork,
    UnreadablePicture,
    UnsafeArchive,
    UnsupportedPicture,
    UnveilError,
    UnwritablePicture,
)

# ONNX Runtime from 1.29 on marks the machine and reports to its makers, unless it is told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from unveil.images import Picture, read, write
    from unveil.restoration import Diagnosis, Restoration, Restorer, diagnose, load, restore

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "DataError",
    "DataSetMissing",
    "Diagnosis",
    "Diverged",
    "DownloadFailed",
    "EngineError",
    "InvalidModel",
    "InvalidRequest",
    "MissingExtra",
    "ModelError",
    "ModelNotFound",
    "ModelTooNew",
    "OutOfMemory",
    "OutputExists",
    "Picture",
    "PictureError",
    "PictureTooLarge",
    "RecipeError",
    "Restoration",
    "Restorer",
    "StoreError",
    "TrainingError",
    "UnknownNetwork",
    "UnreadablePicture",
    "UnsafeArchive",
    "UnsupportedPicture",
    "UnveilError",
    "UnwritablePicture",
    "__version__",
    "diagnose",
    "load",
    "read",
    "restore",
    "write",
]

_HOMES = {
    "Picture": "unveil.images",
    "read": "unveil.images",
    "write": "unveil.images",
    "Diagnosis": "unveil.restoration",
    "Restoration": "unveil.restoration",
    "Restorer": "unveil.restoration",
    "diagnose": "unveil.restoration",
    "load": "unveil.restoration",
    "restore": "unveil.restoration",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unveil' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
