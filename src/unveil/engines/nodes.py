"""Graphs taken apart and written again: their fields, and their nodes one by one.

Numbers of fields are those of onnx.proto. ModelProto: graph 7. NodeProto: input 1, output 2, name 3, op_type 4,
attribute 5, domain 7. AttributeProto: name 1, i 3, ints 8, type 20 (INT 2, INTS 7). ValueInfoProto: name 1, type 2;
TypeProto: tensor_type 1; Tensor: elem_type 1, shape 2; Shape: dim 1; Dimension: dim_value 1. TensorProto: dims 1,
data_type 2, name 8, raw_data 9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unveil.engines.messages import fields, message, messages, number, text_in, text_of, varints

FLOAT = 1
INT, INTS = 2, 7


def split_graph(model: bytes) -> tuple[bytes, list[tuple[int, memoryview]]]:
    """All of a model but its graph as it stands, and the fields of its graph."""
    head: list[bytes] = []
    inner: list[tuple[int, memoryview]] = []
    for kind, value in fields(memoryview(model)):
        if kind == 7 and isinstance(value, memoryview):
            # Descriptions of values in between (13) may be of nodes that move.
            inner += [(k, v) for k, v in fields(value) if isinstance(v, memoryview) and k != 13]
        else:
            head.append(number(kind, value) if isinstance(value, int) else message(kind, value))
    return b"".join(head), inner


def described(name: str, shape: tuple[int, ...] | None) -> bytes:
    """A ValueInfoProto of floats; of any shape, where none is given."""
    sides = b"" if shape is None else message(2, b"".join(message(1, number(1, side)) for side in shape))
    return message(1, name.encode()) + message(2, message(1, number(1, FLOAT) + sides))


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node: as it is written, and what of it is asked for here."""

    raw: bytes | memoryview = field(repr=False)
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def read(cls, raw: memoryview) -> Node:
        found: dict[int, list[str]] = {1: [], 2: [], 4: [], 7: []}
        for kind, value in fields(raw):
            if kind in found and isinstance(value, memoryview):
                found[kind].append(text_of(value))
        return cls(raw, "".join(found[4]), "".join(found[7]), tuple(found[1]), tuple(found[2]))

    @classmethod
    def make(
        cls, operator: str, given: str, result: str, domain: str = "", **attributes: int | tuple[int, ...]
    ) -> Node:
        """A node of one input and one output."""
        raw = message(1, given.encode()) + message(2, result.encode()) + message(4, operator.encode())
        raw += b"".join(message(5, _attribute(name, value)) for name, value in attributes.items())
        raw += message(7, domain.encode()) if domain else b""
        return cls(raw, operator, domain, (given,), (result,))

    @property
    def numbers(self) -> Mapping[str, tuple[int, ...]]:
        """Its attributes that are whole numbers or lists of them."""
        found: dict[str, tuple[int, ...]] = {}
        for attribute in messages(memoryview(self.raw), 5):
            name, values = "", list[int]()
            for kind, value in fields(attribute):
                if kind == 1 and isinstance(value, memoryview):
                    name = text_of(value)
                elif kind in (3, 8):
                    values += varints(value) if isinstance(value, memoryview) else [value]
            found[name] = tuple(values)
        return found


def each_used_once(graph: bytes, names: Collection[str]) -> bool:
    """Whether each of these weights goes into one node, and none of them is given back."""
    _, inner = split_graph(graph)
    uses = Counter(name for kind, value in inner if kind == 1 for name in Node.read(value).inputs)
    uses.update(text_of(name) for kind, value in inner if kind == 12 for name in messages(value, 1))
    return all(uses[name] == 1 for name in names)


def inlined(
    graph: bytes, weights: Mapping[str, NDArray[np.float32]], inputs: Mapping[str, tuple[int, ...]] | None = None
) -> bytes:
    """The graph with these weights in it, instead of the word that they lie elsewhere.

    And with `inputs`, which are floats, of these sides, where they are given.
    """
    head, inner = split_graph(graph)
    inputs = inputs or {}
    parts: list[bytes] = []
    for kind, value in inner:
        if kind == 5 and (name := text_in(value, 8)) in weights:
            parts.append(message(kind, _tensor(name, weights[name])))
        elif kind == 11 and (name := text_in(value, 1)) in inputs:
            parts.append(message(kind, described(name, inputs[name])))
        else:
            parts.append(message(kind, value))
    return head + message(7, b"".join(parts))


def _tensor(name: str, array: NDArray[np.float32]) -> bytes:
    sides = b"".join(number(1, side) for side in array.shape)
    numbers = np.ascontiguousarray(array, "<f4").tobytes()
    return sides + number(2, FLOAT) + message(8, name.encode()) + message(9, numbers)


def _attribute(name: str, value: int | tuple[int, ...]) -> bytes:
    if isinstance(value, int):
        return message(1, name.encode()) + number(3, value) + number(20, INT)
    return message(1, name.encode()) + b"".join(number(8, one) for one in value) + number(20, INTS)
