"""What is wrong with a picture: the views that the estimator sees, and what its logits say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.models import EstimatorCard
from unveil.models.card import CLEAN
from unveil.restoration.stitching import cut, reflect, to_network

SHARPENING = frozenset(("blur", "lowres"))
"""Damage that hides no other, and after whose undoing a picture is like none that the estimator has seen."""


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """Probabilities of all classes of the estimator, which sum to one, and the names to print for them."""

    probabilities: dict[str, float]
    printed: dict[str, str]
    clean_threshold: float = 0.5

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Classes with their probabilities, the likeliest first."""
        return sorted(self.probabilities.items(), key=lambda entry: -entry[1])

    @property
    def main(self) -> str:
        """The likeliest class; may be `clean`."""
        return self.ranked[0][0]

    @property
    def is_clean(self) -> bool:
        """Whether the picture is taken for clean, and would come back untouched."""
        return self.probabilities.get(CLEAN, 0.0) >= self.clean_threshold

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `main`, `is_clean` and `probabilities`, the likeliest first."""
        return {"main": self.main, "is_clean": self.is_clean, "probabilities": dict(self.ranked)}

    def __repr__(self) -> str:
        return f"Diagnosis({', '.join(f'{name} {value:.2f}' for name, value in self.ranked)})"


def read_logits(
    logits: NDArray[Any], card: EstimatorCard, printed: Mapping[str, str], *, left_out: Collection[str] = ()
) -> Diagnosis:
    """The diagnosis that logits of the views give.

    `logits` is (crops + 1, classes), as `average` takes them; then softmax(mean / temperature) in float64, over all
    classes but those `left_out`, as if the last layer had no rows for them.
    """
    kept = [name not in left_out for name in card.classes]
    mean = average(logits, global_weight=card.global_weight)[kept] / card.temperature
    exponentials = np.exp(mean - mean.max())
    probabilities = exponentials / exponentials.sum()
    names = {name: printed.get(name, name) for name in card.classes if name not in left_out}
    return Diagnosis(
        dict(zip(names, map(float, probabilities), strict=True)), names, clean_threshold=card.clean_threshold
    )


def average(logits: NDArray[Any], *, global_weight: float) -> NDArray[np.float64]:
    """(views, classes) -> (classes,): the view of the whole picture, the last one, weighs so much and a crop 1."""
    shares = np.append(np.ones(len(logits) - 1), global_weight if len(logits) > 1 else 1.0)
    return shares @ logits.astype(np.float64) / shares.sum()


def views(pixels: NDArray[Any], *, side: int, crops: int) -> NDArray[np.float32]:
    """What the estimator sees of a picture: `crops` crops at native resolution, then the whole picture made smaller.

    Resizing removes noise, JPEG blocks and missing grey levels, hence the crops; haze and darkness are a matter of the
    whole, hence the last view. Sides below `side` are reflected.

    Args:
        pixels: H W C, C 1 or 3; uint8, uint16 or float 0..1.

    Returns:
        (crops + 1, 3, side, side), float32, 0..1.
    """
    height, width = pixels.shape[:2]
    down = next(rows for rows in range(int(crops**0.5), 0, -1) if crops % rows == 0)
    across = crops // down
    tops = [_centred(index, down, height, side) for index in range(down)]
    lefts = [_centred(index, across, width, side) for index in range(across)]
    cuts = [cut(pixels, top, left, side, side) for top in tops for left in lefts]
    return np.concatenate([*cuts, shrink(pixels, side)])


def shrink(pixels: NDArray[Any], side: int) -> NDArray[np.float32]:
    """The whole picture as `1 3 side side`: every pixel is the exact mean of its area; the aspect ratio is lost.

    An axis shorter than `side` is reflected instead of enlarged. The picture is never converted to float as a whole.
    """
    reduced = _average(
        pixels, side, 255.0 if pixels.dtype == np.uint8 else 65535.0 if pixels.dtype.kind == "u" else 1.0
    )
    reduced = _average(reduced.transpose(1, 0, 2), side, 1.0).transpose(1, 0, 2)
    return to_network(reduced)


def _centred(index: int, count: int, length: int, side: int) -> int:
    """Where the crop in the middle of the index-th of `count` equal parts begins."""
    return min(max((2 * index + 1) * length // (2 * count) - side // 2, 0), max(length - side, 0))


def _average(pixels: NDArray[Any], side: int, divisor: float) -> NDArray[np.float32]:
    """Axis 0 averaged down to `side` by exact shares of area, or reflected up to it; then divided."""
    length = pixels.shape[0]
    if length <= side:
        return np.take(pixels, reflect(0, side, length), axis=0).astype(np.float32) / np.float32(divisor)
    reduced = np.empty((side, *pixels.shape[1:]), dtype=np.float32)
    for index in range(side):
        # In units of 1/side of a pixel everything is an integer, so that shares sum to one exactly.
        start, end = index * length, (index + 1) * length
        first, last = start // side, -(-end // side)
        edges: NDArray[np.int64] = np.arange(first, last + 1, dtype=np.int64) * side
        shares = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        shares = (shares / (length * divisor)).astype(np.float32)
        rows = pixels[first:last].astype(np.float32)
        reduced[index] = (shares @ rows.reshape(len(rows), -1)).reshape(rows.shape[1:])
    return reduced
