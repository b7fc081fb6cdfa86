"""PyTorch: rebuilds the network from the card instead of running a graph. For GPUs and for research."""

# PyTorch's types are loose.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import EngineError, MissingExtra
from unveil.models import Model

try:
    import torch
except ImportError as error:
    raise MissingExtra("the engine 'torch'", "train") from error

OUTPUTS = {"restore": "restored", "estimate": "logits"}


@dataclass(frozen=True, slots=True)
class TorchNetwork:
    """A module in evaluation mode on its device."""

    label: str
    module: torch.nn.Module
    device: torch.device
    output: str

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        first, *codes = [self._upload(array) for array in inputs.values()]
        named = dict(zip(list(inputs)[1:], codes, strict=True))
        try:
            with torch.inference_mode():
                result = self.module(first, **named)
        except Exception as error:
            raise EngineError(f"{self.label}: PyTorch stopped ({error}).") from error
        return {self.output: result.float().contiguous().cpu().numpy()}

    def _upload(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)
        return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """Uses the GPU where PyTorch has one."""

    threads: int | None = None
    name: str = "torch"

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
        state = {name: torch.from_numpy(np.array(array, dtype=np.float32)) for name, array in weights.items()}
        parameters = {name for name, _ in module.named_parameters()}
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
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return TorchNetwork(label, module, device, OUTPUTS[role])


def _build(model: Model, role: str) -> torch.nn.Module:
    if role == "restore":
        network = model.card.network
        return import_module("unveil.networks").build(network["name"], **network["config"])
    if model.card.estimator is None:
        raise EngineError("the card describes no estimator")
    return import_module("unveil.methods.abair.estimator").Estimator(**model.card.estimator.config)
