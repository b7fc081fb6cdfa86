"""How much of a class a linear function can read off features: the usual test of what an encoder has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest


def linear_probe(
    features: NDArray[np.floating],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    folds: int = 5,
    penalty: float = 1e-2,
) -> float:
    """The share of features whose class is told right by a linear function that was fitted without them.

    Features are standardised, a ridge regression on the classes' indicators is fitted to all folds but one, and the
    largest output is the answer for the one left out. With k classes of equal size, guessing is right 1/k of the time.

    Args:
        features: n features by d.
        labels: the class of each.
        groups: what belongs together, such as the clean picture behind several degraded ones; a group is never in two
            folds. Each feature by itself if not given.
        folds: at most as many as groups.
        penalty: of the regression, as a share of the mean variance.

    Raises:
        InvalidRequest: fewer than two classes or two groups, or the lengths differ.
    """
    names = sorted(set(labels))
    belongs = list(groups) if groups is not None else [str(place) for place in range(len(labels))]
    together = sorted(set(belongs))
    if len(names) < 2 or len(together) < 2 or not len(features) == len(labels) == len(belongs):
        raise InvalidRequest(
            f"found {len(features)} features, {len(labels)} labels of {len(names)} classes and {len(together)} groups; "
            "expected as many features as labels, and at least two classes and two groups"
        )
    fold_of = {group: place % min(folds, len(together)) for place, group in enumerate(together)}
    fold = np.array([fold_of[group] for group in belongs])
    wanted = np.array([names.index(label) for label in labels])
    right = 0
    for held in range(int(fold.max()) + 1):
        known = fold != held
        mean, spread = features[known].mean(0), features[known].std(0)
        scaled = (features.astype(np.float64) - mean) / np.where(spread > 1e-12, spread, 1.0)
        inputs = np.hstack((scaled, np.ones((len(scaled), 1))))
        ridge = penalty * known.sum() * np.eye(inputs.shape[1])
        ridge[-1, -1] = 0.0
        targets = np.eye(len(names))[wanted[known]]
        squares: NDArray[np.float64] = inputs[known].T @ inputs[known] + ridge
        weights: NDArray[np.floating[Any]] = np.linalg.solve(squares, inputs[known].T @ targets)
        said: NDArray[np.floating[Any]] = inputs[~known] @ weights
        right += int((said.argmax(1) == wanted[~known]).sum())
    return right / len(wanted)
