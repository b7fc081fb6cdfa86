import numpy as np
import pytest

from unveil import models
from unveil.errors import InvalidModel, InvalidRequest
from unveil.models import Adapter

random = np.random.default_rng(3)


def draw(*shape, dtype=np.float32):
    return random.normal(size=shape).astype(dtype)


def test_low_rank_change_of_a_linear_layer():
    down, up = draw(2, 5), draw(7, 2)
    change = models.change({"down": down, "up": up}, (7, 5), alpha=3.0, rank=2)
    np.testing.assert_allclose(change, 1.5 * up @ down, rtol=1e-6)


def test_low_rank_change_of_a_pointwise_convolution():
    down, up = draw(2, 5), draw(7, 2)
    change = models.change({"down": down, "up": up}, (7, 5, 1, 1), alpha=2.0, rank=2)
    np.testing.assert_allclose(change[:, :, 0, 0], up @ down, rtol=1e-6)


def test_low_rank_change_of_a_spatial_convolution():
    down, up = draw(2, 5, 3, 3), draw(7, 2)
    change = models.change({"down": down, "up": up}, (7, 5, 3, 3), alpha=4.0, rank=2)
    np.testing.assert_allclose(change, 2 * np.einsum("or,riyx->oiyx", up, down), rtol=1e-5, atol=1e-6)


def test_delta_is_not_scaled():
    delta = draw(6, 1, 3, 3, dtype=np.float16)
    change = models.change({"delta": delta}, (6, 1, 3, 3), alpha=9.0, rank=2)
    assert change.dtype == np.float32
    np.testing.assert_array_equal(change, delta.astype(np.float32))


@pytest.mark.parametrize(("shape", "groups"), [((8, 5, 3, 3), 1), ((6, 1, 3, 3), 6), ((8, 3, 1, 1), 2)])
def test_loralib_change(shape, groups):
    out, inside, side, _ = shape
    a, b = draw(2 * side, inside * groups * side), draw(out // groups * side, 2 * side)
    change = models.change({"lora_a": a, "lora_b": b}, shape, alpha=1.0, rank=2)
    np.testing.assert_allclose(change, 0.5 * (b @ a).reshape(shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("factors", "shape"),
    [
        ({"down": draw(2, 5), "up": draw(7, 2)}, (7, 5, 3, 3)),
        ({"down": draw(2, 5), "up": draw(7, 2)}, (5, 7)),
        ({"down": draw(3, 5), "up": draw(7, 3)}, (7, 5)),
        ({"down": draw(2, 5, 3, 3), "up": draw(7, 2)}, (7, 5, 1, 1)),
        ({"delta": draw(3)}, (4,)),
        ({"lora_a": draw(6, 15), "lora_b": draw(24, 6)}, (8, 4, 3, 3)),
        ({"lora_a": draw(2, 5), "lora_b": draw(8, 2)}, (8, 5)),
        ({"down": draw(2, 5)}, (7, 5)),
        ({"left": draw(2, 5), "right": draw(7, 2)}, (7, 5)),
    ],
)
def test_factors_that_do_not_fit(factors, shape):
    with pytest.raises(InvalidModel):
        models.change(factors, shape, alpha=1.0, rank=2)


@pytest.fixture
def base():
    return {"a": draw(7, 5), "b": draw(4), "c": draw(3, dtype=np.float16)}


@pytest.fixture
def adapters():
    return {
        "rain": Adapter("rain", 2, 2.0, "compact", "", {"a": {"down": draw(2, 5), "up": draw(7, 2)}}),
        "haze": Adapter(
            "haze", 2, 1.0, "compact", "", {"a": {"down": draw(2, 5), "up": draw(7, 2)}, "b": {"delta": draw(4)}}
        ),
    }


def test_products_are_blended_and_not_factors(base, adapters):
    blended = models.blend(base, adapters, {"rain": 0.25, "haze": 0.5})
    rain, haze = (adapters[name].factors["a"] for name in ("rain", "haze"))
    expected = base["a"] + 0.25 * rain["up"] @ rain["down"] + 0.5 * 0.5 * haze["up"] @ haze["down"]
    np.testing.assert_allclose(blended["a"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(blended["b"], base["b"] + 0.5 * adapters["haze"].factors["b"]["delta"], rtol=1e-6)


def test_untouched_weights_are_shared(base, adapters):
    blended = models.blend(base, adapters, {"rain": 1.0})
    assert blended["b"] is base["b"]
    assert blended["a"] is not base["a"]
    assert blended["c"].dtype == np.float32


def test_base_is_never_written_to(base, adapters):
    before = {name: array.copy() for name, array in base.items()}
    models.blend(base, adapters, {"rain": 1.0, "haze": 1.0})
    for name, array in base.items():
        np.testing.assert_array_equal(array, before[name])


def test_zero_weight_costs_nothing(base, adapters):
    broken = Adapter("rain", 2, 2.0, "compact", "", {"a": {"down": draw(1), "up": draw(1)}})
    assert models.blend(base, {"rain": broken}, {"rain": 0.0})["a"] is base["a"]


def test_one_hot_equals_the_adapter_alone(base, adapters):
    both = models.blend(base, adapters, {"rain": 1.0, "haze": 0.0})
    alone = models.blend(base, {"rain": adapters["rain"]}, {"rain": 1.0})
    np.testing.assert_array_equal(both["a"], alone["a"])


@pytest.mark.parametrize("weights", [{"fog": 1.0}, {"rain": float("nan")}, {"rain": float("inf")}])
def test_wrong_weights_are_refused(base, adapters, weights):
    with pytest.raises(InvalidRequest, match=next(iter(weights))):
        models.blend(base, adapters, weights)
