"""PSNR and SSIM: the one truth for reports and tables. NumPy only."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest

Values = NDArray[Any]

Window: TypeAlias = Literal["uniform", "gaussian"]

SIDES: dict[Window, int] = {"uniform": 7, "gaussian": 11}
SIGMA = 1.5
_STRIP_ROWS = 64
C1, C2 = 0.01**2, 0.03**2

UNCHANGED = 100.0
"""dB that equal pictures count as in a mean."""


def psnr(a: Values, b: Values, *, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB over all values of two pictures of any same shape; infinite for equal
    pictures.

    uint8 and uint16 are divided by their range; floats lie in 0 to `peak` and are clipped to it, without rounding to 8
    bits. On RGB this is the convention of AirNet, PromptIR and their descendants (PromptIR, utils/val_utils.py).

    Raises InvalidRequest for differing shapes, an empty picture, or other types.
    """
    first, second = comparable(a, b, peak=peak)
    difference = (first - second).ravel()
    error = float(np.dot(difference, difference)) / difference.size
    return math.inf if error == 0 else -10 * math.log10(error)


def capped(decibel: float) -> float:
    """PSNR as it enters a mean."""
    return min(decibel, UNCHANGED)


def ssim(a: Values, b: Values, *, window: Window = "uniform") -> float:
    """Mean structural similarity (Wang et al. 2004) of two pictures, H W or H W C; 1 for equal pictures.

    `uniform`: 7 x 7, sample covariance (N / (N - 1)), as scikit-image computes it by default and as the PromptIR family
    reports it. `gaussian`: 11 x 11 of sigma 1.5, covariance without that factor, as the authors' MATLAB program and
    BasicSR (metrics/psnr_ssim.py) have it. Both: data range 1, mean over the windows that lie wholly inside, then over
    the channels. uint8 and uint16 are divided by their range, floats clipped to 0 to 1.

    Raises InvalidRequest for differing shapes, pictures smaller than the window, other types, or an unknown window.
    """
    if window not in get_args(Window):
        raise InvalidRequest(f"window is {window!r}; expected {' or '.join(get_args(Window))}")
    first, second = comparable(a, b)
    side = SIDES[window]
    if first.ndim not in (2, 3) or min(first.shape[:2]) < side:
        raise InvalidRequest(f"shape is {first.shape}; expected (H, W) or (H, W, C) of at least {side} x {side}")
    if first.ndim == 2:
        return _one_channel(first, second, window)
    return float(np.mean([_one_channel(first[..., c], second[..., c], window) for c in range(first.shape[2])]))


def gaussian() -> Values:
    """The weights of the Gaussian window along one axis: (11,), sum 1."""
    place = np.arange(SIDES["gaussian"]) - SIDES["gaussian"] // 2
    weights = np.exp(-place * place / (2 * SIGMA * SIGMA))
    return weights / weights.sum()


def _one_channel(a: Values, b: Values, window: Window) -> float:
    margin = SIDES[window] - 1
    height, width = a.shape[0] - margin, a.shape[1] - margin
    total = 0.0
    for top in range(0, height, _STRIP_ROWS):
        rows = slice(top, min(top + _STRIP_ROWS, height) + margin)
        total += _similarity(np.ascontiguousarray(a[rows]), np.ascontiguousarray(b[rows]), window)
    return total / (height * width)


def _similarity(a: Values, b: Values, window: Window) -> float:
    """Sum of the similarity over all windows that lie inside."""
    samples = SIDES[window] ** 2
    mean, correction = (_box, samples / (samples - 1)) if window == "uniform" else (_bell, 1.0)
    mean_a, mean_b = mean(a), mean(b)
    product = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    covariance = correction * (mean(a * b) - product)
    variances = correction * (mean(a * a + b * b) - squares)
    return float(np.sum((2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))))


def _box(values: Values) -> Values:
    """Mean over every 7 x 7 window that lies inside: (H - 6) x (W - 6)."""
    for _ in range(2):
        pairs = values[:-1] + values[1:]
        fours = pairs[:-2] + pairs[2:]
        sevens = fours[:-3] + pairs[4:-1]
        sevens += values[6:]
        values = sevens.T
    return values / SIDES["uniform"] ** 2


def _bell(values: Values) -> Values:
    """Weighted mean over every 11 x 11 Gaussian window that lies inside: (H - 10) x (W - 10)."""
    weights = gaussian()
    margin = len(weights) - 1
    for _ in range(2):
        # The window is symmetric: rows at equal distance from its middle are added before they are weighted.
        summed = weights[margin // 2] * values[margin // 2 : len(values) - margin // 2]
        for near in range(margin // 2):
            far = margin - near
            summed += weights[near] * (values[near : len(values) - far] + values[far : len(values) - near])
        values = np.ascontiguousarray(summed.T)
    return values


def comparable(a: Values, b: Values, *, peak: float = 1.0) -> tuple[Values, Values]:
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
