"""ONNX Runtime: a weightless graph gets its weights from memory when a session is made: a blend is free at run time.

Networks that are blended share a session, which takes its weights as inputs (`unveil.engines.sharing`).
"""

# onnxruntime comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import onnxruntime as ort  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from unveil.engines import stopped
from unveil.engines.folding import Arrays, Folded, fold
from unveil.engines.graph import describe, fit_dimensions, fit_weights
from unveil.engines.nodes import each_used_once
from unveil.engines.recurring import Recurring
from unveil.engines.sharing import Shapes, Shared, numbered, share
from unveil.models import Model

Key: TypeAlias = tuple[bytes, Shapes, tuple[tuple[str, int], ...]]
"""A graph, names and shapes of its weights, and the values of its symbols."""

ERROR = 3

BLENDED = ("restore",)
"""Roles that are opened for many blends."""
LARGE = 512 * 1024
"""Pixels of a tile on which a run gains more than finding out how to share a session costs."""
KEPT = 4
"""Graphs and sizes of tiles to know how to share; what is kept of each is as large as its weights."""

# For Windows, where the variable that the package sets has no say, and for a process that had loaded it before unveil.
ort.disable_telemetry_events()


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """One session, or one of several networks that share a session and give it their weights as inputs.

    `kept` only keeps alive the memory that the session reads.
    """

    label: str
    session: ort.InferenceSession
    weights: Mapping[str, NDArray[Any]]
    kept: list[NDArray[Any]]

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        try:
            results = self.session.run(None, {**inputs, **self.weights})
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
        try:
            graph, arrays = prepare(graph, arrays)
            if role in BLENDED and values:
                key = graph, shapes_of(arrays), tuple(values.items())
                large = dimensions.get("height", 0) * dimensions.get("width", 0) >= LARGE
                if (shared := SHARED.get(key, at_once=large)) is not None:
                    session = _session(shared.graph, self.threads)
                    return OnnxNetwork(label, session, shared.lay_out(arrays), [])
            session = _open(graph, _options(self.threads, values), arrays)
        except Exception as error:
            raise stopped(label, "ONNX Runtime", error, opening=True) from error
        return OnnxNetwork(label, session, {}, list(arrays.values()))


def _share(key: Key) -> Shared | None:
    """What the optimiser makes of a graph, with weights that say where they are from."""
    graph, shapes, values = key
    weights = numbered(shapes)
    if weights is None or not each_used_once(graph, weights):
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="unveil-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "graph.onnx"
            options = _options(1, dict(values))
            options.optimized_model_filepath = str(path)
            _open(graph, options, weights)
            return share(path.read_bytes(), shapes)
    except Exception:
        # No room on the disk, say. A blend is then opened alone, and tells what is wrong if that fails, too.
        return None


SHARED = Recurring(_share, KEPT)
SESSIONS: WeakValueDictionary[tuple[bytes, int | None], ort.InferenceSession] = WeakValueDictionary()
"""Those that networks share, each for as long as one of them is open."""


def _session(graph: bytes, threads: int | None) -> ort.InferenceSession:
    with SHARED.lock:
        session = SESSIONS.get((graph, threads))
        if session is None:
            # It is as the optimiser left it.
            options = _options(threads, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
            session = SESSIONS[graph, threads] = _open(graph, options, {})
        return session


def _open(graph: bytes, options: Any, weights: Mapping[str, NDArray[Any]]) -> ort.InferenceSession:
    if weights:
        names = list(weights)
        options.add_external_initializers(names, [ort.OrtValue.ortvalue_from_numpy(weights[name]) for name in names])
    # Else it prints about each failure, and tries once more in the same way.
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _options(threads: int | None, values: Mapping[str, int] | None = None, *, level: Any = None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = ERROR
    # A plan of all memory ahead of the first run takes twice the memory, and no less time (docs/performance.md).
    options.enable_mem_pattern = False
    if threads is not None:
        options.intra_op_num_threads = threads
    if level is not None:
        options.graph_optimization_level = level
    for symbol, value in (values or {}).items():
        options.add_free_dimension_override_by_name(symbol, value)
    return options


def prepare(graph: bytes, weights: Arrays) -> tuple[bytes, Arrays]:
    """The graph without what it computes from weights alone, and the weights that it then asks for."""
    folded = fold(graph, shapes_of(weights))
    return (graph, weights) if folded is None else folded.apply(partial(_prepare, folded), weights)


def shapes_of(weights: Arrays) -> Shapes:
    return tuple((name, array.shape) for name, array in weights.items())


def _prepare(folded: Folded, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    found = _preparing(folded.preparing).run(list(folded.made), dict(weights))
    return dict(zip(folded.made, map(np.asarray, found), strict=True))


@lru_cache(maxsize=8)
def _preparing(graph: bytes) -> ort.InferenceSession:
    """Kept, since every blend of a model is prepared by the same graph. It is small, and its weights are inputs."""
    # Reading it is most of the work, and the optimiser would read it many times.
    return _open(graph, _options(1, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL), {})
