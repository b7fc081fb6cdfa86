"""Adapters as files of their own, and in and out of model files."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from toy import toy_model
from unveil import models
from unveil.errors import InvalidModel, InvalidRequest, ModelError, ModelNotFound, ModelTooNew
from unveil.restoration import Restorer

KEY = "unveil-adapter"


@pytest.fixture
def file():
    return models.take_adapter(toy_model(), "noise")


@pytest.fixture
def spoilt(tmp_path, file):
    """Writes the adapter file with tensors and card changed."""
    written = models.write_adapter(file, tmp_path / "noise.safetensors")
    tensors = load_file(written)
    card = {"format": 1, "degradation": "noise", "printed": "noise", "network": file.network}
    card |= dataclasses.asdict(toy_model().card.adapters["noise"])

    def write(new_tensors=None, **changes):
        path = tmp_path / "spoilt.safetensors"
        save_file(tensors | (new_tensors or {}), path, metadata={KEY: json.dumps(card | changes)})
        return path

    return write


def same_bits(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.tobytes() == other[name].tobytes()


def test_an_adapter_survives_a_round_trip_bit_for_bit(tmp_path, file):
    full = dataclasses.replace(file, training_data="twelve pairs", code_version="1.2.3")
    path = models.write_adapter(full, tmp_path / "deep" / "noise.safetensors")
    read = models.read_adapter(path)
    assert read.path == path
    for key in ("printed", "network", "training_data", "code_version"):
        assert getattr(read, key) == getattr(full, key)
    for key in ("degradation", "rank", "alpha", "mode", "base_checksum"):
        assert getattr(read.adapter, key) == getattr(full.adapter, key)
    same_bits(read.adapter.tensors(), file.adapter.tensors())
    assert models.is_adapter(path)
    assert models.write_adapter(read, tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_what_is_taken_out_and_put_back_is_the_same_model(tmp_path):
    model = toy_model()
    path = models.write_adapter(models.take_adapter(model, "dark"), tmp_path / "dark.safetensors")
    less = models.remove_adapter(model, "dark")
    again = models.add_adapter(less, models.read_adapter(path))
    assert again.card == model.card
    first, second = models.write(model, tmp_path / "a.safetensors"), models.write(again, tmp_path / "b.safetensors")
    assert first.read_bytes() == second.read_bytes()


def test_old_adapters_estimator_and_base_stay_bit_for_bit(tmp_path, file):
    before = models.write(toy_model(), tmp_path / "before.safetensors")
    new = dataclasses.replace(file, adapter=dataclasses.replace(file.adapter, degradation="scratches"))
    after = models.write(models.add_adapter(models.read(before), new), tmp_path / "after.safetensors")
    old, now = load_file(before), load_file(after)
    same_bits(old, {name: array for name, array in now.items() if not name.startswith("adapters/scratches/")})
    assert set(now) - set(old) == {f"adapters/scratches/body.weight/{factor}" for factor in ("down", "up")}


def test_an_adapter_of_another_base_is_refused_with_both_checksums(file):
    other = models.remove_adapter(toy_model(dtype=np.float32), "noise")
    with pytest.raises(InvalidModel) as refused:
        models.add_adapter(other, file)
    assert file.adapter.base_checksum in str(refused.value)
    assert other.card.base_checksum in str(refused.value)


def test_an_adapter_that_does_not_fit_its_base_is_refused(spoilt):
    path = spoilt({"adapters/noise/body.weight/up": np.zeros((3, 2), np.float16)})
    with pytest.raises(InvalidModel, match=r"body\.weight"):
        models.add_adapter(models.remove_adapter(toy_model(), "noise"), models.read_adapter(path))


def test_a_name_twice_or_none_is_refused(file):
    with pytest.raises(InvalidRequest, match="already"):
        models.add_adapter(toy_model(), file)
    for action in (models.take_adapter, models.remove_adapter):
        with pytest.raises(InvalidRequest, match="noise, dark"):
            action(toy_model(), "snow")


def test_models_steered_by_prompts_take_no_adapters(file):
    model = toy_model()
    prompted = dataclasses.replace(model, card=dataclasses.replace(model.card, prompts=("noise",)))
    with pytest.raises(InvalidRequest, match="prompts"):
        models.add_adapter(prompted, file)


@pytest.mark.parametrize("name", ["clean", "", "Rain", "a b", "a/b", "a=b", "a,b", "1st", "x" * 41])
def test_names_that_command_lines_could_not_say_are_refused(tmp_path, file, name):
    wrong = dataclasses.replace(file, adapter=dataclasses.replace(file.adapter, degradation=name))
    with pytest.raises(InvalidModel, match="called"):
        models.write_adapter(wrong, tmp_path / "wrong.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rank": 0}, "rank"),
        ({"alpha": "much"}, "alpha"),
        ({"network": None}, "network"),
        ({"degradation": "dark"}, "no tensor of an adapter"),
        ({"degradation": "Noise!"}, "Noise!"),
        ({"printed": 3}, "printed"),
    ],
)
def test_damaged_cards_are_refused(spoilt, changes, said):
    with pytest.raises(InvalidModel, match=said) as refused:
        models.read_adapter(spoilt(**changes))
    assert "spoilt.safetensors" in str(refused.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"adapters/noise/body.weight/up": np.full((8, 2), np.nan, np.float16)},
        {"adapters/noise/body.weight/up": np.zeros((8, 2), np.float64)},
        {"weights/restore/body.bias": np.zeros(8, np.float16)},
    ],
)
def test_damaged_factors_are_refused(spoilt, tensors):
    with pytest.raises(InvalidModel, match=r"spoilt\.safetensors"):
        models.read_adapter(spoilt(tensors))


def test_a_newer_format_is_refused(spoilt):
    with pytest.raises(ModelTooNew, match="format 7"):
        models.read_adapter(spoilt(format=7))


def test_files_of_other_kinds_are_named(tmp_path, toy_path, file):
    with pytest.raises(InvalidModel, match="unveil adapters extract"):
        models.read_adapter(toy_path)
    adapter = models.write_adapter(file, tmp_path / "noise.safetensors")
    with pytest.raises(InvalidModel, match="unveil adapters add"):
        models.read(adapter)
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "no.safetensors").write_bytes(b"no")
    for name, kind in (("other", InvalidModel), ("no", InvalidModel), ("gone", ModelNotFound)):
        with pytest.raises(kind, match=name):
            models.read_adapter(tmp_path / f"{name}.safetensors")
        assert not models.is_adapter(tmp_path / f"{name}.safetensors")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, file):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match="adapter file cannot be written"):
        models.write_adapter(file, tmp_path / "file" / "noise.safetensors")


def test_a_removed_class_is_left_out_of_the_diagnosis_as_if_its_row_were_cut():
    pixels = np.full((64, 64, 3), 0.13, np.float32)
    whole = Restorer(toy_model(), threads=1)
    less = Restorer(models.remove_adapter(toy_model(), "noise"), threads=1)
    before, after = whole.diagnose(pixels).probabilities, less.diagnose(pixels).probabilities
    assert list(after) == ["dark", "clean"]
    assert after["dark"] == pytest.approx(before["dark"] / (before["dark"] + before["clean"]), abs=1e-9)
    assert less.run(pixels).weights == {"dark": pytest.approx(after["dark"], abs=1e-3)}


def test_with_the_last_adapter_that_it_knows_the_estimator_goes():
    bare = models.remove_adapter(models.remove_adapter(toy_model(), "noise"), "dark")
    assert (bare.card.estimator, bare.card.blend, list(bare.graphs)) == (None, "none", ["restore"])
    pixels = np.full((32, 32, 3), 0.13, np.float32)
    np.testing.assert_array_equal(
        Restorer(bare, threads=1).restore(pixels), Restorer(toy_model(), threads=1).restore(pixels, weights={})
    )


def test_an_adapter_works_as_before_in_another_company(tmp_path, file):
    """Its result does not depend on which other adapters the model has, nor on their order."""
    model = toy_model()
    pixels = np.random.default_rng(2).random((40, 40, 3), np.float32)
    expected = Restorer(model, threads=1).restore(pixels, weights={"noise": 1.0})
    turned = models.add_adapter(models.remove_adapter(model, "noise"), file)
    assert list(turned.adapters) == ["dark", "noise"]
    for other in (turned, models.remove_adapter(turned, "dark")):
        np.testing.assert_array_equal(Restorer(other, threads=1).restore(pixels, weights={"noise": 1.0}), expected)
    both = {"noise": 0.3, "dark": 0.6}
    np.testing.assert_allclose(
        Restorer(turned, threads=1).restore(pixels, weights=both),
        Restorer(model, threads=1).restore(pixels, weights=both),
        atol=1e-6,
    )


def test_an_estimator_that_knows_nothing_of_the_model_is_refused():
    model = toy_model()
    card = dataclasses.replace(model.card.estimator, classes=("rain", "snow", "clean"))
    with pytest.raises(InvalidModel, match="none of which the model can undo"):
        models.file.check(dataclasses.replace(model, card=dataclasses.replace(model.card, estimator=card)))


def test_an_adapter_whose_card_json_cannot_hold_is_not_written(tmp_path, file):
    network = {"name": "toy", "config": {"width": float("nan")}}
    with pytest.raises(InvalidModel, match=r"card of 'noise' cannot be written .* finite numbers"):
        models.write_adapter(dataclasses.replace(file, network=network), tmp_path / "noise.safetensors")
    assert not list(tmp_path.iterdir())
