"""Checkpoints that a kill, a full disk or a damaged file cannot take away.

A checkpoint is written under another name, flushed to disk and read back before it gets its own. The `last.ckpt` that
it replaces stays beside it as `former.ckpt`, to go on from should the last one be damaged.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from unveil.errors import CheckpointError

LAST, FORMER, FINAL, DAMAGED = "last.ckpt", "former.ckpt", "final.ckpt", "damaged.ckpt"
PART = ".unveil-*.part"


class TrainingWarning(UserWarning):
    """Something about a run that its owner should know, though it goes on."""


class Checkpoints(TorchCheckpointIO):
    """What Lightning writes checkpoints with: those of one phase, in its folder.

    A `last.ckpt` that cannot be written costs nothing but a warning, and training goes on: the one before it is still
    there. Any other checkpoint that cannot be written raises CheckpointError.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._damaged = False

    def begin(self) -> tuple[Path | None, int]:
        """The checkpoint to go on from and its step; None and 0 where there is none.

        Raises:
            CheckpointError: there are checkpoints, and none of them can be read.
        """
        faults: list[str] = []
        for path in (self.folder / LAST, self.folder / FORMER):
            if not path.exists():
                continue
            try:
                step = check(path)
            except CheckpointError as error:
                self._damaged |= path.name == LAST
                faults.append(str(error))
                continue
            if faults:
                warnings.warn(f"{faults[0]}; going on from step {step} of {FORMER}", TrainingWarning, stacklevel=2)
            return path, step
        if faults:
            raise CheckpointError(f"{'; '.join(faults)}. Remove them to begin this phase anew, or restore a copy.")
        return None, 0

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None):
        target = Path(path)
        data = io.BytesIO()
        torch.save(checkpoint, data)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._place(data, target, checkpoint["global_step"])
        except OSError as error:
            said = self._described(target, error, data.getbuffer().nbytes)
            if target.name != LAST:
                raise CheckpointError(
                    f"{said}. Make room and give the same command; it goes on from {LAST}."
                ) from error
            warnings.warn(f"{said}; training goes on, and the one before it stays", TrainingWarning, stacklevel=2)

    def end(self) -> None:
        """The phase has its final checkpoint: the others go."""
        for path in (self.folder / LAST, self.folder / FORMER, *self.folder.glob(PART)):
            path.unlink(missing_ok=True)

    def _place(self, data: io.BytesIO, target: Path, step: int) -> None:
        temporary = target.parent / f".unveil-{secrets.token_hex(8)}.part"
        try:
            try:
                _write(data.getbuffer(), temporary)
            except OSError:
                # The last one alone is enough to go on from.
                if not (self.folder / LAST).exists() or self._damaged or not (self.folder / FORMER).exists():
                    raise
                temporary.unlink(missing_ok=True)
                (self.folder / FORMER).unlink()
                _write(data.getbuffer(), temporary)
            if not _reads_as(temporary, step):
                raise OSError(None, "what was written reads differently")
            if target.name == LAST and target.exists():
                target.replace(self.folder / (DAMAGED if self._damaged else FORMER))
                self._damaged = False
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _flush(target.parent)

    def _described(self, target: Path, error: OSError, needed: int) -> str:
        free = shutil.disk_usage(self.folder).free
        room = f"{needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free"
        return f"{target} cannot be written ({error.strerror or error}; {room})"


def check(path: Path) -> int:
    """The step of a checkpoint, every byte of which agrees with its checksums. Nothing is executed.

    Raises:
        CheckpointError: it is damaged or no checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            bad = parts.testzip()
        if bad is not None:
            raise CheckpointError(f"{path} is damaged (in {bad})")
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error})") from None


def place(data: bytes | memoryview, path: Path) -> None:
    """Write a small file beside checkpoints, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".unveil-{secrets.token_hex(8)}.part"
    try:
        _write(data, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush(path.parent)


def keep(found: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values as `torch.save` does, whole or not at all. Raises OSError."""
    data = io.BytesIO()
    torch.save(found, data)
    place(data.getbuffer(), path)


def _reads_as(path: Path, step: int) -> bool:
    try:
        return check(path) == step
    except CheckpointError:
        return False


def _write(data: bytes | memoryview, path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _flush(folder: Path) -> None:
    """Have new names survive a power cut, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
