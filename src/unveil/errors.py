"""Every error a user of unveil can meet.

UnveilError
├── PictureError            something is wrong with a picture file
│   ├── UnreadablePicture   missing, empty, truncated, or not a picture
│   ├── UnsupportedPicture  a picture, but of a kind that is refused (camera RAW, floating point, ...)
│   ├── PictureTooLarge     more pixels than the limit
│   ├── UnwritablePicture   the result cannot be written as asked
│   └── OutputExists        the output is already there and overwriting was not asked for
├── ModelError              something is wrong with a model file
│   ├── ModelNotFound       no bundled or user model has this name, no file this path; or not to be had from the hub
│   ├── InvalidModel        not a model file, or one with parts missing, foreign or changed
│   ├── ModelTooNew         written in a format that this version does not know
│   └── UnknownNetwork      weights of no network that is known, or of several mixed up
├── EngineError             an engine cannot run this model
│   ├── OutOfMemory         there is no memory for a tile of this size
│   └── MissingExtra        a package of an optional extra is not installed
├── InvalidRequest          an argument contradicts another one, or names what the model does not have
├── RecipeError             a training recipe is wrong
├── TrainingError           a run of training cannot go on
│   ├── Diverged            its loss or gradients are no numbers
│   └── CheckpointError     a checkpoint cannot be written, or none of those that are there can be read
├── StoreError              a folder or an object store does not answer, or forbids what is asked of it
└── DataError               something is wrong with a data set
    ├── DataSetMissing      a set, or a part of it, is not where it was looked for
    ├── DownloadFailed      a server did not give what was asked for
    └── UnsafeArchive       an archive that would write outside its folder or fill the disk

Every message says what was found, what was expected, and what to do next.
"""

from __future__ import annotations

from os import PathLike, fspath


class UnveilError(Exception):
    """Base of all errors that unveil raises on purpose."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as a machine does that is shut down."""


class PictureError(UnveilError):
    """Something is wrong with one picture file. `path` names it, `cause` says what."""

    def __init__(self, path: str | PathLike[str] | None, cause: str) -> None:
        self.path = None if path is None else fspath(path)
        self.cause = cause
        super().__init__(f"{self.path}: {cause}" if self.path else cause)


class UnreadablePicture(PictureError):
    """Raised when a file is missing, empty, truncated, or in no known picture format."""


class UnsupportedPicture(PictureError):
    """Raised when a picture is of a kind that unveil refuses, with advice on what to convert it to."""


class PictureTooLarge(PictureError):
    """Raised before decoding a picture that has more pixels than the limit allows."""


class UnwritablePicture(PictureError):
    """Raised when a result cannot be written: unknown format, folder missing, disk full, no permission."""


class OutputExists(PictureError):
    """Raised when the output file exists and overwriting it was not asked for."""


class ModelError(UnveilError):
    """Something is wrong with a model file."""


class ModelNotFound(ModelError):
    """Raised when a name is not in the catalogue, no file lies at the path, or the hub does not give it."""


class InvalidModel(ModelError):
    """Raised when a file is not a model file, or when a part of it is missing, foreign or changed."""


class ModelTooNew(ModelError):
    """Raised when a model file has a format number that this version of unveil does not know."""


class UnknownNetwork(ModelError):
    """Raised when weights belong to no network of the table, or to several; says what was recognised and what lacks."""


class EngineError(UnveilError):
    """Raised when an engine cannot open or run a network."""


class OutOfMemory(EngineError):
    """Raised when there is no memory for a tile of this size."""


class MissingExtra(EngineError):
    """Raised when a package of an optional extra is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs the extra '{extra}': pip install 'unveil[{extra}]'")


class InvalidRequest(UnveilError, ValueError):
    """Raised when an argument is out of range, contradicts another, or names what the model does not have."""


class RecipeError(UnveilError):
    """Raised when a training recipe has an unknown key, a missing one, or a value that cannot work."""


class TrainingError(UnveilError):
    """A run of training cannot go on."""


class Diverged(TrainingError):
    """Raised when the loss or the gradients of a step are no numbers, before the step reaches the weights."""


class CheckpointError(TrainingError):
    """Raised when a checkpoint cannot be written, or when none of those that are there can be read."""


class StoreError(UnveilError):
    """Raised when a folder or an object store cannot be reached, listed, read or written; says what it answered."""


class DataError(UnveilError):
    """Something is wrong with a data set, or with a file it is made from."""


class DataSetMissing(DataError):
    """Raised when a set, or a part of one, is not where it was looked for; says what was expected there."""


class DownloadFailed(DataError):
    """Raised when a server does not give a file, gives another one than before, or the disk is too small for it."""


class UnsafeArchive(DataError):
    """Raised for an archive whose files would lie outside the folder they are unpacked in, or fill the disk."""
