"""FastNAF: a NAFNet-like U-Net on pixel-unshuffled input, shaped for laptops (ours).

The blocks are NAFNet's (Chen et al., ECCV 2022: simple gates instead of activations, zero-initialised residual scales)
without channel attention by default. The network is then strictly local: an output pixel depends on a bounded
neighbourhood alone, so tiling with a halo that covers it changes nothing. What must be decided once per picture
(which degradation, and so whether brightness may be touched) is decided by adapters and their estimator, not in here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.layers import LayerNorm2d


class Block(nn.Module):
    """One NAFNet block: spatial mixing (1x1, depthwise 3x3, gate, 1x1), then channel mixing (1x1, gate, 1x1).

    Shapes: `B C H W` in and out. With `attention`, the gated features are scaled by their own global mean
    (NAFNet's simplified channel attention), which makes the block, and so the network, global.
    """

    def __init__(self, channels: int, *, attention: bool) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.sca = nn.Conv2d(channels, channels, 1) if attention else None
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm2d(channels, eps=1e-6)
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = gate(self.conv2(self.conv1(self.norm1(x))))
        if self.sca is not None:
            y = y * self.sca(y.mean((2, 3), keepdim=True))
        x = x + self.conv3(y) * self.beta
        y = gate(self.conv4(self.norm2(x)))
        return x + self.conv5(y) * self.gamma


def gate(x: Tensor) -> Tensor:
    """Multiply the first half of the channels by the second: `B 2C H W` -> `B C H W`."""
    if torch.is_grad_enabled():
        # Its gradient is one concatenation; that of two slices fills two maps with zeros first, a tenth of a step.
        first, second = x.chunk(2, 1)
        return first * second
    # In an ONNX graph, `chunk` becomes a slow sequence.
    half = x.shape[1] // 2
    return x[:, :half] * x[:, half:]


class FastNAF(nn.Module):
    """NAFNet-like U-Net on pixel-unshuffled input.

    Args:
        width: channels of the first level; every level below doubles them.
        encoder: blocks of each encoder level, outermost first; its length is the number of halvings.
        middle: blocks of the innermost level.
        decoder: blocks of each decoder level, innermost first; same length as `encoder`.
        unshuffle: factor by which the input is unshuffled before the first convolution.
        attention: NAFNet's channel attention in every block. Off (the default), the network is strictly local.

    Shapes: `B 3 H W` -> `B 3 H W`, 0..1 in; the output is the input plus a learned change and is not clipped.
    H and W must be multiples of `size_multiple` (16 for the defaults).
    """

    def __init__(
        self,
        *,
        width: int = 32,
        encoder: Sequence[int] = (1, 2, 4),
        middle: int = 4,
        decoder: Sequence[int] = (1, 1, 1),
        unshuffle: int = 2,
        attention: bool = False,
    ) -> None:
        super().__init__()
        if len(encoder) != len(decoder):
            raise ValueError(f"encoder has {len(encoder)} levels and decoder {len(decoder)}; they must be equal")
        self.unshuffle = unshuffle
        self.size_multiple = unshuffle * 2 ** len(encoder)
        self.features = width
        self.intro = nn.Conv2d(3 * unshuffle**2, width, 3, padding=1)
        self.ending = nn.Conv2d(width, 3 * unshuffle**2, 3, padding=1)
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        self.decoders, self.ups = nn.ModuleList(), nn.ModuleList()
        channels = width
        for blocks in encoder:
            self.encoders.append(nn.Sequential(*(Block(channels, attention=attention) for _ in range(blocks))))
            self.downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            channels *= 2
        self.middle_blks = nn.Sequential(*(Block(channels, attention=attention) for _ in range(middle)))
        for blocks in decoder:
            self.ups.append(nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2)))
            channels //= 2
            self.decoders.append(nn.Sequential(*(Block(channels, attention=attention) for _ in range(blocks))))

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B width H/unshuffle W/unshuffle`."""
        x = self.intro(F.pixel_unshuffle(image, self.unshuffle))
        skips: list[Tensor] = []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = self.middle_blks(x)
        for blocks, up, skip in zip(self.decoders, self.ups, reversed(skips), strict=True):
            x = blocks(up(x) + skip)
        return x

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        return image + F.pixel_shuffle(self.ending(features), self.unshuffle)

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image), image)
