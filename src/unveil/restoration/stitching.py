"""Runs a network over the tiles of a picture and stitches them; only one band of tiles is ever in floating point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import EngineError
from unveil.restoration.tiles import Plan

Run = Callable[[NDArray[np.float32]], NDArray[Any]]
Progress = Callable[[int, int], object]


def restore_tiles(
    pixels: NDArray[Any],
    out: NDArray[Any],
    plan: Plan,
    run: Run,
    *,
    strength: float = 1.0,
    progress: Progress | None = None,
) -> None:
    """Restore `pixels` into `out`.

    Args:
        pixels: H W C; uint8, uint16 or float 0..1. C is 3, or 1: repeated for the network, whose answers are averaged.
        out: same shape and dtype; rows are written as soon as they are finished. Integers are rounded.
        plan: made for this height and width.
        run: `1 3 h w` float32 in 0..1 -> the same, for h and w of the plan's tiles.
        strength: 1 gives the network's answer, 0 the input, between them a mixture.
        progress: called with the tiles done and their number after every tile. What it raises ends the work.

    Raises:
        EngineError: the network answers with another shape, or with values that are not numbers.
    """
    rows, columns = plan.rows, plan.columns
    width, channels = pixels.shape[1:]
    band = np.zeros((channels, min(rows.tile, rows.length), width), dtype=np.float32)
    done = 0
    for index, top in enumerate(rows.origins):
        height = min(rows.tile, rows.length - top)
        for left, shares in zip(columns.origins, columns.weights, strict=True):
            tile = cut(pixels, top, left, rows.tile, columns.tile)
            result = _mix(tile, run(tile), strength)
            result = result.mean(axis=0, keepdims=True) if channels == 1 else result
            result *= np.outer(rows.weights[index], shares)
            band[:, :height, left : left + columns.tile] += result[:, :height, : width - left]
            done += 1
            if progress is not None:
                progress(done, plan.count)
        # The next band of tiles adds nothing above its own origin.
        finished = height if index + 1 == len(rows.origins) else rows.origins[index + 1] - top
        _write(band[:, :finished], out[top : top + finished])
        kept = band.shape[1] - finished
        band[:, :kept] = band[:, finished:].copy()
        band[:, kept:] = 0


def cut(pixels: NDArray[Any], top: int, left: int, height: int, width: int) -> NDArray[np.float32]:
    """One tile as a network wants it: `1 3 height width`, float32, 0..1; beyond the picture it is reflected."""
    tile = pixels
    for axis, start, size in ((0, top, height), (1, left, width)):
        if start + size <= pixels.shape[axis]:
            tile = tile[start : start + size] if axis == 0 else tile[:, start : start + size]
        else:
            tile = np.take(tile, reflect(start, size, pixels.shape[axis]), axis=axis)
    return to_network(tile)


def to_network(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """H W C of any depth -> `1 3 H W`, float32, 0..1. Grey is repeated; floats a little outside of 0..1 are clipped."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
    if pixels.dtype.kind == "u":
        planes *= np.float32(1 / np.iinfo(pixels.dtype).max)
    else:
        np.clip(planes, 0, 1, out=planes)
    return (planes if planes.shape[0] == 3 else np.repeat(planes, 3, axis=0))[None]


def reflect(start: int, size: int, length: int) -> NDArray[np.intp]:
    """Indices start .. start + size of an axis of this length, mirrored at its ends; the last pixel is not repeated."""
    if length == 1:
        return np.zeros(size, dtype=np.intp)
    period = 2 * (length - 1)
    indices = np.arange(start, start + size, dtype=np.intp) % period
    return np.minimum(indices, period - indices)


def _mix(tile: NDArray[np.float32], restored: NDArray[Any], strength: float) -> NDArray[np.float32]:
    """The answer of the network mixed with its input, as a new array `3 H W`."""
    if restored.shape != tile.shape:
        raise EngineError(f"the network answered a tile of shape {tile.shape} with shape {restored.shape}.")
    if not np.isfinite(restored).all():
        raise EngineError("the network answered with values that are not numbers; its weights or the blend are broken.")
    mixed = np.clip(restored, 0, 1, dtype=np.float32)
    if strength != 1:
        mixed -= tile
        mixed *= np.float32(strength)
        mixed += tile
    return mixed[0]


def _write(rows: NDArray[np.float32], out: NDArray[Any]) -> None:
    """`C H W` in 0..1, which is overwritten, into H W C of the result's own depth."""
    if out.dtype.kind == "u":
        top = np.iinfo(out.dtype).max
        rows *= np.float32(top)
        np.rint(rows, out=rows)
        # Shares sum to one only to seven digits, which at 65535 is still no step, but a wrap around would be black.
        np.minimum(rows, top, out=rows)
    np.copyto(out, rows.transpose(1, 2, 0), casting="unsafe")
