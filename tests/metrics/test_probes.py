"""The linear probe."""

from __future__ import annotations

import numpy as np
import pytest

from unveil.errors import InvalidRequest
from unveil.metrics.probes import linear_probe


def test_what_is_linear_is_read_and_what_is_chance_is_not() -> None:
    random = np.random.default_rng(0)
    labels = [name for name in ("a", "b", "c") for _ in range(60)]
    centres = {name: 3 * random.standard_normal(8) for name in "abc"}
    near = np.stack([centres[label] + random.standard_normal(8) for label in labels])
    assert linear_probe(near, labels) > 0.95
    assert linear_probe(random.standard_normal((180, 8)), labels) == pytest.approx(1 / 3, abs=0.13)


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features = np.array([[0.0, 7.0], [1.0, 7.0]] * 10)
    assert linear_probe(features, ["a", "b"] * 10) == 1.0


def test_a_group_is_never_known_and_asked_for() -> None:
    """Features that tell the group alone help where groups are split and not where they are kept together."""
    random = np.random.default_rng(1)
    groups = [str(group) for group in range(12) for _ in range(4)]
    labels = ["a" if int(group) % 2 else "b" for group in groups]
    one_hot = np.eye(12)[[int(group) for group in groups]] + 0.01 * random.standard_normal((48, 12))
    assert linear_probe(one_hot, labels, folds=4) == 1.0
    assert linear_probe(one_hot, labels, groups=groups, folds=4) < 0.9


def test_too_little_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="two classes"):
        linear_probe(np.zeros((4, 2)), ["a"] * 4)
    with pytest.raises(InvalidRequest, match="as many features as labels"):
        linear_probe(np.zeros((3, 2)), ["a", "b"])
