"""How far an estimator can be trusted: how often it is right, what it mistakes for what, and whether its probabilities
mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 15


@dataclass(frozen=True, slots=True)
class Reliability:
    """What was measured on pictures of known classes.

    Attributes:
        classes: in the order of rows and columns.
        confusion: how many pictures of the class of the row were called the class of the column.
        ece: expected calibration error, see `calibration_error`.
    """

    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    ece: float

    @property
    def count(self) -> int:
        """How many pictures."""
        return sum(map(sum, self.confusion))

    @property
    def accuracy(self) -> float:
        """The share that was called by its right name; NaN of no pictures."""
        right = sum(row[index] for index, row in enumerate(self.confusion))
        return right / self.count if self.count else float("nan")

    def text(self) -> str:
        """A table for people: a row a class, in it what its pictures were called, and the share called rightly."""
        width = max(5, *(len(name) + 1 for name in self.classes))
        cells = [" " * width + "".join(f"{name:>{width}}" for name in self.classes) + "   right"]
        for index, (name, row) in enumerate(zip(self.classes, self.confusion, strict=True)):
            share = f"{row[index] / sum(row):.0%}" if sum(row) else "-"
            cells.append(f"{name:<{width}}" + "".join(f"{count:>{width}}" for count in row) + f"{share:>8}")
        head = f"{self.count} pictures, {self.accuracy:.1%} called rightly, expected calibration error {self.ece:.3f}"
        return "\n".join((head, *cells))


def measure(probabilities: Tensor, labels: Tensor, classes: Sequence[str]) -> Reliability:
    """What probabilities `N C` say of pictures whose classes are `labels`, `N` int64."""
    said = probabilities.argmax(1)
    flat = torch.bincount(labels * len(classes) + said, minlength=len(classes) ** 2)
    table = flat.view(len(classes), len(classes)).tolist()
    return Reliability(tuple(classes), tuple(map(tuple, table)), calibration_error(probabilities, labels))


def calibration_error(probabilities: Tensor, labels: Tensor, *, bins: int = BINS) -> float:
    """Expected calibration error: the mean distance between how sure it is and how often it is right.

    Pictures are put into `bins` equal intervals by the probability of their likeliest class; of each, the distance
    between mean probability and share of right answers counts as often as it has pictures (Guo et al., ICML 2017).
    NaN of no pictures.
    """
    if len(labels) == 0:
        return float("nan")
    sure, said = probabilities.double().max(1)
    right = (said == labels).double()
    # An interval has its upper end: a probability of 1 is in the last one.
    places = ((sure * bins).ceil().long() - 1).clamp(0, bins - 1)
    apart = torch.zeros(bins, dtype=torch.float64).index_add_(0, places, sure - right)
    return float(apart.abs().sum() / len(labels))
