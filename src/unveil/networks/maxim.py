"""MAXIM (Tu et al., CVPR 2022) with one stage, MAXIM-1S: a U-Net of gated MLPs along blocks and grids.

Every level sees all levels: cross gating makes the skips from all maps of the encoder, and the decoder takes all skips.
The layers are those of the PyTorch form that ConStyle's authors compare with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from unveil.networks.base import Mismatch, Network, Shapes, depth
from unveil.networks.maxim_blocks import Bottleneck, CrossGating, LevelBlock, Projection, pick

LEVELS = (0, 1, 2)
SIDES = (16, 16, 8, 8)

Resizing: TypeAlias = Callable[[Tensor, int], Tensor]
"""What brings a map to another level: the map and how many times its sides are doubled."""


class DecoderBlock(nn.Module):
    """Double the resolution, append the skips of all levels, and a level's block.

    Shapes: `B below H/2 W/2` and skips `B 3C H W` -> `B C H W`.
    """

    def __init__(self, below: int, channels: int, side: int) -> None:
        super().__init__()
        self.ConvTranspose_0 = nn.ConvTranspose2d(below, channels, 2, stride=2)
        self.UNetEncoderBlock_0 = LevelBlock(4 * channels, channels, side, down=True)

    def forward(self, x: Tensor, skips: Tensor) -> Tensor:
        return self.UNetEncoderBlock_0(torch.cat((self.ConvTranspose_0(x), skips), 1))


class Maxim(Network):
    """MAXIM-1S.

    Channel attention and grids reach over the whole picture, so every output pixel depends on all of it.

    Args:
        dim: channels at full resolution (MAXIM's `features`); the levels below and the innermost have 2, 4 and 4 times
            as many.
        bottlenecks: blocks of the innermost level.
        sides: of blocks and grids at full resolution, a half, a quarter, and an eighth (the innermost level).

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    container = "params_ema"

    def __init__(self, *, dim: int = 32, bottlenecks: int = 2, sides: Sequence[int] = SIDES) -> None:
        super().__init__()
        self.features = dim
        self.bottlenecks = bottlenecks
        self.size_multiple = size_multiple(sides)
        widths, below = (dim, 2 * dim, 4 * dim), (2 * dim, 4 * dim, 4 * dim)
        for level, (width, side) in enumerate(zip(widths, sides[:-1], strict=True)):
            taken = width + widths[max(0, level - 1)]
            self.add_module(f"stage_0_input_conv_{level}", nn.Conv2d(3, width, 3, padding=1))
            self.add_module(f"stage_0_encoder_block_{level}", LevelBlock(taken, width, side, down=True))
            self.add_module(f"stage_0_cross_gating_block_{level}", CrossGating(3 * width, width, below[level], side))
            self.add_module(f"stage_0_decoder_block_{level}", DecoderBlock(below[level], width, side))
        for number in range(bottlenecks):
            self.add_module(f"stage_0_global_block_{number}", Bottleneck(4 * dim, sides[-1]))
        # First from the encoder's maps to the skips, then from the skips to the decoder.
        routes = [(level, source) for sources in (LEVELS, LEVELS[::-1]) for level in LEVELS[::-1] for source in sources]
        for number, (level, source) in enumerate(routes):
            self.add_module(f"UpSampleRatio_{number}", Projection(widths[source], widths[level]))
        self.stage_0_output_conv_0 = nn.Conv2d(dim, 3, 3, padding=1)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        blocks = [f"stage_0_encoder_block_{level}" for level in LEVELS]
        return {
            "dim": shapes["stage_0_input_conv_0.weight"][0],
            "bottlenecks": depth(shapes, "stage_0_global_block_"),
            "sides": read_sides(shapes, [*blocks, "stage_0_global_block_0"]),
        }

    def idle(self) -> tuple[str, ...]:
        return uncalled(self) + tuple(f"stage_0_decoder_block_{level}.UNetEncoderBlock_0.Conv_1." for level in LEVELS)

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B dim H W`."""
        own = [self._part(f"stage_0_input_conv_{level}")(pick(image, 2**level)) for level in LEVELS]
        bridges: dict[int, Tensor] = {}
        x = own[0]
        for level in LEVELS:
            block = self._part(f"stage_0_encoder_block_{level}")
            bridges[level] = block(torch.cat((x, own[level]), 1))
            x = block.Conv_1(bridges[level])
        for number in range(self.bottlenecks):
            x = self._part(f"stage_0_global_block_{number}")(x)
        resizings = [self._part(f"UpSampleRatio_{number}") for number in range(18)]
        gates = [self._part(f"stage_0_cross_gating_block_{level}") for level in LEVELS]
        skips = cross(bridges, x, gates, resizings[:9])
        for level in reversed(LEVELS):
            x = self._part(f"stage_0_decoder_block_{level}")(x, gather(skips, level, resizings[9:]))
        return x

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        return self.stage_0_output_conv_0(features) + image

    def _part(self, name: str) -> Any:
        return self.get_submodule(name)


def gather(maps: Mapping[int, Tensor], level: int, resizings: Sequence[Resizing]) -> Tensor:
    """The maps of all levels, brought to the size of one level and concatenated in the order of the mapping.

    Args:
        maps: by level.
        level: whose size they get.
        resizings: nine, those to level 2 first, then level 1, then level 0.
    """
    mine = resizings[3 * (2 - level) :]
    return torch.cat(
        [resizing(x, source - level) for (source, x), resizing in zip(maps.items(), mine, strict=False)], 1
    )


def cross(
    bridges: Mapping[int, Tensor], y: Tensor, gates: Sequence[nn.Module], resizings: Sequence[Resizing]
) -> dict[int, Tensor]:
    """The skips by level, innermost first: at each level, cross gating of the encoder's maps and what comes from below.

    Args:
        bridges: the encoder's maps by level.
        y: what the innermost level gives.
        gates: `CrossGating` by level.
        resizings: as `gather` takes them.
    """
    skips: dict[int, Tensor] = {}
    for level in reversed(LEVELS):
        skips[level], y = gates[level](gather(bridges, level, resizings), y)
    return skips


def size_multiple(sides: Sequence[int]) -> int:
    """What the sides of a picture must be multiples of, for blocks and grids of these sides at the four levels."""
    return math.lcm(*(side * 2**level for level, side in enumerate(sides)))


def read_sides(shapes: Shapes, blocks: Sequence[str]) -> list[int]:
    """The sides of blocks and grids in some blocks of an official state."""
    unit = "SplitHeadMultiAxisGmlpLayer_0.GridGmlpLayer.GridGatingUnit.Dense_0.weight"
    areas = [shapes[f"{block}.{unit}"][0] for block in blocks]
    sides = [math.isqrt(area) for area in areas]
    if any(side**2 != area for side, area in zip(sides, areas, strict=True)):
        raise Mismatch("blocks and grids are not square")
    return sides


def uncalled(network: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names of what level blocks have for further stages and a network of one stage never calls."""
    blocks = [name for name, module in network.named_modules() if isinstance(module, LevelBlock)]
    return tuple(f"{name}.cross_gating_block." for name in blocks)
