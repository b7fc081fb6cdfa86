"""NIQE (Mittal et al. 2013): how natural a picture looks, without a truth. Lower is more natural.

The method is the paper's; the table of natural pictures was fitted by us (benchmarks/niqe.py), so figures cannot be
compared with those of other programs. It ranks degrees of one degradation far better than it compares pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest
from unveil.metrics.fidelity import Values, comparable
from unveil.metrics.protocols import luma

BLOCK = 96
SCALES = 2
TABLE = Path(__file__).with_name("niqe.npz")

Floats = NDArray[np.float64]

_SIDE, _SIGMA = 7, 7 / 6
_SHAPES = np.arange(0.2, 10.001, 0.001)
_FEWEST = 4
_SHARP = 0.75


@dataclass(frozen=True, slots=True)
class Natural:
    """What features of natural pictures are like: mean (36,) and covariance (36, 36)."""

    mean: Floats
    covariance: Floats


def niqe(picture: Values, *, natural: Natural | None = None) -> float:
    """The distance of a picture, H W 3, from natural ones; about 2 to 6 for photographs, more for damaged ones.

    uint8 and uint16 are divided by their range, floats clipped to 0 to 1. Pictures are cut to blocks of 96 x 96.

    Raises InvalidRequest for a picture of fewer than four blocks, or of another kind.
    """
    found = features(picture)[0]
    found = found[np.isfinite(found).all(1)]
    if len(found) < _FEWEST:
        raise InvalidRequest(f"NIQE needs {_FEWEST} blocks with something in them; found {len(found)}")
    model = natural or _shipped()
    gap = found.mean(0) - model.mean
    spread = (np.cov(found, rowvar=False) + model.covariance) / 2
    return math.sqrt(max(float(gap @ np.linalg.pinv(spread) @ gap), 0.0))


def features(picture: Values) -> tuple[Floats, Floats]:
    """Of every block the 36 features, (blocks, 36), and the sharpness, (blocks,), by which training blocks are chosen.

    Raises InvalidRequest as `niqe` does.
    """
    grey = np.round(luma(comparable(picture, picture)[0]) * 255)
    rows, columns = (side // BLOCK for side in grey.shape)
    if rows * columns < _FEWEST:
        raise InvalidRequest(
            f"a picture of {grey.shape[0]} x {grey.shape[1]} has {rows * columns} blocks of {BLOCK} x {BLOCK}; "
            f"NIQE needs at least {_FEWEST}"
        )
    grey = grey[: rows * BLOCK, : columns * BLOCK]
    gathered: list[Floats] = []
    sharpness = np.zeros(rows * columns)
    for scale in range(SCALES):
        normal, deviation = _normalised(grey)
        side = BLOCK >> scale
        gathered.append(_statistics(_blocks(normal, side)))
        if scale == 0:
            sharpness = _blocks(deviation, side).mean((1, 2))
        grey = grey.reshape(grey.shape[0] // 2, 2, grey.shape[1] // 2, 2).mean((1, 3))
    return np.concatenate(gathered, 1), sharpness


def fit(pictures: list[tuple[Floats, Floats]]) -> Natural:
    """The table of natural pictures, of what `features` gives for each: their sharp blocks alone."""
    chosen = np.concatenate([found[sharp > _SHARP * sharp.max()] for found, sharp in pictures])
    chosen = chosen[np.isfinite(chosen).all(1)]
    return Natural(chosen.mean(0), np.cov(chosen, rowvar=False))


@cache
def _shipped() -> Natural:
    with np.load(TABLE) as stored:
        return Natural(stored["mean"].astype(np.float64), stored["covariance"].astype(np.float64))


def _normalised(grey: Floats) -> tuple[Floats, Floats]:
    """Every pixel less the mean around it and divided by the deviation around it; and that deviation."""
    mean = _smooth(grey)
    deviation = np.sqrt(np.abs(_smooth(grey * grey) - mean * mean))
    return (grey - mean) / (deviation + 1), deviation


def _smooth(values: Floats) -> Floats:
    place = np.arange(_SIDE) - _SIDE // 2
    weights = np.exp(-place * place / (2 * _SIGMA * _SIGMA))
    weights /= weights.sum()
    for _ in range(2):
        padded = np.pad(values, ((_SIDE // 2, _SIDE // 2), (0, 0)), mode="edge")
        values = sum(
            (weight * padded[at : at + values.shape[0]] for at, weight in enumerate(weights)),
            start=np.zeros_like(values),
        ).T
    return np.ascontiguousarray(values)


def _blocks(values: Floats, side: int) -> Floats:
    rows, columns = values.shape[0] // side, values.shape[1] // side
    return values.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _statistics(blocks: Floats) -> Floats:
    """18 features of each block: shape and width of its values, and of their products with four neighbours."""
    shape, left, right = _fitted(blocks)
    columns = [shape, (left + right) / 2]
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        product = blocks * np.roll(blocks, (down, across), (1, 2))
        shape, left, right = _fitted(product)
        middle = (right - left) * _ratio(shape, 2) / np.sqrt(_ratio(shape, 1) * _ratio(shape, 3))
        columns += [shape, middle, left, right]
    return np.stack(columns, 1)


def _fitted(blocks: Floats) -> tuple[Floats, Floats, Floats]:
    """Asymmetric generalised Gaussians by their moments: shape, left and right width, each (blocks,)."""
    flat = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((flat**2 * (flat < 0)).sum(1) / (flat < 0).sum(1))
        right = np.sqrt((flat**2 * (flat > 0)).sum(1) / (flat > 0).sum(1))
        lean = left / right
        spread = np.abs(flat).mean(1) ** 2 / (flat**2).mean(1)
        wanted = spread * (lean**3 + 1) * (lean + 1) / (lean**2 + 1) ** 2
        place = cast("NDArray[np.intp]", np.searchsorted(_known()[:-1], wanted))
        shape = np.where(np.isfinite(wanted), _SHAPES[place], np.nan)
        scale = np.sqrt(_ratio(shape, 1) / _ratio(shape, 3))
    return shape, left * scale, right * scale


@cache
def _known() -> Floats:
    """What the ratio of moments is for every shape tried; it grows with the shape."""
    return _ratio(_SHAPES, 2) ** 2 / (_ratio(_SHAPES, 1) * _ratio(_SHAPES, 3))


def _ratio(shape: Floats, count: int) -> Floats:
    """Gamma(count / shape)."""
    return np.array([math.gamma(count / value) if value == value else math.nan for value in shape])
