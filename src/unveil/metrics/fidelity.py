"""PSNR and SSIM: the one truth for reports and tables. NumPy only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest

Values = NDArray[Any]

WINDOW = 7
_STRIP_ROWS = 64
_C1, _C2 = 0.01**2, 0.03**2


def psnr(a: Values, b: Values, *, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB over all values of two pictures of any same shape; infinite for equal
    pictures.

    uint8 and uint16 are divided by their range; floats lie in 0 to `peak` and are clipped to it, without rounding to 8
    bits. On RGB this is the convention of AirNet, PromptIR and their descendants (PromptIR, utils/val_utils.py).

    Raises InvalidRequest for differing shapes, an empty picture, or other types.
    """
    first, second = _comparable(a, b, peak=peak)
    difference = (first - second).ravel()
    error = float(np.dot(difference, difference)) / difference.size
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(a: Values, b: Values) -> float:
    """Mean structural similarity of two pictures, H W or H W C, at least 7 x 7; 1 for equal pictures.

    Wang et al. 2004 as scikit-image computes it by default and as the PromptIR family reports it: uniform window of
    7 x 7, data range 1, sample covariance (N / (N - 1)), mean over the windows that lie wholly inside, then over
    the channels. uint8 and uint16 are divided by their range, floats clipped to 0 to 1.

    Raises InvalidRequest for differing shapes, pictures smaller than the window, or other types.
    """
    first, second = _comparable(a, b)
    if first.ndim not in (2, 3) or min(first.shape[:2]) < WINDOW:
        raise InvalidRequest(f"shape is {first.shape}; expected (H, W) or (H, W, C) of at least {WINDOW} x {WINDOW}")
    if first.ndim == 2:
        return _one_channel(first, second)
    return float(np.mean([_one_channel(first[..., c], second[..., c]) for c in range(first.shape[2])]))


def _one_channel(a: Values, b: Values) -> float:
    height, width = a.shape[0] + 1 - WINDOW, a.shape[1] + 1 - WINDOW
    total = 0.0
    for top in range(0, height, _STRIP_ROWS):
        rows = slice(top, min(top + _STRIP_ROWS, height) + WINDOW - 1)
        total += _similarity(np.ascontiguousarray(a[rows]), np.ascontiguousarray(b[rows]))
    return total / (height * width)


def _similarity(a: Values, b: Values) -> float:
    """Sum of the similarity over all windows that lie inside."""
    samples = WINDOW * WINDOW
    correction = samples / (samples - 1)
    mean_a, mean_b = _box(a), _box(b)
    product = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    covariance = correction * (_box(a * b) - product)
    variances = correction * (_box(a * a + b * b) - squares)
    return float(np.sum((2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))))


def _box(values: Values) -> Values:
    """Mean over every 7 x 7 window that lies inside: (H - 6) x (W - 6)."""
    for _ in range(2):
        pairs = values[:-1] + values[1:]
        fours = pairs[:-2] + pairs[2:]
        sevens = fours[:-3] + pairs[4:-1]
        sevens += values[6:]
        values = sevens.T
    return values / (WINDOW * WINDOW)


def _comparable(a: Values, b: Values, *, peak: float = 1.0) -> tuple[Values, Values]:
    """Both as floating point in 0 to 1: whole numbers divided by the range of their type, floats by `peak`, then
    clipped.

    Raises InvalidRequest where shapes differ, nothing is there to compare, or a type has no range (signed, bool,
    complex).
    """
    if a.shape != b.shape:
        raise InvalidRequest(f"cannot compare shape {a.shape} with {b.shape}; expected two pictures of one size")
    if not a.size:
        raise InvalidRequest(f"nothing to compare in shape {a.shape}")
    if not peak > 0:
        raise InvalidRequest(f"peak is {peak}; expected more than 0")
    return _unit(a, peak), _unit(b, peak)


def _unit(values: Values, peak: float) -> Values:
    if values.dtype.kind == "u":
        return values / np.float64(np.iinfo(values.dtype).max)
    if values.dtype.kind != "f":
        raise InvalidRequest(f"values are {values.dtype}; expected uint8, uint16 or floating point")
    return np.clip(values.astype(np.float64) / peak, 0.0, 1.0)
