"""Conv: the vanilla CNN that ConStyle v2 is compared on (arXiv 2406.18242; `OriginConv` in the authors' code).

A U-Net of plain convolutions in which, unlike in others, nothing goes from the way down to the way up.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from unveil.networks.base import Network, Shapes
from unveil.networks.layers import double, halve


def unit(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.PReLU(after))


class ConvBlock(nn.Sequential):
    """Two units, added to what they are given: `B C H W` in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__(unit(channels, channels), unit(channels, channels))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + input


class Conv(Network):
    """The vanilla CNN.

    Args:
        dim: channels at full resolution; they double twice on the way down.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    size_multiple = 8

    def __init__(self, *, dim: int = 48) -> None:
        super().__init__()
        self.features = dim
        self.Preprocess_Module = unit(3, dim)
        self.Process_Module_l1 = ConvBlock(dim)
        self.down1 = halve(dim, 2 * dim)
        self.Process_Module_l2 = ConvBlock(2 * dim)
        self.down2 = halve(2 * dim, 4 * dim)
        self.Process_Module_l3 = ConvBlock(4 * dim)
        self.down3 = halve(4 * dim, 4 * dim)
        self.Process_Module_bottom = ConvBlock(4 * dim)
        self.up3 = double(4 * dim, 4 * dim)
        self.Process_Module_r3 = ConvBlock(4 * dim)
        self.up2 = double(4 * dim, 2 * dim)
        self.Process_Module_r2 = ConvBlock(2 * dim)
        self.up1 = double(2 * dim, 2 * dim)
        self.Process_Module_r1 = ConvBlock(2 * dim)
        self.Finetune_Module = nn.Sequential(unit(2 * dim, dim), unit(dim, 3))

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {"dim": shapes["Preprocess_Module.0.weight"][0]}

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the last unit: `B 3 H W` -> `B dim H W`."""
        x = self.Process_Module_l1(self.Preprocess_Module(image))
        x = self.Process_Module_l2(self.down1(x))
        x = self.Process_Module_l3(self.down2(x))
        x = self.Process_Module_bottom(self.down3(x))
        x = self.Process_Module_r3(self.up3(x))
        x = self.Process_Module_r2(self.up2(x))
        x = self.Process_Module_r1(self.up1(x))
        return self.Finetune_Module[0](x)

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        return self.Finetune_Module[1](features) + image
