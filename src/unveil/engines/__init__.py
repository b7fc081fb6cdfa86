"""Engines run the networks of a model on arrays. ONNX Runtime is the default; OpenVINO and PyTorch are extras."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from unveil.errors import InvalidRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unveil.models import Model

ENGINES = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}


class Network(Protocol):
    """A network ready to run: float32 arrays in and out, by the names of the graph (docs/reference/model-file.md)."""

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]: ...


class Engine(Protocol):
    """Opens networks."""

    @property
    def name(self) -> str: ...

    def open(
        self, model: Model, role: str, weights: Mapping[str, NDArray[Any]], dimensions: Mapping[str, int]
    ) -> Network:
        """Make the network of a role ready to run.

        Args:
            model: whose graph, or whose description of the network, is used.
            role: `restore`, `estimate` or `encode`.
            weights: all weights of that network by name, blended already; the network keeps what it needs of them.
            dimensions: `batch`, `height` and `width` of the first input in every later call. May be empty.

        Raises:
            EngineError: this engine cannot open this network with these weights and dimensions.
            MissingExtra: a package of the engine is not installed.
        """
        ...


def choose(name: str = "auto", *, threads: int | None = None) -> Engine:
    """The engine of that name: `onnx`, `openvino`, `torch`, or `auto`, which is `onnx`: the fastest in float32 on the
    networks that unveil ships. `threads` limits the processor cores in use.

    Raises:
        InvalidRequest: an unknown name, or fewer than one thread.
        MissingExtra: the engine's package is not installed.
    """
    if threads is not None and threads < 1:
        raise InvalidRequest(f"threads is {threads}, expected at least 1.")
    match name:
        case "auto" | "onnx":
            from unveil.engines.onnx import OnnxEngine

            return OnnxEngine(threads)
        case "openvino":
            from unveil.engines.openvino import OpenvinoEngine

            return OpenvinoEngine(threads)
        case "torch":
            from unveil.engines.torch import TorchEngine

            return TorchEngine(threads)
        case _:
            raise InvalidRequest(f"No engine is called {name!r}; known are auto, {', '.join(ENGINES)}.")


def available() -> list[str]:
    """The names of the engines whose packages are installed."""
    return [name for name, package in ENGINES.items() if find_spec(package) is not None]
