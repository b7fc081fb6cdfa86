"""Sessions that blends share: weights as inputs, in the order that the engine wants."""

import gc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toy import external_graph, value
from unveil import engines, models
from unveil.engines import onnx as engine
from unveil.engines.nodes import each_used_once, inlined
from unveil.engines.recurring import Recurring
from unveil.engines.sharing import FIRST, MOST, Order, find_numbered, numbered, share

SHAPES = (("point", (32, 16, 1, 1)), ("edge", (16, 3, 3, 3)), ("depth", (32, 1, 3, 3)), ("short", (12,)))
SIDES = {"batch": 1, "height": 48, "width": 32}
PICTURE = np.random.default_rng(0).random((1, 3, 48, 32), dtype=np.float32)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(engine, "SHARED", Recurring(engine._share, engine.KEPT))


@pytest.fixture(scope="module")
def shipped():
    return models.read(models.find(models.DEFAULT))


def optimised(tensors, *, constants=()):
    """An optimised graph that holds these arrays."""
    given = [numpy_helper.from_array(array, name) for name, array in (*tensors.items(), *constants)]
    nodes = [helper.make_node("Sum", [tensor.name for tensor in given], ["restored"])]
    graph = helper.make_graph(nodes, "optimised", [], [value("restored", 1)], given)
    return helper.make_model(graph).SerializeToString()


def blocked(array, block=16):
    rows, columns, *sides = array.shape
    return np.ascontiguousarray(
        array.reshape(rows // block, block, columns // block, block, *sides).transpose(0, 2, 4, 5, 3, 1)
    ).reshape(array.shape)


def test_what_was_moved_is_moved_in_every_later_blend():
    found = numbered(SHAPES)
    made = {
        "a": blocked(found["point"]),
        "b": found["edge"],
        "c": found["depth"].reshape(2, 16, 1, 3, 3).transpose(0, 2, 3, 4, 1).reshape(32, 1, 3, 3),
        "d": np.concatenate([found["short"], np.zeros(4, np.float32)]),
    }
    shared = share(optimised(made, constants=[("ones", np.ones(5, np.float32))]), SHAPES)
    assert shared.orders["b"] == "edge"
    assert all(isinstance(shared.orders[name], Order) for name in "acd")
    random = np.random.default_rng(1)
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES}
    laid = shared.lay_out(weights)
    np.testing.assert_array_equal(laid["a"], blocked(weights["point"]))
    assert laid["b"] is weights["edge"]
    np.testing.assert_array_equal(laid["d"], [*weights["short"], 0, 0, 0, 0])
    model = onnx.load_from_string(shared.graph)
    assert {tensor.name for tensor in model.graph.initializer} == {"ones"}
    assert {entry.name for entry in model.graph.input} == set("abcd")


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made | {"edge": made["edge"] * 2},
        lambda made: made | {"edge": made["edge"] * 1.5},
        lambda made: made | {"short": made["short"] + made["short"][::-1]},
        lambda made: made | {"edge": np.concatenate([made["edge"], made["edge"][:1]])},
        lambda made: made | {"short": np.repeat(made["short"], 2)},
        lambda made: made | {"short": made["short"][:8]},
        lambda made: {name: array for name, array in made.items() if name != "short"},
    ],
)
def test_what_was_computed_with_is_not_shared(change):
    assert share(optimised(change(numbered(SHAPES))), SHAPES) is None


def test_large_networks_are_not_numbered():
    assert numbered((("w", (MOST + 1,)),)) is None


def test_a_weight_that_is_used_twice_is_told():
    nodes = [helper.make_node("Mul", ["image", "w"], ["a"]), helper.make_node("Mul", ["a", "v"], ["restored"])]
    shapes = {"w": (1, 3, 1, 1), "v": (1, 3, 1, 1)}
    once = external_graph(nodes, [value("image", 1, 3, 8, 8)], [value("restored", 1)], shapes)
    assert each_used_once(once, shapes)
    nodes.append(helper.make_node("Mul", ["restored", "v"], ["more"]))
    assert not each_used_once(external_graph(nodes, [value("image", 1, 3, 8, 8)], [value("more", 1)], shapes), shapes)


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_numbered_weights_are_found_where_they_begin(shift):
    found = numbered(SHAPES)
    # A number that happens to look like a place is no weight.
    stray = b"." * 4 + np.array([FIRST], np.int32).tobytes() + b"." * 4
    data = b"." * shift + stray + b"".join(found[name].tobytes() + b"...." for name, _ in SHAPES)
    places = find_numbered(data, SHAPES)
    for name, _ in SHAPES:
        numbers = found[name].tobytes()
        assert data[places[name] : places[name] + len(numbers)] == numbers
    assert find_numbered(data + found["edge"].tobytes(), SHAPES) is None
    assert find_numbered(data[:-8], SHAPES) is None
    assert find_numbered(b"", SHAPES) is None


def test_weights_and_sides_are_written_into_a_graph():
    shapes = {"w": (1, 3, 1, 1)}
    nodes = [helper.make_node("Mul", ["image", "w"], ["restored"])]
    inputs = [value("image", "batch", 3, "rows", "columns"), value("other", "batch")]
    graph = external_graph(nodes, inputs, [value("restored", 1)], shapes)
    weights = {"w": np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1)}
    model = onnx.load_from_string(inlined(graph, weights, {"image": (1, 3, 8, 16)}))
    onnx.checker.check_model(model)
    first, second = (sides(given) for given in model.graph.input)
    assert (first, second) == ([1, 3, 8, 16], ["batch"])
    assert model.graph.initializer[0].data_location == TensorProto.DEFAULT
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), weights["w"])


def sides(given: onnx.ValueInfoProto) -> list[int | str]:
    return [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim]


def test_what_comes_again_is_found_out_once():
    found = []
    known = Recurring(lambda key: found.append(key) or f"about {key}", 2, times=3)
    assert [known.get("a") for _ in range(4)] == [None, None, "about a", "about a"]
    assert known.get("b", at_once=True) == "about b"
    assert known.get("c", at_once=True) == "about c"
    assert known.get("b") == "about b"
    assert found == ["a", "b", "c"]
    assert known.get("a") is None


def test_blends_of_the_shipped_model_share_a_session_and_give_the_same_bits(shipped, monkeypatch):
    chosen = engines.choose("onnx", threads=1)
    blends = [models.blend(shipped.weights["restore"], shipped.adapters, {name: 0.7}) for name in ("noise", "jpeg")]
    alone = [chosen.open(shipped, "restore", blends[0], SIDES)(image=PICTURE)["restored"]]
    networks = [chosen.open(shipped, "restore", blended, SIDES) for blended in blends]
    assert networks[0].session is networks[1].session
    answers = [network(image=PICTURE)["restored"] for network in networks]
    monkeypatch.setattr(engine, "BLENDED", ())
    alone.append(chosen.open(shipped, "restore", blends[1], SIDES)(image=PICTURE)["restored"])
    for one, other in zip(answers, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(*answers)


def test_a_shared_session_is_closed_with_its_last_network(shipped):
    blended = models.blend(shipped.weights["restore"], {}, {})
    chosen = engines.choose("onnx", threads=1)
    networks = [chosen.open(shipped, "restore", blended, SIDES) for _ in range(3)][1:]
    key = next(key for key, session in engine.SESSIONS.items() if session is networks[0].session)
    networks.pop()
    gc.collect()
    assert key in engine.SESSIONS
    networks.clear()
    gc.collect()
    assert key not in engine.SESSIONS


def test_norms_take_the_direct_way(shipped):
    graph, weights = engine.prepare(shipped.graphs["restore"], models.blend(shipped.weights["restore"], {}, {}))
    shared = engine._share((graph, engine.shapes_of(weights), (("batch", 1), ("16*rows", 48), ("16*columns", 32))))
    if shared is None:
        pytest.skip("this processor has no blocks of channels")
    nodes = onnx.load_from_string(shared.graph).graph.node
    if not any(node.domain == "com.microsoft.nchwc" for node in nodes):
        pytest.skip("this processor has no blocks of channels")
    norms = {node.output[0] for node in nodes if node.op_type == "LayerNormalization"}
    taken = [node for node in nodes if norms & set(node.input)]
    assert len(taken) == len(norms) == 28
    assert {node.op_type for node in taken} == {"ReorderInput"}
    assert all(helper.get_node_attr_value(node, "channels_last") == 1 for node in taken)


def test_a_graph_that_cannot_be_shared_is_opened_as_ever(toy):
    """Its weights are too few for blocks of channels, or all of them are found: either way it runs."""
    chosen = engines.choose("onnx", threads=1)
    sides = {"batch": 1, "height": 16, "width": 24}
    answers = [
        chosen.open(toy, "restore", models.blend(toy.weights["restore"], {}, {}), sides)(image=PICTURE[..., :16, :24])
        for _ in range(3)
    ]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer["restored"], answers[0]["restored"])
