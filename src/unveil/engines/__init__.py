"""Engines run the networks of a model on arrays. ONNX Runtime is the default; OpenVINO and PyTorch are extras."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

from unveil.errors import EngineError, InvalidRequest, MissingExtra, OutOfMemory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unveil.models import Model

Precision: TypeAlias = Literal["fp32", "bf16"]
"""What the restoring network computes in. Everything else is float32 always, so a diagnosis never depends on it."""

ENGINES = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}

COMPILED = "torch-compiled"
"""The engine `torch` with its network compiled: minutes of waiting for the first tile of a shape."""

NO_MEMORY = ("bad_alloc", "failed to allocate", "allocate memory", "out of memory", "could not allocate")
"""What engines say when memory has run out, in small letters."""

FASTER_IN_OPENVINO = frozenset({"nafnet", "restormer", "promptir", "xrestormer", "abair", "swinir"})
"""Networks that OpenVINO restores a megapixel with sooner than ONNX Runtime, opening included: docs/performance.md.

Of PromptIR and X-Restormer their blocks were measured, in Restormer and ABAIR's baseline."""


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


def choose(
    name: str = "auto", *, threads: int | None = None, precision: Precision = "fp32", network: str = ""
) -> Engine:
    """The engine of that name.

    Args:
        name: `onnx`, `openvino`, `torch`, `torch-compiled` or `auto`, the fastest of those installed that need no
            compiling: ONNX Runtime, or OpenVINO where that is installed and was measured to be faster, in bf16 and on
            some networks.
        threads: processor cores to use; None leaves it to the engine.
        precision: of the restoring network.
        network: its name in the table of networks, by which `auto` chooses.

    Raises:
        InvalidRequest: an unknown name, fewer than one thread, a precision that the engine or this machine lacks, or no
            C++ compiler to compile with.
        MissingExtra: the engine's package is not installed.
    """
    if threads is not None and threads < 1:
        raise InvalidRequest(f"threads is {threads}, expected at least 1.")
    if precision not in get_args(Precision):
        raise InvalidRequest(f"No precision is called {precision!r}; known are {', '.join(get_args(Precision))}.")
    chosen = _fastest(precision, network) if name == "auto" else name
    match chosen:
        case "onnx":
            from unveil.engines.onnx import OnnxEngine

            if precision != "fp32":
                raise InvalidRequest(
                    f"ONNX Runtime computes in fp32 on processors; {precision} needs the engine openvino or torch."
                )
            return OnnxEngine(threads)
        case "openvino":
            from unveil.engines.onnx import OnnxEngine
            from unveil.engines.openvino import OpenvinoEngine

            # It takes several times as long to open a network, which for the small ones is never made good.
            small = OnnxEngine(threads) if name == "auto" else None
            return OpenvinoEngine(threads, precision, small)
        case "torch" | "torch-compiled":
            from unveil.engines.torch import TorchEngine

            return TorchEngine(threads, precision, compiled=chosen == COMPILED)
        case _:
            raise InvalidRequest(f"No engine is called {name!r}; known are auto, {', '.join(ENGINES)}, {COMPILED}.")


def _fastest(precision: Precision, network: str) -> str:
    if precision == "fp32" and network not in FASTER_IN_OPENVINO:
        return "onnx"
    installed = available()
    if "openvino" in installed:
        return "openvino"
    if precision == "fp32":
        return "onnx"
    if "torch" not in installed:
        raise MissingExtra(f"the precision {precision}", "fast")
    return "torch"


def stopped(label: str, engine: str, error: Exception, *, opening: bool = False) -> EngineError:
    """What to raise for an error of an engine: `OutOfMemory` where its words or its kind say that.

    `opening`: it came while a network was made ready, not while it ran.
    """
    words = str(error).lower()
    if isinstance(error, MemoryError) or any(sign in words for sign in NO_MEMORY):
        return OutOfMemory(f"{label}: {engine} has no memory for a picture or tile of this size ({error}).")
    return EngineError(f"{label}: {engine} {'cannot open it' if opening else 'stopped'} ({error}).")


def available() -> list[str]:
    """The names of the engines whose packages are installed."""
    return [name for name, package in ENGINES.items() if find_spec(package) is not None]
