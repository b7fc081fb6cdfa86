"""What a graph may hold, checked before any runtime sees it: standard operators on tensors that it has with it.

Refused are operators of other domains, functions that could hide such, graphs within graphs (with them every loop, so
that the work is bounded by the number of nodes), tensors in files (but for the weights, whose place `graph` checks),
and sizes that no network of ours comes near. Numbers of fields are those of onnx.proto.
"""

from __future__ import annotations

import math

from unveil.engines.messages import fields, text_in, text_of, varints
from unveil.errors import InvalidModel

STANDARD = ("", "ai.onnx")
LARGEST_GRAPH = 64 << 20
MOST_NODES = 100_000

# ModelProto: graph 7, opset_import 8, training_info 20, functions 25. GraphProto: node 1, initializer 5,
# sparse_initializer 15. NodeProto: op_type 4, attribute 5, domain 7. AttributeProto: t 5, g 6, tensors 10, graphs 11,
# sparse_tensor 22, sparse_tensors 23. TensorProto: dims 1, external_data 13, data_location 14.
_GRAPHS = (6, 11)
_SPARSE = (22, 23)
_TENSORS = (5, 10)


def vet(graph: bytes) -> None:
    """Check a serialised ONNX model.

    Raises:
        InvalidModel: it holds what is refused; the message names it.
        ValueError, IndexError: it is no such message, or cut short.
    """
    if len(graph) > LARGEST_GRAPH:
        raise _refused(f"a graph of {len(graph) / 1e6:.0f} MB, the limit is {LARGEST_GRAPH / 1e6:.0f} MB")
    found: list[memoryview] = []
    for number, value in fields(memoryview(graph)):
        if number in (20, 25):
            raise _refused("functions or training steps of its own")
        if not isinstance(value, memoryview):
            continue
        if number == 7:
            found.append(value)
        elif number == 8:
            _check_domain(text_in(value, 1), "imports operators")
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} graphs")
    _vet_graph(found[0])


def _vet_graph(graph: memoryview) -> None:
    nodes = 0
    for number, value in fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == 15:
            raise _refused("sparse tensors")
        if number == 1:
            nodes += 1
            if nodes > MOST_NODES:
                raise _refused(f"more than {MOST_NODES} nodes")
            _vet_node(value)
        elif number == 5:
            _vet_tensor(value, may_lie_outside=True)


def _vet_node(node: memoryview) -> None:
    operator = text_in(node, 4)
    for number, value in fields(node):
        if not isinstance(value, memoryview):
            continue
        if number == 7:
            _check_domain(text_of(value), f"has the operator '{operator}'")
        elif number == 5:
            for part, inner in fields(value):
                if part in _GRAPHS:
                    raise _refused(f"a graph within its node '{operator}'")
                if part in _SPARSE:
                    raise _refused("sparse tensors")
                if part in _TENSORS and isinstance(inner, memoryview):
                    _vet_tensor(inner, may_lie_outside=False)


def _vet_tensor(tensor: memoryview, *, may_lie_outside: bool) -> None:
    outside, size = False, 1
    for number, value in fields(tensor):
        if number == 1:
            sides = list(varints(value)) if isinstance(value, memoryview) else [value]
            size *= math.prod(sides)
        elif number == 13 or (number == 14 and value != 0):
            outside = True
    if outside and not may_lie_outside:
        raise _refused("a constant in a file of its own")
    # No type takes less than half a byte a value, so a larger claim has nothing behind it.
    if not outside and size > 8 * len(tensor):
        raise _refused(f"a tensor that claims {size} values in {len(tensor)} bytes")


def _check_domain(domain: str, what: str) -> None:
    if domain not in STANDARD:
        raise _refused(f"{what} of '{domain}'; only those of ONNX itself are run", has="")


def _refused(found: str, *, has: str = "has ") -> InvalidModel:
    return InvalidModel(f"a graph of the model file is refused: it {has}{found}.")
