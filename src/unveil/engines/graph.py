"""What can be read from a weightless ONNX graph without any ONNX package: its inputs, and where its weights belong.

Only the few fields needed here are decoded. Their numbers are those of onnx.proto:
ModelProto.graph 7; GraphProto.initializer 5, input 11, output 12; ValueInfoProto name 1, type 2;
TypeProto.tensor_type 1; Tensor.shape 2; Shape.dim 1; Dimension dim_value 1, dim_param 2; TensorProto dims 1, name 8,
external_data 13, data_location 14.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.engines.messages import fields, messages, text_in, text_of, varints
from unveil.engines.vetting import vet
from unveil.errors import EngineError, InvalidModel
from unveil.models import Model

LOCATION = "weights.bin"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a weight lies in `weights.bin`, in bytes, and its shape."""

    offset: int
    length: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs with their sides, numbers or symbols, and the external initialisers in the graph's order."""

    inputs: dict[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]
    weights: dict[str, Place]


# A new blend opens the same graph again, and reading it takes a third as long as the engine's own work.
@lru_cache(maxsize=8)
def read_signature(graph: bytes) -> Signature:
    """Read the signature of a serialised ONNX model, which is vetted first: see `unveil.engines.vetting`.

    Raises:
        InvalidModel: the bytes are no ONNX model; it holds what no network needs; or weights are said to lie anywhere
            but in `weights.bin`, one after the other.
    """
    try:
        vet(graph)
        signature = _signature(memoryview(graph))
        _check_places(signature.weights)
        return signature
    except (ValueError, IndexError) as error:
        raise InvalidModel(f"a graph of the model file is no ONNX graph ({error}); fetch the file again.") from error


def _check_places(weights: Mapping[str, Place]) -> None:
    """Weights lie one after the other, so that no offset makes a runtime write or read a file of any size."""
    at = 0
    for name, place in weights.items():
        length = 4 * math.prod(place.shape)
        if (place.offset, place.length) != (at, length):
            raise ValueError(f"its weight '{name}' of {length} bytes lies at {place.offset}, expected {at}")
        at += length


def solve_dimensions(signature: Signature, dimensions: Mapping[str, int]) -> dict[str, int]:
    """The values of the graph's symbols for a first input of these dimensions.

    `batch`, `height` and `width` are the first, third and fourth side of the first input. A composed symbol such as
    `16*rows` is solved for `rows` too. Symbols that only other inputs have stay free.

    Raises:
        EngineError: a side is not a multiple, or contradicts another one or a number of the graph.
    """
    name, sides = next(iter(signature.inputs.items()))
    values: dict[str, int] = {}
    for key, position in (("batch", 0), ("height", 2), ("width", 3)):
        if key not in dimensions or position >= len(sides):
            continue
        side, value = sides[position], dimensions[key]
        if isinstance(side, int):
            if side != value:
                raise EngineError(f"the {key} of '{name}' is {value}, but the graph takes only {side}")
            continue
        for symbol, solved in _solve(side, value).items():
            if values.setdefault(symbol, solved) != solved:
                raise EngineError(
                    f"the {key} of '{name}' is {value}, but its symbol '{symbol}' is {values[symbol]} already"
                )
    return values


def describe(model: Model, role: str) -> tuple[str, bytes, Signature]:
    """How messages call this network, its graph, and what the graph says of itself.

    Raises:
        EngineError: the model has no graph for the role.
        InvalidModel: the graph cannot be read.
    """
    label = f"model '{model.card.name}', role '{role}'"
    if role not in model.graphs:
        raise EngineError(f"{label}: the model file has no such graph, only {', '.join(model.graphs) or 'none'}.")
    return label, model.graphs[role], read_signature(model.graphs[role])


def fit_dimensions(label: str, signature: Signature, dimensions: Mapping[str, int]) -> dict[str, int]:
    """Values of the graph's symbols (`solve_dimensions`), complaints saying which network is meant."""
    try:
        return solve_dimensions(signature, dimensions)
    except EngineError as error:
        raise EngineError(f"{label}: {error}.") from error


def fit_weights(
    label: str, signature: Signature, weights: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[np.float32]]:
    """The weights that the graph asks for, float32 and contiguous, in the graph's order; no copy where none is needed.

    Raises:
        EngineError: a weight is missing or has another shape than the graph says.
    """
    missing = [name for name in signature.weights if name not in weights]
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise EngineError(f"{label}: the graph needs weights that the model file does not have: {shown}.")
    fitted = {name: np.asarray(weights[name], dtype=np.float32, order="C") for name in signature.weights}
    for name, place in signature.weights.items():
        if fitted[name].shape != place.shape:
            raise EngineError(f"{label}: '{name}' has shape {fitted[name].shape}, the graph expects {place.shape}.")
    return fitted


def _solve(symbol: str, value: int) -> dict[str, int]:
    solved = {symbol: value}
    if match := re.fullmatch(r"(\d+)\s*\*\s*(\w+)|(\w+)\s*\*\s*(\d+)", symbol):
        factor, inner = (match[1], match[2]) if match[1] else (match[4], match[3])
        quotient, rest = divmod(value, int(factor))
        if rest:
            raise EngineError(f"a side of {value} pixels is no multiple of {factor}")
        solved[inner] = quotient
    return solved


def _signature(model: memoryview) -> Signature:
    inputs: dict[str, tuple[int | str, ...]] = {}
    outputs: list[str] = []
    weights: dict[str, Place] = {}
    inner: set[str] = set()
    for graph in messages(model, 7):
        for number, value in fields(graph):
            if number == 5 and isinstance(value, memoryview):
                name, place = _initialiser(value)
                if name in inner:
                    raise ValueError(f"it has two weights '{name}'")
                inner.add(name)
                if place is not None:
                    weights[name] = place
            elif number == 11 and isinstance(value, memoryview):
                name, sides = _value(value)
                inputs[name] = sides
            elif number == 12 and isinstance(value, memoryview):
                outputs.append(_value(value)[0])
    # Old graphs list initialisers among the inputs as well.
    inputs = {name: sides for name, sides in inputs.items() if name not in inner}
    if not inputs or not outputs:
        raise ValueError("it has no inputs or no outputs")
    return Signature(inputs, tuple(outputs), weights)


def _initialiser(tensor: memoryview) -> tuple[str, Place | None]:
    name, external, entries = "", False, dict[str, str]()
    shape: list[int] = []
    for number, value in fields(tensor):
        if number == 1:
            shape.extend(varints(value) if isinstance(value, memoryview) else [value])
        elif number == 8 and isinstance(value, memoryview):
            name = text_of(value)
        elif number == 13 and isinstance(value, memoryview):
            pair = {key: text_of(text) for key, text in fields(value) if isinstance(text, memoryview)}
            if pair.get(1, "") in entries:
                raise ValueError(f"its weight '{name}' has two places")
            entries[pair.get(1, "")] = pair.get(2, "")
        elif number == 14:
            external = value == 1
    if not external:
        return name, None
    if entries.get("location") != LOCATION:
        raise ValueError(f"its weight '{name}' lies in '{entries.get('location')}' instead of {LOCATION}")
    return name, Place(int(entries.get("offset", "0")), int(entries.get("length", "-1")), tuple(shape))


def _value(info: memoryview) -> tuple[str, tuple[int | str, ...]]:
    name = text_in(info, 1)
    tensors = (tensor for kind in messages(info, 2) for tensor in messages(kind, 1))
    shapes = (shape for tensor in tensors for shape in messages(tensor, 2))
    return name, tuple(_side(side) for shape in shapes for side in messages(shape, 1))


def _side(side: memoryview) -> int | str:
    for number, value in fields(side):
        if number == 1 and isinstance(value, int):
            return value
        if number == 2 and isinstance(value, memoryview):
            return text_of(value)
    return ""
