"""Depth maps from files, as MiOIR's haze takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from unveil.errors import DataError, MissingExtra

DEPTHS = (".npy", ".mat", ".png")

VARIABLE = "data_obj"
"""Of the authors' MATLAB files."""


def read_depth(path: Path, height: int, width: int) -> NDArray[np.float32]:
    """A depth map, larger where it is farther, for a picture of this size.

    A map of another size is resized bilinearly, as the authors enlarge theirs four times.

    Args:
        path: `.npy` (H W), `.mat` (the variable `data_obj`, or the only matrix; needs SciPy), or a grey `.png` of 8 or
            16 bits.

    Returns:
        (height, width), float32, in the file's own unit.

    Raises:
        DataError: it is no depth map.
        MissingExtra: a MATLAB file without SciPy.
    """
    try:
        found = np.asarray(_load(path))
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError(f"{path}: no depth map that can be read ({error})") from error
    if found.ndim != 2 or found.dtype.kind not in "uif" or not found.size or not np.isfinite(found).all():
        raise DataError(f"{path}: found {found.dtype} of shape {found.shape}, expected finite numbers, height by width")
    depth = torch.from_numpy(found.astype(np.float32))
    if depth.min() < 0 or depth.max() <= 0:
        raise DataError(
            f"{path}: depths go from {float(depth.min()):g} to {float(depth.max()):g}, expected 0 and above"
        )
    if found.shape != (height, width):
        size = (height, width)
        depth = torch.nn.functional.interpolate(depth[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return depth.numpy()


def _load(path: Path) -> Any:
    if path.suffix.lower() == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix.lower() == ".png":
        with Image.open(path) as opened:
            return np.asarray(opened)
    try:
        from scipy.io import loadmat
    except ImportError:
        raise MissingExtra("reading MATLAB files", "train") from None
    variables = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    matrices = [value for value in variables.values() if np.ndim(value) == 2]
    if VARIABLE not in variables and len(matrices) != 1:
        raise ValueError(f"variables {', '.join(variables) or 'none'}, expected {VARIABLE}")
    return variables.get(VARIABLE, matrices[0])
