"""One session of ONNX Runtime for all blends of a network: its weights become inputs, in the order that it wants.

Opening a graph, ONNX Runtime rewrites it for blocks of channels and lays the weights out anew, and that is most of what
a new blend costs. Here it does so once for a size of tiles, on weights of which each says where it is from: a number
for every place. What it makes of the graph is written down with the weights as inputs, and where the numbers of a
weight have gone says in which order those of every later blend go. Nothing here knows that order, so it may be another
one on another processor.

On the way, norms over channels lose their detour: engines know them on lists of pixels, but a map in blocks becomes a
map with its channels last, and back, in one step each. The numbers are the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unveil.engines.messages import fields, message, text_of, varints
from unveil.engines.nodes import Node, described, split_graph
from unveil.engines.norms import shorten

Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]

FIRST = 0x00800000
"""The bits of the smallest float that no processor takes for zero; places are counted from there."""
MOST = 1 << 23
"""Weights whose places are all of one binade: no sum, difference or product of two of them is a place as well."""

# Numbers of fields, of onnx.proto. ModelProto: graph 7. GraphProto: node 1, initializer 5, input 11, output 12.
# TensorProto: dims 1, data_type 2 (FLOAT 1, INT64 7), name 8, raw_data 9.
FLOAT, INT64 = 1, 7


@dataclass(frozen=True, slots=True)
class Order:
    """Where the numbers of an input come from: places in the weight `source`, and which of them stay zero."""

    source: str
    shape: tuple[int, ...]
    places: NDArray[np.int32]
    empty: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Shared:
    """A graph as ONNX Runtime wants it, and how to make its inputs of the weights of a blend."""

    graph: bytes
    orders: dict[str, Order | str]

    def lay_out(self, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """The inputs of a blend. What needs no other order is not copied."""
        laid: dict[str, NDArray[np.float32]] = {}
        for name, order in self.orders.items():
            if isinstance(order, str):
                laid[name] = weights[order]
                continue
            array = weights[order.source].reshape(-1)[order.places]
            array[order.empty] = 0
            laid[name] = array.reshape(order.shape)
        return laid


def numbered(shapes: Shapes) -> dict[str, NDArray[np.float32]] | None:
    """Weights of these names and shapes, each number of which says its place. None where there are too many."""
    starts = _starts(shapes)
    if starts[-1] > MOST:
        return None
    bits = np.arange(FIRST, FIRST + starts[-1], dtype=np.int32).view(np.float32)
    parts = np.split(bits, starts[1:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes, parts, strict=True)}


def share(optimised: bytes, shapes: Shapes) -> Shared | None:
    """Read what ONNX Runtime has made of a graph with `numbered` weights.

    None where a weight is not found again whole, so that its numbers were computed with and not only moved.
    """
    head, inner = split_graph(optimised)
    rest = [message(kind, value) for kind, value in inner if kind in (11, 12)]
    lists: dict[str, NDArray[np.int64]] = {}
    orders: dict[str, Order | str] = {}
    starts = _starts(shapes)
    for tensor in (value for kind, value in inner if kind == 5):
        name, kind, shape, raw = _tensor(tensor)
        try:
            found = _order(shape, raw, shapes, starts) if kind == FLOAT else None
        except _Computed:
            return None
        if found is None:
            rest.append(message(5, tensor))
            if kind == INT64 and len(raw) == 8 * math.prod(shape):
                lists[name] = np.frombuffer(raw, np.int64)
        else:
            orders[name] = found
            rest.append(message(11, described(name, shape)))
    if {order if isinstance(order, str) else order.source for order in orders.values()} != {name for name, _ in shapes}:
        return None
    nodes = shorten([Node.read(value) for kind, value in inner if kind == 1], lists)
    return Shared(head + message(7, b"".join((*(message(1, node.raw) for node in nodes), *rest))), orders)


def find_numbered(data: bytes, shapes: Shapes) -> dict[str, int] | None:
    """At which byte each of the `numbered` weights begins. None where one of them is not there, once and whole."""
    starts = _starts(shapes)
    total = int(starts[-1])
    # One of them shows how all are aligned.
    first = data.find(np.arange(FIRST, FIRST + min(int(starts[1]), 64), dtype=np.int32).tobytes())
    if first < 0:
        return None
    numbers = np.frombuffer(data, np.int32, (len(data) - first % 4) // 4, first % 4)
    met = np.flatnonzero((numbers >= FIRST) & (numbers < FIRST + total))
    # Texts and headers have a few that look like places.
    order = np.argsort(numbers[met], kind="stable")
    met = met[order]
    values = numbers[met]
    found: dict[str, int] = {}
    for (name, _), start, end in zip(shapes, starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        wanted: NDArray[np.int64] = np.arange(FIRST + start, FIRST + end, dtype=np.int64)
        begin, after = np.searchsorted(values, (FIRST + start, FIRST + start + 1))
        whole = [at for at in met[begin:after] if np.array_equal(numbers[at : at + end - start], wanted)]
        if len(whole) != 1:
            return None
        found[name] = first % 4 + 4 * int(whole[0])
    return found


def _starts(shapes: Shapes) -> NDArray[np.int64]:
    """The first place of every weight, and one after the last."""
    return np.cumsum([0, *(math.prod(shape) for _, shape in shapes)], dtype=np.int64)


class _Computed(Exception):
    """A weight's numbers were not only moved."""


def _order(shape: tuple[int, ...], raw: memoryview, shapes: Shapes, starts: NDArray[np.int64]) -> Order | str | None:
    """What became of a weight: its order, or its name where that is as it was; None for what is no weight."""
    bits = np.frombuffer(raw, np.int32)
    if not bits.size or not FIRST <= bits.max() < FIRST + starts[-1]:
        return None
    which = int(np.searchsorted(starts, int(bits.max()) - FIRST, "right")) - 1
    name, before = shapes[which]
    first, after = (int(start) for start in starts[which : which + 2])
    size = after - first
    places = bits - np.int32(FIRST + first)
    # What fills the last block of channels up.
    empty = np.flatnonzero(bits == 0) if bits.min() == 0 else np.empty(0, np.intp)
    inside = np.delete(places, empty) if len(empty) else places
    met = np.zeros(size, bool)
    if len(inside) != size or inside.min() < 0:
        raise _Computed
    met[inside] = True
    if not met.all():
        raise _Computed
    if before == shape and (np.diff(inside) == 1).all():
        return name
    places[empty] = 0
    return Order(name, shape, places, empty)


def _tensor(tensor: memoryview) -> tuple[str, int, tuple[int, ...], memoryview]:
    """Name, kind of numbers, shape and bytes of a TensorProto; no bytes where it has its numbers in another way."""
    name, kind, raw = "", 0, memoryview(b"")
    shape: list[int] = []
    for field, value in fields(tensor):
        if field == 1:
            shape.extend(varints(value) if isinstance(value, memoryview) else [value])
        elif field == 2 and isinstance(value, int):
            kind = value
        elif field == 8 and isinstance(value, memoryview):
            name = text_of(value)
        elif field == 9 and isinstance(value, memoryview):
            raw = value
    return name, kind, tuple(shape), raw
