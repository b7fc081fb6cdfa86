"""FastNAF: a NAFNet-like U-Net on pixel-unshuffled input, shaped for laptops (ours).

The blocks are NAFNet's (Chen et al., ECCV 2022: simple gates instead of activations, zero-initialised residual scales)
without channel attention by default. The network is then strictly local: an output pixel depends on a bounded
neighbourhood alone, so tiling with a halo that covers it changes nothing. What must be decided once per picture
(which degradation, and so whether brightness may be touched) is decided by adapters and their estimator, not in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.base import Network, Shapes, depth
from unveil.networks.layers import NAFBlock


class FastNAF(Network):
    """NAFNet-like U-Net on pixel-unshuffled input.

    Args:
        width: channels of the first level; every level below doubles them.
        encoder: blocks of each encoder level, outermost first; its length is the number of halvings.
        middle: blocks of the innermost level.
        decoder: blocks of each decoder level, innermost first; same length as `encoder`.
        unshuffle: factor by which the input is unshuffled before the first convolution.
        attention: NAFNet's channel attention in every block. Off (the default), the network is strictly local.

    Shapes: `B 3 H W` -> `B 3 H W`, any size; the output is the input plus a learned change.
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
            self.encoders.append(nn.Sequential(*(NAFBlock(channels, attention=attention) for _ in range(blocks))))
            self.downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            channels *= 2
        self.middle_blks = nn.Sequential(*(NAFBlock(channels, attention=attention) for _ in range(middle)))
        for blocks in decoder:
            self.ups.append(nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2)))
            channels //= 2
            self.decoders.append(nn.Sequential(*(NAFBlock(channels, attention=attention) for _ in range(blocks))))

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        width, channels = shapes["intro.weight"][:2]
        levels = range(depth(shapes, "encoders."))
        return {
            "width": width,
            "encoder": [depth(shapes, f"encoders.{level}.") for level in levels],
            "middle": depth(shapes, "middle_blks."),
            "decoder": [depth(shapes, f"decoders.{level}.") for level in levels],
            "unshuffle": round((channels / 3) ** 0.5),
            "attention": any(".sca." in name for name in shapes),
        }

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
