"""OpenVINO: compiles a graph with its weights, which takes long; a blend that comes later gets its weights afterwards.

What is compiled can be written down, and holds all weights as they were given. So a graph that comes again is compiled
once with weights that say where they are from (`unveil.engines.sharing`), and every blend is written over them.
"""

# openvino comes without types, and is not installed everywhere.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingImports=false

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unveil.engines import Engine, Network, Precision, stopped
from unveil.engines.folding import Arrays
from unveil.engines.graph import describe, fit_dimensions, fit_weights
from unveil.engines.nodes import each_used_once, inlined
from unveil.engines.onnx import BLENDED, KEPT, prepare, shapes_of
from unveil.engines.recurring import Recurring
from unveil.engines.sharing import Shapes, find_numbered, numbered
from unveil.errors import InvalidRequest, MissingExtra
from unveil.models import Model

Key: TypeAlias = tuple[bytes, Shapes, tuple[tuple[str, tuple[int, ...]], ...], tuple[tuple[str, Any], ...]]
"""A graph, names and shapes of its weights, the sides of those inputs that have no free one, and settings."""

REPORTS = "openvino_telemetry"

# With this module, OpenVINO marks the machine and reports to its makers; where it cannot be imported, a stub serves.
silenced = REPORTS not in sys.modules
if silenced:
    sys.modules[REPORTS] = None  # pyright: ignore[reportArgumentType]
try:
    import openvino
except ImportError as error:
    raise MissingExtra("the engine 'openvino'", "fast") from error
finally:
    if silenced:
        del sys.modules[REPORTS]


@dataclass(frozen=True, slots=True)
class OpenvinoNetwork:
    """One compiled network with its request."""

    label: str
    request: Any
    outputs: tuple[str, ...]

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        try:
            results = self.request.infer(inputs)
        except Exception as error:
            raise stopped(self.label, "OpenVINO", error) from error
        # The request reuses its output memory in the next call, so results are copied out.
        return {name: np.array(results[name]) for name in self.outputs}


@dataclass(frozen=True, slots=True)
class OpenvinoEngine:
    """For networks and processors where it was measured to be faster than ONNX Runtime, and for bf16.

    Args:
        threads: processor cores to use; None leaves it to OpenVINO.
        precision: of the role `restore`; other roles are float32.
        small: opens the other roles, where given.

    Raises:
        InvalidRequest: this processor cannot compute in the precision.
    """

    threads: int | None = None
    precision: Precision = "fp32"
    small: Engine | None = None
    name: str = "openvino"

    def __post_init__(self) -> None:
        if self.precision == "bf16" and "BF16" not in (found := capabilities()):
            raise InvalidRequest(
                f"bf16 needs a processor that computes in it (AVX512-BF16, AMX or Arm's BF16); OpenVINO finds "
                f"{', '.join(found) or 'nothing'} here. Take fp32."
            )

    def open(
        self, model: Model, role: str, weights: Mapping[str, NDArray[Any]], dimensions: Mapping[str, int]
    ) -> Network:
        if role != "restore" and self.small is not None:
            return self.small.open(model, role, weights, dimensions)
        label, graph, signature = describe(model, role)
        values = fit_dimensions(label, signature, dimensions)
        arrays = fit_weights(label, signature, weights)
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if role == "restore" and self.precision == "bf16":
            settings["INFERENCE_PRECISION_HINT"] = "bf16"
        if self.threads is not None:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        try:
            graph, arrays = prepare(graph, arrays)
            solved = ((name, _solved(sides, values)) for name, sides in signature.inputs.items())
            known = tuple((name, sides) for name, sides in solved if sides)
            key = graph, shapes_of(arrays), known, tuple(settings.items())
            blank = BLANKS.get(key) if role in BLENDED and values else None
            compiled = _compile(key, arrays) if blank is None else blank.open(arrays, settings)
            return OpenvinoNetwork(label, compiled.create_infer_request(), signature.outputs)
        except Exception as error:
            raise stopped(label, "OpenVINO", error, opening=True) from error


@dataclass(frozen=True, slots=True)
class Blank:
    """A compiled network as OpenVINO writes it down, and at which byte of it each weight begins."""

    written: bytes
    places: dict[str, int]

    def open(self, weights: Arrays, settings: Mapping[str, Any]) -> Any:
        """The compiled network with the weights of a blend."""
        filled = bytearray(self.written)
        for name, at in self.places.items():
            numbers = np.ascontiguousarray(weights[name], np.float32).tobytes()
            filled[at : at + len(numbers)] = numbers
        return openvino.Core().import_model(io.BytesIO(filled), "CPU", dict(settings))


def _blank(key: Key) -> Blank | None:
    """Compile a graph with weights that say where they are from, and look for them in what is written down of it.

    None where one is not found again whole, or may have been computed with.
    """
    graph, shapes, *_ = key
    weights = numbered(shapes)
    if weights is None or not each_used_once(graph, weights):
        return None
    try:
        written = _compile(key, weights).export_model().getvalue()
    except Exception:
        # A blend is then compiled alone, and tells what is wrong if that fails, too.
        return None
    places = find_numbered(written, shapes)
    return None if places is None else Blank(written, places)


def _compile(key: Key, weights: Arrays) -> Any:
    graph, _, sides, settings = key
    core = openvino.Core()
    # Sides that were only set afterwards would have all shapes found out twice.
    network = core.read_model(inlined(graph, weights, dict(sides)))
    return core.compile_model(network, "CPU", dict(settings))


# It costs a compilation more, so a picture of which a second blend is made waits no longer than it did.
BLANKS = Recurring(_blank, KEPT, times=3)


def capabilities() -> list[str]:
    """What OpenVINO says that this processor can compute in: `FP32`, `BF16`, `INT8`."""
    return list(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _solved(sides: tuple[int | str, ...], values: Mapping[str, int]) -> tuple[int, ...]:
    """The sides of an input as numbers; none where one of them is free."""
    found = [side if isinstance(side, int) else values.get(side) for side in sides]
    return tuple(side for side in found if side is not None) if None not in found else ()
