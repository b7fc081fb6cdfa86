"""Restoration networks. `NETWORKS` is the one table of them; `build` makes one by name.

Every network is an `nn.Module` with

- `forward(image: B 3 H W) -> B 3 H W`, 0..1, for sides that are multiples of `size_multiple`;
- `encode(image) -> features` and `decode(features, image) -> restored`, so that `forward` is the two in turn and a
  head (ABAIR's segmentation) can be attached to the features that feed the output convolution;
- `features`: the channels of those features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from torch import Tensor, nn


class RestorationNetwork(Protocol):
    """What every network of this package offers beside being an `nn.Module`."""

    size_multiple: int
    features: int

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, features: Tensor, image: Tensor) -> Tensor: ...

    def __call__(self, image: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table: where the class is, what it was published as, what it is for."""

    location: str
    paper: str
    purpose: str

    def load(self) -> Callable[..., nn.Module]:
        module, name = self.location.split(":")
        return cast("Callable[..., nn.Module]", getattr(import_module(module), name))


NETWORKS: dict[str, Entry] = {
    "fastnaf": Entry(
        "unveil.networks.fastnaf:FastNAF", "ours, after NAFNet (ECCV 2022)", "the shipped base: fast on CPUs"
    ),
    "abair": Entry("unveil.networks.abair:build", "ABAIR (arXiv 2411.18412)", "the paper's baseline, in four presets"),
}


def build(name: str, **config: Any) -> nn.Module:
    """Build a network of the table with random weights.

    Raises:
        ValueError: the name is not in the table. A wrong key of `config` is the constructor's own TypeError.
    """
    if name not in NETWORKS:
        raise ValueError(f"no network is called {name!r}; known: {', '.join(NETWORKS)}")
    return NETWORKS[name].load()(**config)


def receptive_radius(network: nn.Module, *, side: int = 640, threshold: float = 1e-3) -> int:
    """Measure how far an output pixel looks, in pixels: the halo a tile needs.

    The central input pixel of a random picture is changed and the furthest output pixel that moves by more than
    `threshold` times the largest move is taken. A trained network looks much less far than its geometry allows.
    """
    import torch

    multiple = int(cast("RestorationNetwork", network).size_multiple)
    side = side // multiple * multiple
    device = next(network.parameters()).device
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    changed = image.clone()
    centre = side // 2
    changed[..., centre, centre] = 1 - changed[..., centre, centre]
    with torch.inference_mode():
        move = (network(changed) - network(image)).abs().amax((0, 1))
    far = torch.nonzero(move > threshold * move.max()) - centre
    return int(far.abs().max())
