"""A toy model file: tiny, deterministic, and with every part that a real one has.

The restore network folds 4 x 4 pixels into channels, runs two 3 x 3 convolutions and adds the picture: size multiple
and stride 4, receptive radius 11. The estimator has two features, mean brightness and mean horizontal difference.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from unveil.models import Adapter, AdapterCard, Card, EstimatorCard, Model, base_checksum

WIDTH = 8
SIDE = 32


def external_graph(nodes, inputs, outputs, shapes, constants=None) -> bytes:
    """A serialised graph whose weights are external, laid out as docs/reference/model-file.md says."""
    initialisers, offset = [], 0
    for name, shape in shapes.items():
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        length = 4 * int(np.prod(shape))
        for key, value in (("location", "weights.bin"), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        offset += length
        initialisers.append(tensor)
    initialisers += [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def value(name, *sides):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(sides))


def restore_graph(*, code: bool = False) -> bytes:
    node = helper.make_node
    nodes = [
        node("SpaceToDepth", ["image"], ["folded"], blocksize=4),
        node("Conv", ["folded", "body.weight", "body.bias"], ["features"], pads=[1, 1, 1, 1]),
        node("Relu", ["features"], ["active"]),
        node("Conv", ["active", "tail.weight"], ["unfolded"], pads=[1, 1, 1, 1]),
        node("DepthToSpace", ["unfolded"], ["residual"], blocksize=4),
        node("Add", ["image", "residual"], ["plain" if code else "restored"]),
    ]
    inputs = [value("image", "batch", 3, "4*rows", "4*columns")]
    if code:
        nodes.append(node("Add", ["plain", "shade"], ["restored"]))
        inputs.append(value("shade", 1, 3, 1, 1))
    shapes = {"body.weight": (WIDTH, 48, 3, 3), "body.bias": (WIDTH,), "tail.weight": (48, WIDTH, 3, 3)}
    return external_graph(nodes, inputs, [value("restored", "batch", 3, "4*rows", "4*columns")], shapes)


def estimate_graph() -> bytes:
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["views"], ["brightness"], axes=[1, 2, 3], keepdims=0),
        node("Slice", ["views", "one", "end", "across"], ["right"]),
        node("Slice", ["views", "zero", "last", "across"], ["left"]),
        node("Sub", ["right", "left"], ["difference"]),
        node("Abs", ["difference"], ["size"]),
        node("ReduceMean", ["size"], ["roughness"], axes=[1, 2, 3], keepdims=0),
        node("Unsqueeze", ["brightness", "across1"], ["first"]),
        node("Unsqueeze", ["roughness", "across1"], ["second"]),
        node("Concat", ["first", "second"], ["features"], axis=1),
        node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], transB=1),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "last": np.array([-1]),
        "end": np.array([2**31]),
        "across": np.array([3]),
        "across1": np.array([1]),
    }
    shapes = {"head.weight": (3, 2), "head.bias": (3,)}
    return external_graph(
        nodes, [value("views", "batch", 3, SIDE, SIDE)], [value("logits", "batch", 3)], shapes, constants
    )


def encode_graph() -> bytes:
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["image"], ["mean"], axes=[2, 3]),
        node("Mul", ["mean", "gain"], ["shade"]),
    ]
    image = value("image", "batch", 3, "4*rows", "4*columns")
    return external_graph(nodes, [image], [value("shade", "batch", 3, 1, 1)], {"gain": (1,)})


def map_graph() -> bytes:
    """Classes `dark` and `clean` for squares of 4 x 4 pixels, by their mean brightness."""
    node = helper.make_node
    nodes = [
        node("SpaceToDepth", ["image"], ["folded"], blocksize=4),
        node("Conv", ["folded", "map_head.weight", "map_head.bias"], ["told"]),
        node("Mul", ["body.bias", "nothing"], ["silent"]),
        node("ReduceSum", ["silent"], ["zero"], keepdims=0),
        node("Add", ["told", "zero"], ["map"]),
    ]
    shapes = {"map_head.weight": (2, 48, 1, 1), "map_head.bias": (2,), "body.bias": (WIDTH,)}
    image = value("image", "batch", 3, "4*rows", "4*columns")
    constants = {"nothing": np.zeros(1, np.float32)}
    return external_graph(nodes, [image], [value("map", "batch", 2, "rows", "columns")], shapes, constants)


def prompt_graph(*, curved: bool) -> bytes:
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["prompt"], ["flat"], axes=[1, 2], keepdims=0),
        node("Mul", ["flat", "flat"], ["mean"]) if curved else node("Identity", ["flat"], ["mean"]),
        node("Reshape", ["mean", "shape"], ["grey"]),
        node("Mul", ["grey", "tint"], ["shade"]),
    ]
    constants = {"shape": np.array([-1, 1, 1, 1])}
    prompt = value("prompt", "batch", 8, 8)
    return external_graph(nodes, [prompt], [value("shade", "batch", 3, 1, 1)], {"tint": (3, 1, 1)}, constants)


def prompted_toy(*, estimator: bool = True, curved: bool = False) -> Model:
    """Without adapters, under prompts `noise` (0.2 everywhere) and `dark` (0.6), whose mean brightens the picture; or
    the square of the mean, if `curved`.
    """
    model = toy_model(estimator=estimator, code=True)
    weights = {**model.weights, "prompt": {"tint": np.array([0.1, 0.2, 0.3], np.float16).reshape(3, 1, 1)}}
    graphs = {**model.graphs, "prompt": prompt_graph(curved=curved)}
    for parts in (weights, graphs):
        del parts["encode"]
    blend = "oh" if estimator else "none"
    card = replace(model.card, name="prompted toy", adapters={}, prompts=("noise", "dark"), blend=blend)
    table = np.stack([np.full((8, 8), value, np.float32) for value in (0.2, 0.6)])
    return replace(model, card=card, adapters={}, weights=weights, graphs=graphs, tables={"prompts": table})


def toy_model(*, estimator: bool = True, code: bool = False, regions: bool = False, dtype=np.float16) -> Model:
    """Adapters `noise` (low rank) and `dark` (delta); classes noise, dark, clean. `regions` adds a map."""
    random = np.random.default_rng(7)
    base = {
        "body.weight": random.normal(0, 0.05, (WIDTH, 48, 3, 3)).astype(dtype),
        "body.bias": random.normal(0, 0.05, (WIDTH,)).astype(dtype),
        "tail.weight": random.normal(0, 0.02, (48, WIDTH, 3, 3)).astype(dtype),
    }
    checksum = base_checksum(base)
    factors = {
        "noise": {
            "body.weight": {
                "down": random.normal(0, 0.1, (2, 48, 3, 3)).astype(dtype),
                "up": random.normal(0, 0.1, (WIDTH, 2)).astype(dtype),
            }
        },
        "dark": {"tail.weight": {"delta": random.normal(0, 0.02, (48, WIDTH, 3, 3)).astype(dtype)}},
    }
    weights, graphs = {"restore": base}, {"restore": restore_graph(code=code)}
    if estimator:
        # Rough pictures are noisy, those darker than a fifth dark, all others clean.
        weights["estimate"] = {
            "head.weight": np.array([[0, 200], [-60, 0], [0, 0]], dtype=dtype),
            "head.bias": np.array([-10, 12, 4], dtype=dtype),
        }
        graphs["estimate"] = estimate_graph()
    if code:
        weights["encode"] = {"gain": np.array([0.1], dtype=dtype)}
        graphs["encode"] = encode_graph()
    if regions:
        weights["map"] = {
            "map_head.weight": np.stack([np.full((48, 1, 1), -80 / 48), np.zeros((48, 1, 1))]).astype(dtype),
            "map_head.bias": np.array([24, 0], dtype=dtype),
        }
        graphs["map"] = map_graph()
    card = Card(
        name="toy",
        network={"name": "toy", "config": {"width": WIDTH}},
        size_multiple=4,
        stride=4,
        halo=12,
        base_checksum=checksum,
        degradations={"noise": "noise", "dark": "low light"},
        adapters={
            name: AdapterCard(rank=2, alpha=2.0, mode="compact", base_checksum=checksum) for name in ("noise", "dark")
        },
        estimator=EstimatorCard(name="toy", config={}, classes=("noise", "dark", "clean"), side=SIDE)
        if estimator
        else None,
        blend="sw" if estimator else "none",
        codes=("shade",) if code else (),
        map=("dark", "clean") if regions else (),
        summary="For tests only.",
        licence="Apache-2.0",
    )
    adapters = {name: Adapter(name, 2, 2.0, "compact", checksum, factors[name]) for name in factors}
    return Model(None, card, weights, adapters, graphs)
