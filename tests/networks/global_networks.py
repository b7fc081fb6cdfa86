"""Small networks with statistics of the whole picture, and a picture on which these matter."""

from __future__ import annotations

import numpy as np
import torch

from unveil import networks
from unveil.networks.base import Network
from unveil.networks.restormer_blocks import RestormerBlock

SMALL = {
    "nafnet": {"width": 8, "encoder": [1], "middle": 1, "decoder": [1]},
    "fastnaf": {"width": 8, "encoder": [1], "middle": 1, "decoder": [1], "attention": True},
    "restormer": {"dim": 8, "blocks": [1, 1, 1, 1], "refinement": 1},
    "xrestormer": {"dim": 8, "blocks": [1, 1, 1, 1], "refinement": 1},
}


def alive(name: str, **config: object) -> Network:
    """A network whose residual scales and temperatures are not those of the start, so that statistics matter."""
    torch.manual_seed(3)
    network = networks.build(name, **SMALL[name], **config)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for key, value in network.named_parameters():
            if key.endswith(("beta", "gamma", "temperature")):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return network.eval()


def picture(height: int, width: int) -> np.ndarray:
    """Its left is dark and smooth, its right bright and rough, so that parts have other means than the whole."""
    random = np.random.default_rng(5)
    ramp = np.linspace(0.05, 0.8, width)[None, :, None]
    return (ramp + random.normal(0, 1, (height, width, 3)) * 0.15 * ramp).clip(0, 1).astype(np.float32)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())


class OneBlock(Network):
    """Restormer's block alone, on the picture itself."""

    gatherable, size_multiple, features = True, 8, 3

    def __init__(self) -> None:
        super().__init__()
        self.block = RestormerBlock(3, 1)

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        return self.block(image)

    def decode(self, features: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return features + image
