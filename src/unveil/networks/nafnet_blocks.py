"""The block of NAFNet, and of FastNAF, under the names of the official implementation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unveil.networks.layers import GlobalMean, LayerNorm2d, parts, scaled


class NAFBlock(nn.Module):
    """NAFNet's block: spatial mixing (1x1, depthwise 3x3, gate, 1x1), then channel mixing (1x1, gate, 1x1).

    The residual scales start at zero. With `attention`, the gated features are scaled by their own global mean
    (NAFNet's simplified channel attention), which makes the block, and so the network, global.

    Shapes: `B C H W` in and out.
    """

    def __init__(self, channels: int, *, attention: bool = True) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.sca = nn.Sequential(GlobalMean(), nn.Conv2d(channels, channels, 1)) if attention else None
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm2d(channels, eps=1e-6)
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        first, second = parts(x, (self.conv1, self.conv2), 2, self.norm1)
        y = first * second
        if self.sca is not None:
            y = y * self.sca(y)
        x = x + scaled(y, self.conv3, self.beta)
        first, second = parts(x, (self.conv4,), 2, self.norm2)
        return x + scaled(first * second, self.conv5, self.gamma)
