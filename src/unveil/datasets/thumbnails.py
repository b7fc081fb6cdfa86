"""Pictures that occur in two folders, found by comparing small grey copies.

Ours. A window of a picture is described by the 67 cosines of its 16 x 16 grey values whose frequency lies between 1.5
and 9, each times its frequency, at unit length: what all skies over all grounds share is gone, and brightness and
contrast play no part. The similarity of two windows is the scalar product of their descriptions, 1 for the same scene.
Windows are the whole picture, crops of 70 to 95 % of its sides, and squares as high as it; a whole picture is compared
with all windows of the other, both ways. docs/how-to/prepare-data.md says what that finds, as measured by
benchmarks/overlap.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.datasets import headers, patterns
from unveil.datasets.watching import SILENT, Watch
from unveil.errors import DataSetMissing, PictureError, UnreadablePicture
from unveil.images import bmp, libvips

Values = NDArray[np.float32]

SMALL = 64
SIDE = 16
LOWEST, HIGHEST = 1.5, 9.0
THRESHOLD = 0.85
_SHARES = (0.95, 0.9, 0.8, 0.7)
_STEPS = 5
_SQUARES = 7
_FLAT = 60.0
_ROWS = 256


@dataclass(frozen=True, slots=True)
class Twin:
    """A picture of the first folder and the one of the second that is most like it; similarity up to 1."""

    first: str
    second: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Twins of two folders, most similar first; `unreadable` pictures were left out, `flat` ones too (a grey wall is
    like every other).
    """

    twins: tuple[Twin, ...]
    compared: tuple[int, int]
    unreadable: tuple[str, ...]
    flat: tuple[str, ...]


def compare(first: Path, second: Path, *, threshold: float = THRESHOLD, watch: Watch = SILENT) -> Comparison:
    """Pictures of `first` that show the same scene as one of `second`, whole or as a crop of most of it.

    Mirrored, turned and recoloured copies are not found. Takes about 14 KB of memory a picture.

    Raises DataSetMissing for a folder without pictures.
    """
    unreadable: list[str] = []
    flat: list[str] = []
    left = _Described.of(first, unreadable, flat, watch)
    right = _Described.of(second, unreadable, flat, watch)
    best: dict[str, Twin] = {}
    # The whole of one against all windows of the other, both ways: a crop may lie in either folder.
    for wholes, windows, swapped in ((left, right, False), (right, left, True)):
        for row, column, similarity in _nearest(wholes.wholes, windows, threshold):
            a, b = wholes.names[row], windows.names[column]
            twin = Twin(b, a, similarity) if swapped else Twin(a, b, similarity)
            if twin.first not in best or best[twin.first].similarity < similarity:
                best[twin.first] = twin
    twins = tuple(sorted(best.values(), key=lambda twin: (-twin.similarity, twin.first)))
    return Comparison(twins, (len(left.names), len(right.names)), tuple(unreadable), tuple(flat))


@dataclass(frozen=True, slots=True)
class _Described:
    """N pictures with W windows each. wholes: N x F; windows: N x W x F, at half precision; both unit vectors."""

    names: tuple[str, ...]
    wholes: Values
    windows: NDArray[np.float16]

    @classmethod
    def of(cls, folder: Path, unreadable: list[str], flat: list[str], watch: Watch) -> _Described:
        paths = patterns.pictures_below(folder) if folder.is_dir() else []
        if not paths:
            raise DataSetMissing(f"{folder} has no pictures to compare")
        names: list[str] = []
        described: list[NDArray[np.float16]] = []
        for done, path in enumerate(paths, 1):
            watch.tick(f"looking at {folder.name}", done, len(paths))
            try:
                grey, shape = _small(folder / path)
            except PictureError:
                unreadable.append(str(folder / path))
                continue
            windows = _windows(grey, shape)
            if windows is None:
                flat.append(str(folder / path))
                continue
            names.append(path)
            described.append(windows.astype(np.float16))
        if not names:
            raise DataSetMissing(f"{folder} has no picture that can be compared; all are unreadable or flat")
        stacked = np.stack(described)
        return cls(tuple(names), stacked[:, 0].astype(np.float32), stacked)


def _nearest(wholes: Values, described: _Described, threshold: float) -> Iterator[tuple[int, int, float]]:
    """Row of `wholes`, picture and similarity of all that are at or above the threshold."""
    count, windows, size = described.windows.shape
    for top in range(0, count, _ROWS):
        flattened = described.windows[top : top + _ROWS].astype(np.float32).reshape(-1, size)
        likeness = (wholes @ flattened.T).reshape(len(wholes), -1, windows).max(axis=2)
        for row, column in zip(*np.nonzero(likeness >= threshold), strict=True):
            yield int(row), top + int(column), float(likeness[row, column])


def _small(path: Path) -> tuple[Values, tuple[int, int]]:
    """The picture as 64 x 64 grey values, 0 to 255, whatever its shape was, and its width and height."""
    vips = libvips.load()
    try:
        if path.suffix.lower() == ".bmp":
            with path.open("rb") as stream:
                image: Any = libvips.image_of(bmp.decode(stream, path, "bmp", 250_000_000).values)
            image = image.thumbnail_image(SMALL, height=SMALL, size="force")
        else:
            image = vips.Image.thumbnail(str(path), SMALL, height=SMALL, size="force")
        if image.hasalpha():
            image = image.flatten()
        values = libvips.array_of(image.colourspace("b-w").cast("uchar"))
    except vips.Error as error:
        raise UnreadablePicture(path, f"cannot be decoded ({libvips.reason(error)})") from error
    except OSError as error:
        raise UnreadablePicture(path, f"cannot be read ({error.strerror or error})") from error
    return values[:, :, 0].astype(np.float32), headers.read_size(path)


def _windows(grey: Values, shape: tuple[int, int]) -> Values | None:
    """W x F unit vectors, the whole picture first; None for a flat picture. `shape` is its width and height."""
    whole = _operator(0, SMALL)
    cosines = [whole @ grey @ whole.T]
    for share in _SHARES:
        side = round(SMALL * share)
        along = [_operator(start, side) for start in _starts(side, _STEPS)]
        cosines += [rows @ grey @ columns.T for rows in along for columns in along]
    side = round(SMALL * min(shape) / max(shape))
    for start in _starts(side, _SQUARES):
        part = _operator(start, side)
        cosines.append(whole @ grey @ part.T if shape[0] >= shape[1] else part @ grey @ whole.T)
    weighted = np.stack(cosines)[:, _BAND] * _WEIGHTS
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    return None if lengths[0, 0] < _FLAT else weighted / np.maximum(lengths, _FLAT)


def _starts(side: int, steps: int) -> list[int]:
    return [round(at * (SMALL - side) / (steps - 1)) for at in range(steps)]


@cache
def _operator(start: int, side: int) -> Values:
    """N x 64: takes a column of 64 values to the N lowest cosines of 16 means over equal parts of `start` and on."""
    edges = start + side * np.arange(SIDE + 1) / SIDE
    cells = np.arange(SMALL)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    means = np.clip(overlap, 0, None) * (SIDE / side)
    places = (2 * np.arange(SIDE) + 1) * np.pi / (2 * SIDE)
    frequency = np.arange(len(_FREQUENCY))[:, None]
    cosines = np.cos(frequency * places) * np.sqrt(np.where(frequency == 0, 1, 2) / SIDE)
    return (cosines @ means).astype(np.float32)


_FREQUENCY = np.hypot(*np.meshgrid(np.arange(int(HIGHEST)), np.arange(int(HIGHEST))))
_BAND = (_FREQUENCY > LOWEST) & (_FREQUENCY < HIGHEST)
_WEIGHTS = _FREQUENCY[_BAND].astype(np.float32)
