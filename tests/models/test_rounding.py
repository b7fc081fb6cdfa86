from dataclasses import replace

import numpy as np
import pytest

from toy import toy_model
from unveil import models
from unveil.errors import InvalidModel
from unveil.models import Adapter

random = np.random.default_rng(5)

SHAPES = {"dense": (24, 40), "point": (24, 40, 1, 1), "spatial": (24, 10, 3, 3), "thin": (3, 40), "bias": (24,)}


def drawn(rank=6, dtype=np.float16):
    """An adapter with every form that is rounded, and one that is not."""

    def draw(*shape):
        return random.normal(size=shape).astype(dtype)

    factors = {
        name: {"delta": draw(*shape)}
        if len(shape) == 1
        else {"down": draw(rank, *(shape[1:] if name == "spatial" else shape[1:2])), "up": draw(shape[0], rank)}
        for name, shape in SHAPES.items()
    }
    return Adapter("rain", rank, 3.0, "compact", "", factors)


def change(adapter, name):
    return models.change(adapter.factors[name], SHAPES[name], adapter.alpha, adapter.rank)


def test_a_rounded_adapter_changes_weights_by_about_as_much():
    adapter = drawn()
    made = models.rounded(adapter)
    assert made.storage == "int8"
    assert adapter.storage == "float16"
    for name in SHAPES:
        before, after = change(adapter, name), change(made, name)
        assert np.linalg.norm(after - before) < 0.012 * np.linalg.norm(before), name
    assert made.factors["bias"]["delta"] is adapter.factors["bias"]["delta"]
    assert {array.dtype.name for array in made.factors["dense"].values()} == {"int8", "float32"}


def test_directions_that_nearly_cancel_keep_their_difference():
    # Steps of the factors as they are would be ten times as large as what is left of these two.
    adapter = drawn(rank=2)
    up, down = (adapter.factors["dense"][factor].astype(np.float32) for factor in ("up", "down"))
    up[:, 1], down[1] = -up[:, 0], 1.002 * down[0]
    adapter.factors["dense"] = {"up": up, "down": down}
    before = change(adapter, "dense")
    off = change(models.rounded(adapter), "dense") - before
    assert np.linalg.norm(off) < 0.02 * np.linalg.norm(before)


def test_twice_rounded_is_once_rounded():
    once = models.rounded(drawn())
    twice = models.rounded(once)
    assert all(twice.factors[name][factor] is array for name in SHAPES for factor, array in once.factors[name].items())


def test_an_adapter_of_zeros_stays_one():
    adapter = drawn()
    adapter.factors["dense"]["up"] = np.zeros((24, 6), np.float16)
    assert not change(models.rounded(adapter), "dense").any()


def test_what_is_blended_again_and_again_is_what_is_blended_once():
    base = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    adapters = {"rain": models.rounded(drawn()), "haze": drawn(rank=4)}
    weights = {"rain": 0.7, "haze": 0.4}
    once, often = models.blend(base, adapters, weights), models.Merging(base, adapters)(weights)
    for name in SHAPES:
        np.testing.assert_allclose(often[name], once[name], rtol=1e-4, atol=1e-5)


def test_files_with_whole_numbers_are_smaller_and_of_format_2(tmp_path):
    model = toy_model()
    whole = replace(model, adapters={**model.adapters, "noise": models.rounded(model.adapters["noise"])})
    read = models.read(models.write(whole, tmp_path / "whole.safetensors"))
    assert read.card.format == 2
    for name, factors in whole.adapters["noise"].factors.items():
        for factor, array in factors.items():
            found = read.adapters["noise"].factors[name][factor]
            assert found.dtype == array.dtype
            assert (found == array).all()
    # Once they are gone, older readers can read the file again.
    less = models.write(models.remove_adapter(read, "noise"), tmp_path / "less.safetensors")
    assert models.read_card(less).format == 1
    for name, stored in (("noise", 2), ("dark", 1)):
        single = models.write_adapter(models.take_adapter(read, name), tmp_path / f"{name}.safetensors")
        assert models.read_adapter(single).adapter.storage == ("int8" if name == "noise" else "float16")
        assert rf"\"format\": {stored},".encode() in single.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda factors: factors.pop("scale"), "int8.*no scale"),
        (lambda factors: factors.update(scale=factors["scale"][:-1]), "do not fit"),
        (lambda factors: factors.update(scale=-factors["scale"]), "below 0"),
        (lambda factors: factors.update(scale=factors["scale"].astype(np.int8)), "int8.*no scale"),
        (lambda factors: factors.update(scale=factors["scale"] * np.nan), "not finite"),
    ],
)
def test_scales_that_do_not_belong_are_refused(tmp_path, spoil, complaint):
    model = toy_model()
    adapter = models.rounded(model.adapters["noise"])
    name = next(name for name, factors in adapter.factors.items() if "scale" in factors)
    spoil(adapter.factors[name])
    with pytest.raises(InvalidModel, match=complaint):
        models.write(replace(model, adapters={**model.adapters, "noise": adapter}), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_whole_numbers_are_for_adapters_alone(tmp_path):
    model = toy_model()
    weights = {**model.weights["restore"]}
    name = next(iter(weights))
    weights[name] = weights[name].astype(np.int8)
    card = replace(model.card, base_checksum=models.base_checksum(weights))
    with pytest.raises(InvalidModel, match="int8, expected float16 or float32"):
        models.write(
            replace(model, card=card, weights={**model.weights, "restore": weights}), tmp_path / "m.safetensors"
        )
