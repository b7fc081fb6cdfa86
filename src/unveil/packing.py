"""A network in PyTorch as what a model file holds of it: weights and graphs of its roles, and what tiles must know."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unveil import graphs, networks
from unveil.networks.base import CodedNetwork

LARGEST_HALO = 64
LARGEST_WINDOWED_HALO = 192
"""Of a network with statistics of windows: half of the published 384. With more, tiles repeat each other's work."""

COUNTED_SIDE = 256
"""Side of the picture that memory is counted on, or the network's own multiple if that is larger."""


def arrays(module: nn.Module, names: Collection[str], *, half: bool = True) -> dict[str, NDArray[Any]]:
    """Weights of a module as arrays, float16 unless that would overflow or `half` is off."""
    state = module.state_dict()
    return {name: to_array(state[name], half=half) for name in names}


def to_array(value: torch.Tensor, *, half: bool) -> NDArray[Any]:
    array = value.detach().cpu().float().contiguous().numpy()
    return array.astype(np.float16) if half and float(np.abs(array).max(initial=0)) < 6e4 else array


def trace_roles(
    network: networks.Network, *, half: bool
) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, bytes]]:
    """Weights and graphs of the roles that a network needs: to restore, and where it has one, to give its code."""
    traced = {"restore": graphs.restoring(network)}
    if isinstance(network, CodedNetwork):
        side = network.prompt_side
        role = "prompt" if side else "encode"
        traced[role] = graphs.prompting(network, side) if side else graphs.summarising(network)
    restoring = traced["restore"].weights
    weights = {"restore": arrays(network, restoring, half=half)}
    for role, graph in traced.items():
        # A network whose statistics are gathered gives its code with the weights that it restores with.
        own = [name for name in graph.weights if name not in restoring]
        weights.setdefault(role, arrays(network, own, half=half))
    return weights, {role: graph.data for role, graph in traced.items()}


def measured_halo(network: nn.Module) -> int:
    """The halo of a tile: what the network really looks at, in whole strides, within reason.

    One pixel hardly moves the statistics of a window, but all that come and go do: half a window is around every place.
    """
    multiple, span = cast("networks.Network", network).size_multiple, cast("networks.Network", network).span
    # Four times the largest halo tells whether the network looks further; it need not be known how far.
    side = max(4 * LARGEST_HALO, 3 * multiple)
    radius = networks.receptive_radius(network, side=side)
    seen = min(max(LARGEST_HALO, multiple), max(multiple, -(-radius // multiple) * multiple))
    return max(seen, min(-(-span // 2 // multiple) * multiple, LARGEST_WINDOWED_HALO))


def counted_footprint(network: nn.Module) -> int:
    """Bytes of working memory that restoring needs for a pixel, float32: the most that is alive at once, counted
    without computing anything.

    An engine may need less, since it joins steps, or more, since it keeps what it may need again.
    """
    # On this device tensors have shapes and no memory.
    network = cast("networks.Network", copy.deepcopy(network).to("meta").eval())
    side = max(COUNTED_SIDE // network.size_multiple, 1) * network.size_multiple
    image = torch.empty(1, 3, side, side, device="meta")
    codes = [torch.empty(1, network.code, device="meta")] if network.code else []
    with torch.no_grad(), _Alive() as alive:
        network.restore(image, *codes)
    return -(-alive.most // side**2)


class _Alive(TorchDispatchMode):
    """Counts the bytes of the memory that tensors made inside hold, and the most of them at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._holders: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                memory = tensor.untyped_storage()
                # Views share memory, which lives as long as the last of them.
                key, size = memory._cdata, memory.nbytes()
                if key not in self._holders:
                    self._holders[key] = 0
                    self.now += size
                self._holders[key] += 1
                weakref.finalize(tensor, self._drop, key, size)
        self.most = max(self.most, self.now)
        return result

    def _drop(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        if self._holders[key] == 0:
            del self._holders[key]
            self.now -= size
