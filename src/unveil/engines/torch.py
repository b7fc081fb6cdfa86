"""PyTorch: rebuilds the network from the card instead of running a graph. For GPUs and for research."""

# PyTorch's types are loose.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.engines import COMPILED, Precision, buffers, stopped
from unveil.errors import EngineError, InvalidRequest, MissingExtra
from unveil.models import Model

try:
    import torch
except ImportError as error:
    raise MissingExtra("the engine 'torch'", "train") from error

OUTPUTS = {"restore": "restored", "estimate": "logits", "encode": "code", "prompt": "code", "map": "map"}
CODED = ("restore", "encode", "prompt")


@dataclass(frozen=True, slots=True)
class TorchNetwork:
    """A module in evaluation mode on its device."""

    label: str
    call: Callable[..., torch.Tensor]
    device: torch.device
    output: str
    precision: Precision = "fp32"

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        first, *codes = [self._upload(array) for array in inputs.values()]
        named = dict(zip(list(inputs)[1:], codes, strict=True))
        try:
            kind = self.device.type
            with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16"):
                result = self.call(first, **named)
        except Exception as error:
            if _comes_from_compiling(error):
                reason = (str(error).strip().splitlines() or ["it does not say why"])[0]
                raise EngineError(
                    f"{self.label}: PyTorch cannot compile it ({reason}). The engine 'torch' runs it as it is."
                ) from error
            raise stopped(self.label, "PyTorch", error) from error
        return {self.output: result.float().contiguous().cpu().numpy()}

    def _upload(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)
        return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """Uses the GPU where PyTorch has one.

    On a processor, opening the role `restore` lets the whole process reuse its large buffers, until its end
    (`unveil.engines.buffers`).

    Args:
        threads: processor cores to use, set for the whole process; None leaves it to PyTorch.
        precision: of the role `restore`; other roles are float32.
        compiled: turn the role `restore` into C++ (on a GPU: Triton), which takes minutes when the first tile is run;
            another shape of tile takes as long once more, and then a form that fits all shapes is kept. Other weights
            cost nothing more, and PyTorch keeps what it compiled for later processes (`TORCHINDUCTOR_CACHE_DIR`).

    Raises:
        InvalidRequest: `compiled`, and there is no C++ compiler.
    """

    threads: int | None = None
    precision: Precision = "fp32"
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.compiled and not torch.cuda.is_available() and shutil.which(compiler := _compiler()) is None:
            raise InvalidRequest(
                f"The engine '{COMPILED}' builds its code with a C++ compiler, and there is none called "
                f"'{compiler}' here. Install one, name another in the variable CXX, or take the engine 'torch'."
            )

    @property
    def name(self) -> str:
        return COMPILED if self.compiled else "torch"

    def open(
        self, model: Model, role: str, weights: Mapping[str, NDArray[Any]], dimensions: Mapping[str, int]
    ) -> TorchNetwork:
        label = f"model '{model.card.name}', role '{role}'"
        if role not in OUTPUTS:
            raise EngineError(f"{label}: the engine 'torch' runs only {', '.join(OUTPUTS)}; use the engine 'onnx'.")
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            module = _build(model, role)
        except MissingExtra:
            raise
        except Exception as error:
            raise EngineError(f"{label}: PyTorch cannot build its network ({error}).") from error
        # One module serves several roles: what this role does not use may lie with another one, or nowhere.
        others = [other for other in CODED if role in (*CODED, "map") and other != role]
        shared = [model.weights.get(other, {}) for other in others]
        arrays = {name: array for named in (*shared, weights) for name, array in named.items()}
        state = {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in arrays.items()}
        idle = tuple(getattr(module, "idle", tuple)())
        parameters = {name for name, _ in module.named_parameters() if not name.startswith(idle)}
        if missing := sorted(parameters - set(state)):
            raise EngineError(f"{label}: the network has parameters without weights: {', '.join(missing[:3])}.")
        try:
            # Buffers that are constants of the network (index tables) are no weights of a model file.
            foreign = module.load_state_dict(state, strict=False).unexpected_keys
        except RuntimeError as error:
            raise EngineError(f"{label}: the weights do not fit the network ({error}).") from error
        if foreign:
            raise EngineError(f"{label}: the network does not know the weights {', '.join(foreign[:3])}.")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        module = module.eval().to(device)
        precision = self.precision if role == "restore" else "fp32"
        if device.type == "cpu" and precision == "fp32":
            _route(module)
        for weight in module.parameters():
            # Prompts have five axes, for which the fast order is not defined.
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        call = _method(module, role)
        if role == "restore":
            if device.type == "cpu":
                buffers.reuse()
            if self.compiled:
                call = torch.compile(call)
        return TorchNetwork(label, call, device, OUTPUTS[role], precision)


def _comes_from_compiling(error: Exception) -> bool:
    """By name: importing the class takes seconds, and it is PyTorch's own."""
    return any(kind.__name__ == "TorchDynamoException" for kind in type(error).__mro__)


def _compiler() -> str:
    """What PyTorch will call."""
    return os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")


def _build(model: Model, role: str) -> torch.nn.Module:
    networks = import_module("unveil.networks")
    if role != "estimate":
        described = model.card.network
        network = networks.build(described["name"], **described["config"])
        if role == "map":
            network.map_head = torch.nn.Conv2d(network.features, len(model.card.map), 3, padding=1)
        return network
    estimator = model.card.estimator
    if estimator is None:
        raise EngineError("the card describes no estimator")
    entry = networks.NETWORKS.get(estimator.name)
    if entry is not None and entry.form == "classifier":
        return networks.build(estimator.name, **estimator.config)
    return import_module("unveil.methods.abair.estimator").Estimator(**estimator.config)


def _route(module: torch.nn.Module) -> None:
    """Hand all convolutions to oneDNN.

    On one thread PyTorch keeps those of 1x1 in float32 to itself, and on some processors needs twice the time for them.
    It does not keep what is dilated, which for a single weight is the same convolution, with the same bits.
    """
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d) and part.kernel_size == (1, 1):
            part.dilation = (2, 2)


def _method(module: torch.nn.Module, role: str) -> Callable[..., torch.Tensor]:
    """What a role calls; the estimator of ABAIR is called itself."""
    if role == "map":
        parts: Any = module
        return lambda image: parts.map_head(parts.encode(image))  # pyright: ignore[reportUnknownLambdaType]
    name = {"restore": "restore", "encode": "summarise", "prompt": "summarise", "estimate": "logits"}[role]
    return getattr(module, name, module)
