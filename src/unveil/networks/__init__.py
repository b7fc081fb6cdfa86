"""Networks. `NETWORKS` is the one table of them; `build` makes one by name, `from_state` from official weights.

Every restoration network is a `unveil.networks.base.Network`: `forward(image: B 3 H W) -> B 3 H W` for any size, split
into `encode` and `decode` for a head in between. Explicit-prompt forms take `forward(image, prompt)`; encoders and
classifiers give what their own docstrings say.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from torch import nn

from unveil.networks import gathering, locality
from unveil.networks.base import CodedNetwork, Network, Published
from unveil.networks.recognition import Recognition, from_state, official_state, recognise
from unveil.networks.table import NETWORKS, Entry

__all__ = [
    "NETWORKS",
    "Entry",
    "Network",
    "Published",
    "Recognition",
    "build",
    "from_state",
    "official_state",
    "receptive_radius",
    "recognise",
]


def build(name: str, **config: Any) -> nn.Module:
    """Build a network of the table with random weights.

    Args:
        name: in the table.
        config: arguments of the constructor, and one of `gathered`: its statistics of the whole picture are gathered
            beforehand (`unveil.networks.gathering`), or `local`: they are taken of windows of this side
            (`unveil.networks.locality`).

    Raises:
        ValueError: the name is not in the table, nothing can be gathered or made local, or both are asked for. A wrong
            key of `config` is the constructor's own TypeError.
    """
    if name not in NETWORKS:
        raise ValueError(f"no network is called {name!r}; known: {', '.join(NETWORKS)}")
    gathered, window = config.pop("gathered", False), config.pop("local", 0)
    if gathered and window:
        raise ValueError("statistics are gathered over the whole picture or local, not both")
    network = NETWORKS[name].load().build(**config)
    if window:
        return locality.localised(cast("Network", network), window)
    return gathering.gathered(cast("Network", network)) if gathered else network


def receptive_radius(network: nn.Module, *, side: int = 640, threshold: float = 1e-3) -> int:
    """Measure how far an output pixel looks, in pixels: the halo a tile needs.

    The central input pixel of a random picture is changed and the furthest output pixel that moves by more than
    `threshold` times the largest move is taken. A trained network looks much less far than its geometry allows.
    """
    multiple = cast("Network", network).size_multiple
    side = side // multiple * multiple
    device = next(network.parameters()).device
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    changed = image.clone()
    centre = side // 2
    changed[..., centre, centre] = 1 - changed[..., centre, centre]
    with torch.inference_mode():
        restore = network
        if isinstance(network, CodedNetwork):
            seen = torch.rand(1, network.prompt_side, network.prompt_side).to(device) if network.prompt_side else image
            restore = partial(network.restore, code=network.summarise(seen))
        move = (restore(changed) - restore(image)).abs().amax((0, 1))
    far = torch.nonzero(move > threshold * move.max()) - centre
    return int(far.abs().max())
