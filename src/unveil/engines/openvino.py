"""OpenVINO: reads a graph and its weights from files, which are written for it and removed again."""

# openvino comes without types, and is not installed everywhere.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingImports=false

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.engines import Engine, Network, Precision, stopped
from unveil.engines.graph import LOCATION, Signature, describe, fit_dimensions, fit_weights
from unveil.errors import EngineError, InvalidRequest, MissingExtra
from unveil.models import Model

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
            with tempfile.TemporaryDirectory(prefix="unveil-", ignore_cleanup_errors=True) as folder:
                path = Path(folder) / "graph.onnx"
                path.write_bytes(graph)
                write_weights(label, Path(folder) / LOCATION, signature, arrays)
                core = openvino.Core()
                network = core.read_model(path)
                if values:
                    network.reshape(
                        {name: [_side(side, values) for side in sides] for name, sides in signature.inputs.items()}
                    )
                compiled = core.compile_model(network, "CPU", settings)
                return OpenvinoNetwork(label, compiled.create_infer_request(), signature.outputs)
        except EngineError:
            raise
        except Exception as error:
            raise stopped(label, "OpenVINO", error, opening=True) from error


def capabilities() -> list[str]:
    """What OpenVINO says that this processor can compute in: `FP32`, `BF16`, `INT8`."""
    return list(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def write_weights(label: str, path: Path, signature: Signature, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Write all weights where the graph says that they lie.

    Raises:
        EngineError: the graph reserves another number of bytes for a weight than it has.
    """
    with path.open("wb") as stream:
        for name, place in signature.weights.items():
            if place.length != arrays[name].nbytes:
                raise EngineError(
                    f"{label}: '{name}' has {arrays[name].nbytes} bytes, the graph reserves {place.length}."
                )
            stream.seek(place.offset)
            stream.write(arrays[name].tobytes())


def _side(side: int | str, values: Mapping[str, int]) -> int:
    return side if isinstance(side, int) else values.get(side, -1)
