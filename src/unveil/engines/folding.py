"""What a graph computes from weights alone, taken out of it, so that it is computed once a blend and by us.

An engine would find it out too, but anew for every blend, and by opening its nodes one by one (docs/performance.md has
what it costs). Nothing here knows the network: nodes whose inputs all come from weights, and whose operator only
rearranges or combines numbers, go into a graph of their own, whose outputs are weights of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unveil.engines.graph import LOCATION
from unveil.engines.messages import fields, message, number, text_in, text_of
from unveil.engines.nodes import FLOAT, described, split_graph

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Run: TypeAlias = Callable[[Arrays], Mapping[str, NDArray[Any]]]

OPERATORS = frozenset(
    ("Add", "Concat", "Div", "MatMul", "Mul", "Reshape", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze")
)
"""Nothing that draws, and nothing that repeats. What they give is of the kind of their first input."""
FEWEST = 50
"""Nodes below which a graph stays whole: opening two is not free."""

# Numbers of fields, of onnx.proto. ModelProto: graph 7. GraphProto: node 1, name 2, initializer 5, input 11, output 12.
# NodeProto: input 1, output 2, op_type 4. TensorProto: dims 1, data_type 2, name 8, external_data 13, data_location 14.
# ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; Tensor: elem_type 1, shape 2; Shape: dim 1; Dimension:
# dim_value 1. StringStringEntryProto: key 1, value 2.
OUTSIDE = 1


@dataclass(slots=True)
class Folded:
    """A graph in two: `preparing` takes weights and gives `made`, which the rest of the graph takes as weights.

    Shapes of what is made show only when it is, so the rest is written then, once.
    """

    preparing: bytes
    made: tuple[str, ...]
    _taken: frozenset[str]
    _kept: frozenset[str]
    _head: bytes
    _rest: list[bytes]
    _written: bytes | None = None

    def apply(self, run: Run, weights: Arrays) -> tuple[bytes, dict[str, NDArray[Any]]]:
        """The rest of the graph, and the weights that it asks for. `run` runs `preparing`."""
        found = run({name: array for name, array in weights.items() if name in self._taken})
        made = {name: np.ascontiguousarray(found[name], np.float32) for name in self.made}
        if self._written is None:
            asked = [message(5, _outside(name, array.shape)) for name, array in made.items()]
            self._written = self._head + message(7, b"".join((*self._rest, *asked)))
        return self._written, {name: array for name, array in weights.items() if name in self._kept} | made


@lru_cache(maxsize=8)
def fold(graph: bytes, weights: tuple[tuple[str, tuple[int, ...]], ...]) -> Folded | None:
    """Take out of a graph, which has been vetted, what it computes from `weights` (names and shapes) alone.

    None where that is too little to be worth it.
    """
    head, inner = split_graph(graph)
    shapes = dict(weights)
    tensors = {text_in(value, 8): value for kind, value in inner if kind == 5}
    outputs = {text_in(value, 1) for kind, value in inner if kind == 12}
    # Whole numbers say how: sides and axes. What is made is floats.
    floats = {name for name, value in tensors.items() if (2, FLOAT) in fields(value)}
    known = set(tensors)
    early: list[memoryview] = []
    late: list[memoryview] = []
    asked, used = set(outputs), set[str]()
    made: list[str] = []
    for node in (value for kind, value in inner if kind == 1):
        inputs, given, operator, subject = _node(node)
        # What a graph gives back stays in it.
        foldable = operator in OPERATORS and subject in floats and inputs <= known and not given & outputs
        if foldable:
            early.append(node)
            used |= inputs
            made += sorted(given)
            known |= given
            floats |= given
        else:
            late.append(node)
            asked |= inputs
    if len(early) < FEWEST:
        return None
    made = [name for name in made if name in asked]
    first = [message(kind, value) for kind, value in inner if kind == 2]
    first += [message(1, node) for node in early]
    first += [message(5, value) for name, value in tensors.items() if name in used and name not in shapes]
    first += [message(11, described(name, shapes[name])) for name in shapes if name in used]
    first += [message(12, described(name, None)) for name in made]
    rest = [message(kind, value) for kind, value in inner if kind not in (1, 5)]
    rest += [message(1, node) for node in late]
    rest += [message(5, value) for name, value in tensors.items() if name in asked]
    return Folded(
        preparing=head + message(7, b"".join(first)),
        made=tuple(made),
        _taken=frozenset(shapes) & used,
        _kept=frozenset(shapes) & asked,
        _head=head,
        _rest=rest,
    )


def _node(node: memoryview) -> tuple[set[str], set[str], str, str]:
    """Names of a node's inputs and outputs, its operator, and its first input. Left out optional ones have no name."""
    inputs: list[str] = []
    outputs: set[str] = set()
    operator = ""
    for kind, value in fields(node):
        if kind == 1 and isinstance(value, memoryview):
            inputs.append(text_of(value))
        elif kind == 2 and isinstance(value, memoryview):
            outputs.add(text_of(value))
        elif kind == 4 and isinstance(value, memoryview):
            operator += text_of(value)
    return set(inputs) - {""}, outputs - {""}, operator, inputs[0] if inputs else ""


def _outside(name: str, shape: tuple[int, ...]) -> bytes:
    """A TensorProto of floats whose numbers are given when the graph is opened."""
    place = message(13, message(1, b"location") + message(2, LOCATION.encode()))
    sides = b"".join(number(1, side) for side in shape)
    return sides + number(2, FLOAT) + message(8, name.encode()) + place + number(14, OUTSIDE)
