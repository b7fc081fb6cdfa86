"""What a graph may hold: everything that could run code, read a file or never end is refused before a session opens."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from toy import encode_graph, estimate_graph, restore_graph, toy_model
from unveil.engines import choose, vetting
from unveil.engines.graph import read_signature
from unveil.engines.vetting import vet
from unveil.errors import InvalidModel
from unveil.restoration import Restorer


def changed(change, graph=None) -> bytes:
    """The toy's graph after a change of its protobuf."""
    model = load_model_from_string(restore_graph() if graph is None else graph)
    change(model)
    return model.SerializeToString()


def constant(**external: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "c")
    if external:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in external.items():
            tensor.external_data.add(key=key, value=text)
    return tensor


def add_node(kind, **options):
    return lambda model: model.graph.node.append(helper.make_node(kind, [], ["x"], **options))


def add_custom_domain(model):
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def add_function(model):
    model.functions.append(helper.make_function("com.example", "f", ["a"], ["b"], [], [helper.make_opsetid("", 17)]))


def add_loop(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


def add_training(model):
    model.training_info.add()


def add_sparse(model):
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(constant(), numpy_helper.from_array(np.zeros(4, np.int64), "i"), [9])
    )


def add_sparse_attribute(model):
    sparse = helper.make_sparse_tensor(constant(), numpy_helper.from_array(np.zeros(4, np.int64), "i"), [9])
    model.graph.node.append(helper.make_node("Constant", [], ["x"], sparse_value=sparse))


def add_giant(model):
    tensor = constant()
    tensor.dims[:] = [1 << 20, 1 << 20]
    model.graph.initializer.append(tensor)


def add_tensor_list(model):
    node = helper.make_node("Constant", [], ["x"])
    attribute = node.attribute.add(name="values", type=9)
    attribute.tensors.append(constant(location="weights.bin"))
    model.graph.node.append(node)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (add_custom_domain, "operators of 'com.example'"),
        (add_node("Evil", domain="com.example"), "'Evil' of 'com.example'"),
        (add_node("EPContext", domain="com.microsoft"), "'EPContext' of 'com.microsoft'"),
        (add_node("Linear", domain="ai.onnx.ml"), "of 'ai.onnx.ml'"),
        (add_function, "functions"),
        (add_training, "training steps"),
        (add_loop, "a graph within its node 'Loop'"),
        (add_sparse, "sparse"),
        (add_sparse_attribute, "sparse"),
        (add_node("Constant", value=constant(location="/etc/passwd")), "a constant in a file"),
        (add_node("Constant", value=constant(location="weights.bin")), "a constant in a file"),
        (add_tensor_list, "a constant in a file"),
        (add_giant, "claims 1099511627776 values"),
    ],
)
def test_what_no_network_needs_is_refused(change, complaint):
    with pytest.raises(InvalidModel, match=f"is refused: .*{complaint}"):
        read_signature(changed(change))


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_no_engine_opens_what_is_refused(name):
    if name == "openvino":
        pytest.importorskip("openvino")
    model = toy_model()
    model = dataclasses.replace(model, graphs=model.graphs | {"restore": changed(add_loop)})
    with pytest.raises(InvalidModel, match="refused"):
        choose(name).open(model, "restore", model.weights["restore"], {})
    with pytest.raises(InvalidModel, match="refused"):
        Restorer(model, engine=name).restore(np.zeros((8, 8, 3), np.uint8), weights={"noise": 1})


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin", "sub/weights.bin", "", "weights.bin\0"])
def test_weights_lie_in_one_place_only(location):
    def move(model):
        model.graph.initializer[1].external_data[0].value = location

    with pytest.raises(InvalidModel, match="no ONNX graph"):
        read_signature(changed(move))


@pytest.mark.parametrize(("key", "value"), [("offset", "1" * 18), ("offset", "-8"), ("offset", "4"), ("length", "9")])
def test_weights_lie_one_after_the_other(key, value):
    def move(model):
        entry = next(entry for entry in model.graph.initializer[1].external_data if entry.key == key)
        entry.value = value

    with pytest.raises(InvalidModel, match=r"'body\.bias' of 32 bytes lies at"):
        read_signature(changed(move))


def test_a_weight_has_one_place_and_one_name():
    def twice(model):
        model.graph.initializer[0].external_data.add(key="location", value="other.bin")

    def again(model):
        model.graph.initializer.append(model.graph.initializer[0])

    for change, complaint in ((twice, "two places"), (again, "two weights")):
        with pytest.raises(InvalidModel, match=complaint):
            read_signature(changed(change))


def test_there_is_one_graph_and_a_large_one_is_refused(monkeypatch):
    graph = restore_graph()
    with pytest.raises(InvalidModel, match="2 graphs"):
        read_signature(graph + encode_graph())
    monkeypatch.setattr(vetting, "LARGEST_GRAPH", len(graph) - 1)
    # What other tests have read is known.
    read_signature.cache_clear()
    with pytest.raises(InvalidModel, match="limit"):
        read_signature(graph)
    monkeypatch.setattr(vetting, "LARGEST_GRAPH", len(graph))
    assert read_signature(graph)


def test_nodes_are_counted(monkeypatch):
    count = len(load_model_from_string(restore_graph()).graph.node)
    monkeypatch.setattr(vetting, "MOST_NODES", count)
    vet(restore_graph())
    monkeypatch.setattr(vetting, "MOST_NODES", count - 1)
    with pytest.raises(InvalidModel, match=f"more than {count - 1} nodes"):
        vet(restore_graph())


@pytest.mark.parametrize("graph", [restore_graph(), restore_graph(code=True), estimate_graph(), encode_graph()])
def test_our_own_graphs_pass(graph):
    assert read_signature(graph).inputs


def test_the_standard_domain_may_be_spelt_out():
    def spell(model):
        model.opset_import[0].domain = "ai.onnx"
        for node in model.graph.node:
            node.domain = "ai.onnx"

    assert read_signature(changed(spell)) == read_signature(restore_graph())


@pytest.mark.parametrize("rest", [b"\x3a", b"\x3a\xff", b"\x3b\x00", b"\x80", b"\xff" * 11, b"\x3a\x02\x08"])
def test_what_is_cut_short_is_no_graph(rest):
    with pytest.raises(InvalidModel, match="no ONNX graph"):
        read_signature(rest)
