import dataclasses
import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from toy import toy_model
from unveil import models
from unveil.errors import InvalidModel, ModelError, ModelNotFound, ModelTooNew


@pytest.fixture
def parts(toy_path):
    """Tensors and card of the toy, to be spoilt."""
    return load_file(toy_path), json.loads(toy_model().card.to_json())


@pytest.fixture
def spoilt(tmp_path):
    def write(tensors, card):
        path = tmp_path / "spoilt.safetensors"
        save_file(tensors, path, metadata={"unveil": json.dumps(card)})
        return path

    return write


def test_model_survives_a_round_trip(toy_path, toy):
    made = toy_model()
    assert toy.path == toy_path
    assert toy.card == made.card
    assert toy.graphs == made.graphs
    for role, named in made.weights.items():
        assert named.keys() == toy.weights[role].keys()
        for name, array in named.items():
            assert toy.weights[role][name].dtype == array.dtype
            np.testing.assert_array_equal(toy.weights[role][name], array)
    for degradation, adapter in made.adapters.items():
        for name, factors in adapter.factors.items():
            for factor, array in factors.items():
                np.testing.assert_array_equal(toy.adapters[degradation].factors[name][factor], array)


def test_tables_survive(tmp_path):
    model = dataclasses.replace(toy_model(), tables={"steps": np.arange(6, dtype=np.int64).reshape(2, 3)})
    read = models.read(models.write(model, tmp_path / "t.safetensors"))
    np.testing.assert_array_equal(read.tables["steps"], model.tables["steps"])


def test_card_is_read_alone(toy_path):
    assert models.read_card(toy_path) == toy_model().card


def test_missing_file(tmp_path):
    with pytest.raises(ModelNotFound, match="nothing"):
        models.read(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("content", [b"", b"JFIF", b"\xff" * 200, b"\x02\0\0\0\0\0\0\0{}"])
def test_foreign_file(tmp_path, content):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidModel, match=r"foreign\.safetensors"):
        models.read(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_file(tmp_path, toy_path, share):
    content = toy_path.read_bytes()
    path = tmp_path / "half.safetensors"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidModel, match="cut short"):
        models.read(path)


def test_safetensors_of_somebody_else(tmp_path):
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InvalidModel, match="without unveil's card"):
        models.read(tmp_path / "other.safetensors")


def test_newer_format(parts, spoilt):
    tensors, card = parts
    with pytest.raises(ModelTooNew, match="spoilt"):
        models.read(spoilt(tensors, card | {"format": 99}))


def test_changed_base_weight_is_noticed(parts, spoilt):
    tensors, card = parts
    tensors["weights/restore/body.bias"] = tensors["weights/restore/body.bias"] + np.float16(0.25)
    with pytest.raises(InvalidModel, match="checksum"):
        models.read(spoilt(tensors, card))


def test_adapter_of_another_base_is_noticed(parts, spoilt):
    tensors, card = parts
    card["adapters"]["noise"]["base_checksum"] = "sha256:0"
    with pytest.raises(InvalidModel, match=r"'noise' was trained on the base sha256:0"):
        models.read(spoilt(tensors, card))


def test_adapter_for_unknown_weight_is_noticed(parts, spoilt):
    tensors, card = parts
    tensors["adapters/noise/ghost/delta"] = np.zeros(3, np.float16)
    with pytest.raises(InvalidModel, match="'ghost'"):
        models.read(spoilt(tensors, card))


def test_factors_that_do_not_fit_are_noticed(parts, spoilt):
    tensors, card = parts
    tensors["adapters/noise/body.weight/up"] = tensors["adapters/noise/body.weight/up"][:-1]
    with pytest.raises(InvalidModel, match=r"'noise' at 'body\.weight'"):
        models.read(spoilt(tensors, card))


def test_half_a_pair_of_factors_is_noticed(parts, spoilt):
    tensors, card = parts
    del tensors["adapters/noise/body.weight/up"]
    with pytest.raises(InvalidModel, match="no known form"):
        models.read(spoilt(tensors, card))


@pytest.mark.parametrize("part", ["adapters", "degradations"])
def test_card_that_forgets_an_adapter_is_noticed(parts, spoilt, part):
    tensors, card = parts
    del card[part]["dark"]
    with pytest.raises(InvalidModel, match="dark"):
        models.read(spoilt(tensors, card))


@pytest.mark.parametrize("role", ["restore", "estimate"])
def test_missing_graph_is_noticed(parts, spoilt, role):
    tensors, card = parts
    del tensors[f"graphs/{role}"]
    with pytest.raises(InvalidModel, match=f"graphs/{role}"):
        models.read(spoilt(tensors, card))


def test_missing_encoder_is_noticed(parts, spoilt):
    tensors, card = parts
    with pytest.raises(InvalidModel, match="graphs/encode"):
        models.read(spoilt(tensors, card | {"codes": ["shade"]}))


@pytest.mark.parametrize(
    ("name", "array", "complaint"),
    [
        ("weights/restore/extra", np.zeros(2, np.int64), "int64"),
        ("weights/restore/extra", np.zeros((0, 2), np.float32), "empty"),
        ("weights/restore/extra", np.array([np.nan], np.float32), "not finite"),
        ("weights/dream/extra", np.zeros(2, np.float32), "dream"),
        ("weights/restore/a/b", np.zeros(2, np.float32), "a/b"),
        ("graphs/map", np.zeros(2, np.float32), "expected bytes"),
        ("pickle", np.zeros(2, np.uint8), "pickle"),
    ],
)
def test_foreign_tensor_is_noticed(parts, spoilt, name, array, complaint):
    tensors, card = parts
    with pytest.raises(InvalidModel, match=complaint):
        models.read(spoilt(tensors | {name: array}, card))


def test_writing_leaves_nothing_else_behind(tmp_path):
    models.write(toy_model(), tmp_path / "new" / "toy.safetensors")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["toy.safetensors"]


def test_others_may_read_what_is_written(tmp_path):
    before = os.umask(0o022)
    try:
        path = models.write(toy_model(), tmp_path / "toy.safetensors")
    finally:
        os.umask(before)
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o644


def test_failed_writing_keeps_the_old_file(tmp_path, monkeypatch):
    path = models.write(toy_model(), tmp_path / "toy.safetensors")
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ModelError, match="disk full"):
        models.write(toy_model(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unsound_model_is_not_written(tmp_path):
    model = toy_model()
    model.weights["restore"]["body.bias"] = model.weights["restore"]["body.bias"] * 2
    with pytest.raises(InvalidModel, match="checksum"):
        models.write(model, tmp_path / "toy.safetensors")
    assert not list(tmp_path.iterdir())


def test_checksum_depends_on_name_dtype_shape_and_bytes_but_not_on_order():
    a, b = np.arange(4, dtype=np.float32), np.ones(2, np.float32)
    known = models.base_checksum({"a": a, "b": b})
    assert models.base_checksum({"b": b, "a": a}) == known
    others = [{"a": a, "c": b}, {"a": a.reshape(2, 2), "b": b}, {"a": a.astype(np.float16), "b": b}, {"a": a, "b": -b}]
    assert known not in [models.base_checksum(other) for other in others]
    assert models.base_checksum({"a": a[::-1][::-1], "b": b}) == known
    assert models.base_checksum({"a": a.astype(">f4"), "b": b}) == known
