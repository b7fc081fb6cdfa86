"""The table of explicit prompts (MiOIR): drawn once, or read from a file; never trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unveil.errors import InvalidModel, ModelNotFound
from unveil.methods.mioir.tasks import TASKS

SIDE = 128


def draw_prompts(seed: int) -> Tensor:
    """A table of uniform noise in 0..1, a row for each task: (7, 128, 128). The authors' own was drawn alike."""
    return torch.rand(len(TASKS), SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def read_prompts(path: Path | str) -> Tensor:
    """Read a table of prompts.

    Args:
        path: a `.npy` file with floats of shape (7, side, side), its rows in the order of `TASKS`.

    Returns:
        (7, side, side), float32.

    Raises:
        ModelNotFound: there is no such file.
        InvalidModel: it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such file.")
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidModel(f"{path}: no .npy file, or cut short ({error}).") from error
    if not isinstance(table, np.ndarray) or table.ndim != 3 or len(table) != len(TASKS) or table.dtype.kind != "f":
        found = f"{table.dtype} of shape {table.shape}" if isinstance(table, np.ndarray) else "several arrays"
        raise InvalidModel(
            f"{path}: holds {found}, expected floats of shape ({len(TASKS)}, side, side), the rows being "
            f"{', '.join(TASKS)}."
        )
    if not np.isfinite(table).all():
        raise InvalidModel(f"{path}: is not finite everywhere.")
    return torch.from_numpy(table.astype(np.float32))
