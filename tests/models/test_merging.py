"""Blends of a base that is merged many times."""

from dataclasses import replace

import numpy as np
import pytest

from unveil import models
from unveil.errors import InvalidModel, InvalidRequest
from unveil.models import Adapter, Merging

random = np.random.default_rng(4)


def draw(*shape, dtype=np.float16):
    return random.normal(size=shape).astype(dtype)


@pytest.fixture
def base():
    return {
        "point": draw(8, 6, 1, 1),
        "point2": draw(8, 6, 1, 1, dtype=np.float32),
        "dense": draw(8, 6),
        "spatial": draw(4, 3, 3, 3),
        "lora": draw(6, 4, 3, 3),
        "depth": draw(6, 1, 3, 3),
        "bias": draw(8),
        "still": draw(5),
    }


@pytest.fixture
def adapters():
    full = {
        "point": {"down": draw(2, 6), "up": draw(8, 2)},
        "point2": {"down": draw(2, 6), "up": draw(8, 2)},
        "dense": {"down": draw(2, 6), "up": draw(8, 2)},
        "spatial": {"down": draw(2, 3, 3, 3), "up": draw(4, 2)},
        "lora": {"lora_a": draw(6, 12), "lora_b": draw(18, 6)},
        "depth": {"delta": draw(6, 1, 3, 3)},
        "bias": {"delta": draw(8)},
    }
    narrow = {
        "point2": {"down": draw(3, 6), "up": draw(8, 3)},
        "depth": {"delta": draw(6, 1, 3, 3)},
        "spatial": {"delta": draw(4, 3, 3, 3)},
    }
    return {"rain": Adapter("rain", 2, 4.0, "full", "", full), "haze": Adapter("haze", 3, 1.0, "compact", "", narrow)}


@pytest.mark.parametrize(
    "weights", [{}, {"rain": 0.7}, {"haze": 1.0}, {"rain": 0.3, "haze": -0.4}, {"haze": 0.5, "rain": 0.0}]
)
def test_it_gives_what_a_blend_gives(base, adapters, weights):
    merging = Merging(base, adapters)
    expected = models.blend(base, adapters, weights)
    for _ in range(2):
        merged = merging(weights)
        assert list(merged) == list(base)
        for name, array in merged.items():
            assert array.dtype == np.float32
            assert array.shape == base[name].shape
            np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5)


def test_neither_the_base_nor_an_earlier_blend_is_written_to(base, adapters):
    before = {name: array.copy() for name, array in base.items()}
    merging = Merging(base, adapters)
    first = merging({"rain": 1.0})
    kept = {name: array.copy() for name, array in first.items()}
    merging({"rain": 0.5, "haze": 0.5})
    for name in base:
        np.testing.assert_array_equal(base[name], before[name])
        np.testing.assert_array_equal(merging.base[name], before[name].astype(np.float32))
        np.testing.assert_array_equal(first[name], kept[name])


def test_what_no_adapter_touches_is_shared(base, adapters):
    merging = Merging(base, adapters)
    assert merging({"rain": 1.0})["still"] is merging.base["still"]
    assert merging({"rain": 0.0})["point"] is merging.base["point"]


def test_factors_that_do_not_fit_are_told_of_when_they_are_used(base, adapters):
    unfit = replace(adapters["haze"], factors={"point": {"down": draw(1), "up": draw(1)}})
    merging = Merging(base, {**adapters, "haze": unfit})
    assert merging({"haze": 0.0})["point"] is merging.base["point"]
    with pytest.raises(InvalidModel, match="do not fit"):
        merging({"haze": 1.0})


@pytest.mark.parametrize("weights", [{"fog": 1.0}, {"rain": float("nan")}])
def test_wrong_weights_are_refused(base, adapters, weights):
    with pytest.raises(InvalidRequest, match=next(iter(weights))):
        Merging(base, adapters)(weights)


def test_the_shipped_model_is_merged_to_rounding():
    model = models.read(models.find(models.DEFAULT))
    weights = {"noise": 0.6, "jpeg": 0.4, "dark": 0.2}
    expected = models.blend(model.weights["restore"], model.adapters, weights)
    for name, array in Merging(model.weights["restore"], model.adapters)(weights).items():
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-6)
