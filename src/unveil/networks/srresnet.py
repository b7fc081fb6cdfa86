"""SRResNet at scale 1, as MiOIR (arXiv 2401.03379) uses it: residual blocks without norms at full resolution.

There is no skip around the body and no upsampling; the picture is added at the end.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.base import Modulation, Network, Shapes, depth, leave

SLOPE = 0.1


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between, added: `B C H W` in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class SRResNet(Network):
    """SRResNet at scale 1.

    Every convolution starts at a part of Kaiming's normal, every bias at zero.

    Args:
        dim: channels.
        blocks: residual blocks.
        start: that part; the authors' is a tenth.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    size_multiple = 1

    def __init__(self, *, dim: int = 64, blocks: int = 16, start: float = 0.1) -> None:
        super().__init__()
        self.features = dim
        self.sites = {**{f"body.{number}": dim for number in range(blocks)}, "hr": dim, "output": 3}
        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.body = nn.ModuleList(ResidualBlock(dim) for _ in range(blocks))
        self.conv_hr = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_last = nn.Conv2d(dim, 3, 3, padding=1)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter)
                parameter.data.mul_(start)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {"dim": shapes["conv_first.weight"][0], "blocks": depth(shapes, "body.")}

    def encode(self, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B dim H W`."""
        x = F.leaky_relu(self.conv_first(image), SLOPE)
        for number, block in enumerate(self.body):
            x = modulate(f"body.{number}", block(x))
        return modulate("hr", F.leaky_relu(self.conv_hr(x), SLOPE))

    def decode(self, features: Tensor, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        return modulate("output", self.conv_last(features)) + image
