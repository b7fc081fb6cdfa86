"""ONNX Runtime: a weightless graph gets its weights from memory when a session is made: a blend is free at run time."""

# onnxruntime comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import onnxruntime as ort  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from unveil.engines import stopped
from unveil.engines.folding import Folded, fold
from unveil.engines.graph import describe, fit_dimensions, fit_weights
from unveil.models import Model

ERROR = 3

# For Windows, where the variable that the package sets has no say, and for a process that had loaded it before unveil.
ort.disable_telemetry_events()


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """One session. `weights` only keeps alive the memory that the session reads."""

    label: str
    session: ort.InferenceSession
    weights: list[NDArray[Any]]

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        try:
            results = self.session.run(None, inputs)
        except Exception as error:
            raise stopped(self.label, "ONNX Runtime", error) from error
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, (np.asarray(result) for result in results), strict=True))


@dataclass(frozen=True, slots=True)
class OnnxEngine:
    """The default engine."""

    threads: int | None = None
    name: str = "onnx"

    def open(
        self, model: Model, role: str, weights: Mapping[str, NDArray[Any]], dimensions: Mapping[str, int]
    ) -> OnnxNetwork:
        label, graph, signature = describe(model, role)
        values = fit_dimensions(label, signature, dimensions)
        arrays = fit_weights(label, signature, weights)
        options = _options(self.threads)
        # A plan of all memory ahead of the first run takes twice the memory, and no less time (docs/performance.md).
        options.enable_mem_pattern = False
        for symbol, value in values.items():
            options.add_free_dimension_override_by_name(symbol, value)
        try:
            shapes = tuple((name, array.shape) for name, array in arrays.items())
            if (folded := fold(graph, shapes)) is not None:
                graph, arrays = folded.apply(partial(_prepare, folded), arrays)
            if arrays:
                names = list(arrays)
                options.add_external_initializers(
                    names, [ort.OrtValue.ortvalue_from_numpy(arrays[name]) for name in names]
                )
            # Else it prints about each failure, and tries once more in the same way.
            session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        except Exception as error:
            raise stopped(label, "ONNX Runtime", error, opening=True) from error
        return OnnxNetwork(label, session, list(arrays.values()))


def _options(threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = ERROR
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def _prepare(folded: Folded, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    found = _preparing(folded.preparing).run(list(folded.made), dict(weights))
    return dict(zip(folded.made, map(np.asarray, found), strict=True))


@lru_cache(maxsize=8)
def _preparing(graph: bytes) -> ort.InferenceSession:
    """Kept, since every blend of a model is prepared by the same graph. It is small, and its weights are inputs."""
    options = _options(1)
    # Reading it is most of the work, and the optimiser would read it many times.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)
