"""A network in PyTorch as what a model file holds of it: weights and graphs of its roles, and the halo of its tiles."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unveil import graphs, networks
from unveil.networks.base import CodedNetwork

LARGEST_HALO = 64


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
    weights = {role: arrays(network, graph.weights, half=half) for role, graph in traced.items()}
    return weights, {role: graph.data for role, graph in traced.items()}


def measured_halo(network: nn.Module) -> int:
    """The halo of a tile: what the network really looks at, in whole strides, within reason."""
    multiple = cast("networks.Network", network).size_multiple
    # Four times the largest halo tells whether the network looks further; it need not be known how far.
    side = max(4 * LARGEST_HALO, 3 * multiple)
    radius = networks.receptive_radius(network, side=side)
    return min(max(LARGEST_HALO, multiple), max(multiple, -(-radius // multiple) * multiple))
