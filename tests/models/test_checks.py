"""What `check` notices of a model in memory, before it is written: parts that contradict each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from toy import encode_graph, toy_model
from unveil import models
from unveil.errors import InvalidModel
from unveil.models.file import check


def prompted(**changes):
    """A sound model that is steered by two prompts, with changes of its card or its table."""
    model = toy_model(code=True)
    table = changes.pop("table", np.zeros((2, 4, 4), np.float32))
    card = dataclasses.replace(model.card, adapters={}, estimator=None, prompts=("noise", "dark"), **changes)
    graphs = {"restore": model.graphs["restore"], "prompt": encode_graph()}
    tables = {} if table is None else {"prompts": table}
    return dataclasses.replace(model, card=card, adapters={}, graphs=graphs, tables=tables)


def test_a_model_of_prompts_is_sound():
    check(prompted())
    check(prompted(table=np.zeros((2, 4, 4), np.float16)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"table": None}, "must have as rows; found none"),
        ({"table": np.zeros((3, 4, 4), np.float32)}, r"shape \(3, 4, 4\)"),
        ({"table": np.zeros((2, 16), np.float32)}, r"shape \(2, 16\)"),
        ({"table": np.zeros((2, 4, 4), np.float64)}, "float64 or not finite"),
        ({"table": np.full((2, 4, 4), np.nan, np.float32)}, "float32 or not finite"),
        ({"codes": ()}, "names prompts, but no codes"),
        ({"degradations": {"noise": "noise"}}, "must be the same"),
    ],
)
def test_prompts_that_contradict_the_rest_are_noticed(changes, complaint):
    with pytest.raises(InvalidModel, match=complaint):
        check(prompted(**changes))


def test_prompts_and_adapters_exclude_each_other():
    model = toy_model(code=True)
    card = dataclasses.replace(model.card, prompts=("noise", "dark"))
    tables = {"prompts": np.zeros((2, 4, 4), np.float32)}
    graphs = model.graphs | {"prompt": encode_graph()}
    with pytest.raises(InvalidModel, match="or also adapters"):
        check(dataclasses.replace(model, card=card, tables=tables, graphs=graphs))


@pytest.mark.parametrize(("key", "value"), [("rank", 3), ("alpha", 9.0), ("mode", "other")])
def test_an_adapter_that_is_not_as_its_card_says_is_noticed(key, value):
    model = toy_model()
    adapters = model.adapters | {"noise": dataclasses.replace(model.adapters["noise"], **{key: value})}
    with pytest.raises(InvalidModel, match=f"'noise' has {key} {value}, its card"):
        check(dataclasses.replace(model, adapters=adapters))


def test_an_adapter_of_another_base_is_noticed_in_memory_too():
    model = toy_model()
    adapters = model.adapters | {"noise": dataclasses.replace(model.adapters["noise"], base_checksum="sha256:1")}
    with pytest.raises(InvalidModel, match="trained on the base sha256:1"):
        check(dataclasses.replace(model, adapters=adapters))


def test_a_model_without_base_weights_is_noticed():
    with pytest.raises(InvalidModel, match="no weights 'weights/restore"):
        check(dataclasses.replace(toy_model(), weights={}))


def test_a_model_cannot_be_written_where_a_file_is_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(models.file.ModelError, match="cannot be written"):
        models.write(toy_model(), tmp_path / "file" / "m.safetensors")
