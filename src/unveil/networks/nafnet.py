"""NAFNet (Chen et al., ECCV 2022): a U-Net with simple gates instead of activations.

`NAFUNet` is its U-Net with a few choices left open, since FastNAF has the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.base import Mismatch, Network, Shapes, depth
from unveil.networks.nafnet_blocks import NAFBlock


class NAFUNet(Network):
    """The U-Net of NAFNet: widths double at every halving, skips are added.

    Args:
        width: channels of the first level; every level below doubles them.
        encoder: blocks of each encoder level, outermost first; its length is the number of halvings.
        middle: blocks of the innermost level.
        decoder: blocks of each decoder level, innermost first; same length as `encoder`.
        unshuffle: factor by which the input is unshuffled before the first convolution.
        attention: NAFNet's channel attention in every block.
    """

    gatherable = True

    def __init__(
        self,
        *,
        width: int,
        encoder: Sequence[int],
        middle: int,
        decoder: Sequence[int],
        unshuffle: int = 1,
        attention: bool = True,
    ) -> None:
        super().__init__()
        if len(encoder) != len(decoder):
            raise ValueError(f"encoder has {len(encoder)} levels and decoder {len(decoder)}; they must be equal")

        def stack(count: int, channels: int) -> nn.Sequential:
            return nn.Sequential(*(NAFBlock(channels, attention=attention) for _ in range(count)))

        self.unshuffle = unshuffle
        self.size_multiple = unshuffle * 2 ** len(encoder)
        self.features = width
        self.intro = nn.Conv2d(3 * unshuffle**2, width, 3, padding=1)
        self.ending = nn.Conv2d(width, 3 * unshuffle**2, 3, padding=1)
        self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
        self.decoders, self.ups = nn.ModuleList(), nn.ModuleList()
        channels = width
        for blocks in encoder:
            self.encoders.append(stack(blocks, channels))
            self.downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            channels *= 2
        self.middle_blks = stack(middle, channels)
        for blocks in decoder:
            self.ups.append(nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2)))
            channels //= 2
            self.decoders.append(stack(blocks, channels))

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B width H/unshuffle W/unshuffle`."""
        x = self.intro(F.pixel_unshuffle(image, self.unshuffle) if self.unshuffle > 1 else image)
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
        change = self.ending(features)
        return image + (F.pixel_shuffle(change, self.unshuffle) if self.unshuffle > 1 else change)


class NAFNet(NAFUNet):
    """NAFNet, by default in the size that ConStyle compares with.

    Args:
        width: channels of the first level; every level below doubles them.
        encoder: blocks of each encoder level, outermost first; its length is the number of halvings.
        middle: blocks of the innermost level.
        decoder: blocks of each decoder level, innermost first; same length as `encoder`.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    filling = "zeros"

    def __init__(
        self,
        *,
        width: int = 64,
        encoder: Sequence[int] = (5, 6, 7, 7),
        middle: int = 7,
        decoder: Sequence[int] = (5, 6, 7, 7),
    ) -> None:
        super().__init__(width=width, encoder=encoder, middle=middle, decoder=decoder)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        if shapes["intro.weight"][1] != 3:
            raise Mismatch("NAFNet works on the picture itself")
        return read_levels(shapes)


def read_levels(shapes: Shapes) -> dict[str, Any]:
    """The sizes of `NAFUNet`: `width`, `encoder`, `middle` and `decoder`."""
    levels = range(depth(shapes, "downs."))
    return {
        "width": shapes["intro.weight"][0],
        "encoder": [depth(shapes, f"encoders.{level}.") for level in levels],
        "middle": depth(shapes, "middle_blks."),
        "decoder": [depth(shapes, f"decoders.{level}.") for level in levels],
    }
