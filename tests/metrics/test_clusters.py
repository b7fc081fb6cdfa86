"""How far classes of features lie apart, and where."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unveil.errors import InvalidRequest
from unveil.metrics.clusters import calinski_harabasz, plane


def test_the_index_of_four_points_by_hand():
    # Centres at 0 and 10, members one unit from them: B = 4 * 25, W = 4, so (100 / 1) / (4 / 2).
    features = np.array([[-1.0], [1.0], [9.0], [11.0]])
    assert calinski_harabasz(features, list("aabb")) == pytest.approx(50)


def test_the_index_agrees_with_the_traces_of_scatter():
    random = np.random.default_rng(0)
    labels = [name for name in "abc" for _ in range(20)]
    features = random.normal(size=(60, 5)) + np.repeat(np.arange(3), 20)[:, None] * [2, 0, 1, 0, 0]
    total = np.trace(np.cov(features.T, bias=True)) * 60
    within = sum(np.trace(np.cov(features[20 * k : 20 * k + 20].T, bias=True)) * 20 for k in range(3))
    expected = ((total - within) / 2) / (within / 57)
    assert calinski_harabasz(features, labels) == pytest.approx(expected)
    moved = features * 3 + 100
    assert calinski_harabasz(moved, labels) == pytest.approx(expected)
    assert calinski_harabasz(features + np.repeat(np.arange(3), 20)[:, None] * 5, labels) > expected


def test_classes_without_any_scatter_are_infinitely_far_apart():
    features = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    assert math.isinf(calinski_harabasz(features, list("aaaabbbbcccc")))


@pytest.mark.parametrize("labels", ["aaaa", "abcd"])
def test_what_has_no_index_is_refused(labels):
    with pytest.raises(InvalidRequest, match="two classes and more features"):
        calinski_harabasz(np.arange(8.0).reshape(4, 2), list(labels))


def test_the_plane_keeps_distances_of_flat_features():
    random = np.random.default_rng(1)
    flat = random.normal(size=(30, 2)) * [5, 1]
    turned = flat @ np.linalg.qr(random.normal(size=(6, 6)))[0][:2] + 7
    places, shares = plane(turned)
    assert places.shape == (30, 2)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] > 0.8
    for one, other in ((0, 1), (5, 20)):
        assert np.linalg.norm(places[one] - places[other]) == pytest.approx(np.linalg.norm(flat[one] - flat[other]))
    assert (np.abs(places).argmax(0) == places.argmax(0)).all()
    assert plane(np.arange(4.0)[:, None])[0][:, 1].tolist() == [0, 0, 0, 0]
