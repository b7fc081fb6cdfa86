"""How well features of several classes come apart, and where they lie on a plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest


def calinski_harabasz(features: NDArray[np.floating], labels: Sequence[str]) -> float:
    """The Calinski-Harabasz index, `[tr B / (k - 1)] / [tr W / (n - k)]`: larger where classes are apart and compact.

    B is the scatter of the k centres, each weighing as much as it has members, W that of the n members around their
    centres. Without any scatter inside the classes it is infinite.

    Args:
        features: n features by d.
        labels: the class of each.

    Raises:
        InvalidRequest: fewer than two classes, or no class of two.
    """
    names = sorted(set(labels))
    count, classes = len(features), len(names)
    if classes < 2 or count <= classes:
        raise InvalidRequest(f"found {count} features of {classes} classes, expected two classes and more features")
    values = features.astype(np.float64)
    groups = [values[[label == name for label in labels]] for name in names]
    centres = np.stack([group.mean(0) for group in groups])
    between = sum(
        len(group) * ((centre - values.mean(0)) ** 2).sum() for group, centre in zip(groups, centres, strict=True)
    )
    within = sum(((group - centre) ** 2).sum() for group, centre in zip(groups, centres, strict=True))
    # Equal features differ by rounding alone.
    if within <= 1e-12 * between:
        return float("inf")
    return float(between / (classes - 1) / (within / (count - classes)))


def plane(features: NDArray[np.floating]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Features on their two principal axes (PCA), and which share of the variance each axis has.

    The sign of an axis is chosen so that its largest feature is positive: the same features always give the same plane.

    Args:
        features: n features by d.

    Returns:
        (n, 2), and two shares.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    left, spread, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(features), 2))
    found = (left * spread)[:, :2]
    largest = np.abs(found).argmax(0)
    places[:, : found.shape[1]] = found * np.where(found[largest, np.arange(found.shape[1])] < 0, -1, 1)
    power = np.append(spread**2, (0.0, 0.0))
    total = power.sum() or 1.0
    return places, (float(power[0] / total), float(power[1] / total))
