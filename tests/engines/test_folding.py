"""Graphs in two: what weights alone lead to, and the rest."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from toy import external_graph, restore_graph, value
from unveil import engines, models
from unveil.engines import onnx as engine
from unveil.engines.folding import fold
from unveil.engines.graph import read_signature

SIDES = {"batch": 1, "height": 48, "width": 32}


def shapes_of(graph):
    return tuple((name, place.shape) for name, place in read_signature(graph).weights.items())


def run(content, asked, inputs):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return dict(zip(asked, session.run(list(asked), inputs), strict=True))


@pytest.fixture
def shipped():
    return models.read(models.find(models.DEFAULT))


def chain(*, steps=60, operator="Mul", result="restored"):
    """weight -> `steps` products with itself -> times the picture."""
    nodes = [helper.make_node(operator, ["w" if i == 0 else f"w{i}", "w"], [f"w{i + 1}"]) for i in range(steps)]
    nodes.append(helper.make_node("Mul", ["image", f"w{steps}"], [result]))
    weights = {"w": np.full((1, 3, 1, 1), 1.01, np.float32)}
    return external_graph(
        nodes, [value("image", 1, 3, "height", "width")], [value("restored", 1)], {"w": (1, 3, 1, 1)}
    ), weights


def test_the_shipped_model_restores_the_same_bits_in_two_graphs(shipped, monkeypatch):
    picture = np.random.default_rng(0).random((1, 3, 48, 32), dtype=np.float32)
    blended = models.blend(shipped.weights["restore"], shipped.adapters, {"noise": 0.6, "jpeg": 0.4})
    folded = fold(shipped.graphs["restore"], shapes_of(shipped.graphs["restore"]))
    assert folded is not None
    network = engines.choose("onnx", threads=1).open(shipped, "restore", blended, SIDES)
    monkeypatch.setattr(engine, "fold", lambda *_: None)
    whole = engines.choose("onnx", threads=1).open(shipped, "restore", blended, SIDES)
    np.testing.assert_array_equal(network(image=picture)["restored"], whole(image=picture)["restored"])


def test_both_graphs_share_out_the_nodes(shipped):
    graph = shipped.graphs["restore"]
    folded = fold(graph, shapes_of(graph))
    weights = models.blend(shipped.weights["restore"], {}, {})
    content, arrays = folded.apply(lambda given: engine._prepare(folded, given), weights)
    whole, preparing, rest = (onnx.load_from_string(part) for part in (graph, folded.preparing, content))
    assert len(preparing.graph.node) + len(rest.graph.node) == len(whole.graph.node)
    assert len(preparing.graph.node) > 300
    assert {tensor.name for tensor in rest.graph.initializer if tensor.data_location} == set(arrays)
    assert [entry.version for entry in rest.opset_import] == [entry.version for entry in whole.opset_import]
    assert set(folded.made) <= set(arrays)
    # Written once: every blend runs the same rest.
    assert folded.apply(lambda given: engine._prepare(folded, given), weights)[0] is content


def test_what_weights_lead_to_is_computed():
    graph, weights = chain()
    folded = fold(graph, shapes_of(graph))
    assert folded.made == ("w60",)
    content, arrays = folded.apply(lambda given: run(folded.preparing, folded.made, given), weights)
    np.testing.assert_allclose(arrays["w60"], np.full((1, 3, 1, 1), 1.01**61), rtol=1e-5)
    assert set(arrays) == {"w60"}
    assert [node.op_type for node in onnx.load_from_string(content).graph.node] == ["Mul"]


def test_little_stays_whole():
    graph, _ = chain(steps=49)
    assert fold(graph, shapes_of(graph)) is None
    assert fold(restore_graph(), shapes_of(restore_graph())) is None


def test_what_the_graph_gives_back_stays_in_it():
    graph, weights = chain(result="restored")
    nodes = [helper.make_node("Mul", ["w60", "w"], ["second"])]
    model = onnx.load_from_string(graph)
    model.graph.node.extend(nodes)
    model.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, None))
    folded = fold(model.SerializeToString(), shapes_of(graph))
    content, arrays = folded.apply(lambda given: run(folded.preparing, folded.made, given), weights)
    assert [node.output[0] for node in onnx.load_from_string(content).graph.node] == ["restored", "second"]
    assert set(arrays) == {"w", "w60"}


def test_whole_numbers_stay():
    """Sides are computed of whole numbers; what is made are floats."""
    graph, weights = chain()
    model = onnx.load_from_string(graph)
    model.graph.initializer.append(helper.make_tensor("four", TensorProto.INT64, [1], [4]))
    nodes = [helper.make_node("Concat", ["four", "four"], ["sides"], axis=0)]
    nodes.append(helper.make_node("Reshape", ["restored", "sides"], ["flat"]))
    model.graph.node.extend(nodes)
    folded = fold(model.SerializeToString(), shapes_of(graph))
    assert folded.made == ("w60",)
    content, _ = folded.apply(lambda given: run(folded.preparing, folded.made, given), weights)
    assert [node.op_type for node in onnx.load_from_string(content).graph.node] == ["Mul", "Concat", "Reshape"]


@pytest.mark.parametrize("operator", ["Expand", "Tile", "RandomNormalLike"])
def test_operators_that_repeat_or_draw_stay(operator):
    nodes = [helper.make_node("Mul", ["w" if i == 0 else f"w{i}", "w"], [f"w{i + 1}"]) for i in range(60)]
    inputs = ["w60"] if operator.startswith("Random") else ["w60", "sides"]
    nodes += [helper.make_node(operator, inputs, ["much"]), helper.make_node("Mul", ["image", "much"], ["restored"])]
    graph = external_graph(nodes, [value("image", 1, 3, 8, 8)], [value("restored", 1)], {"w": (1, 3, 1, 1)})
    model = onnx.load_from_string(graph)
    model.graph.initializer.append(helper.make_tensor("sides", TensorProto.INT64, [4], [1, 3, 8, 8]))
    folded = fold(model.SerializeToString(), shapes_of(graph))
    assert folded.made == ("w60",)
    assert operator not in {node.op_type for node in onnx.load_from_string(folded.preparing).graph.node}
