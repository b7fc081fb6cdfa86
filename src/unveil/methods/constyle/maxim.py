"""ConStyle MAXIM: blocks of MAXIM-1S, guided. Skips pass through cross gating instead of being concatenated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unveil.methods.constyle.backbones import read_dim
from unveil.methods.constyle.encoder import SLOPE
from unveil.methods.constyle.guidance import Guided
from unveil.networks.base import Shapes, depth
from unveil.networks.layers import double
from unveil.networks.maxim import LEVELS, SIDES, Resizing, cross, gather, read_sides, size_multiple, uncalled
from unveil.networks.maxim_blocks import Bottleneck, CrossGating, LevelBlock, Projection, pick, resize

BARE: list[Resizing] = [resize] * 9
"""Maps that are as wide everywhere are resized alone."""


class ConStyleMaxim(Guided):
    """ConStyle MAXIM.

    Beside what guides every network, it sees the picture itself at every level of the way down, and grids and
    channel attention that reach over all of it.

    Args:
        dim: channels at full resolution (MAXIM's `features`).
        bottom: blocks of the lowest level.
        sides: of blocks and grids at full resolution, a half, a quarter, and the lowest level.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    naming = (
        (r"^inputs\.", "stage_input_conv_"),
        (r"^bottom\.", "Process_Module_bottom."),
        (r"^left", "Process_Module_l"),
        (r"^right(\d)\.", r"Process_Module_r\1.UNetEncoderBlock_0."),
        (r"^cross\.", "cross_gating_block_"),
        (r"^projections\.", "UpSampleRatio_"),
        (r"^up(\d)\.", r"UC\1.up."),
        (r"^output\.", "Finetune_Module.0."),
        *Guided.naming,
    )

    def __init__(self, *, dim: int = 32, bottom: int = 2, sides: Sequence[int] = SIDES) -> None:
        super().__init__(dim, activation=lambda channels: nn.LeakyReLU(SLOPE))
        self.features = 2 * dim
        self.size_multiple = size_multiple(sides)

        def block(level: int, taken: int, channels: int) -> LevelBlock:
            return LevelBlock(taken, channels, sides[level], bias=False)

        self.inputs = nn.ModuleList(nn.Conv2d(3, dim, 3, padding=1, bias=False) for _ in LEVELS)
        self.left1 = block(0, 2 * dim, dim)
        self.left2 = block(1, 3 * dim, 2 * dim)
        self.left3 = block(2, 4 * dim, 3 * dim)
        self.bottom = nn.Sequential(*(Bottleneck(4 * dim, sides[3], bias=False) for _ in range(bottom)))
        below = (dim, dim, 3 * dim)
        self.cross = nn.ModuleList(
            CrossGating(3 * dim, dim, below[level], sides[level], bias=False) for level in LEVELS
        )
        # To each level go the maps of levels 1 and 2, projected to the width of level 0.
        self.projections = nn.ModuleDict(
            {str(number): Projection((number % 3 + 1) * dim, dim, bias=False) for number in (1, 2, 4, 5, 7, 8)}
        )
        self.up3 = double(3 * dim, 3 * dim)
        self.right3 = block(2, 6 * dim, 3 * dim)
        self.up2 = double(3 * dim, 3 * dim)
        self.right2 = block(1, 6 * dim, 2 * dim)
        self.up1 = double(2 * dim, 2 * dim)
        self.right1 = block(0, 5 * dim, 2 * dim)
        self.output = nn.Conv2d(2 * dim, 3, 3, padding=1, bias=False)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        blocks = ("Process_Module_l1", "Process_Module_l2", "Process_Module_l3", "Process_Module_bottom.0")
        return {
            "dim": read_dim(shapes),
            "bottom": depth(shapes, "Process_Module_bottom."),
            "sides": read_sides(shapes, blocks),
        }

    def idle(self) -> tuple[str, ...]:
        return uncalled(self)

    def steer(self, image: Tensor, maps: Sequence[Tensor], query: Tensor) -> Tensor:
        own = [conv(pick(image, 2**level)) for level, conv in enumerate(self.inputs)]
        one = self.left1(torch.cat((own[0], own[0]), 1))
        two = self.left2(torch.cat((self.down1(one, maps[0]), own[1]), 1))
        three = self.left3(torch.cat((self.down2(two, maps[1]), own[2]), 1))
        x = self.fuse(self.bottom(self.down3(three, maps[2])), query)
        resizings = [*BARE]
        for number, projection in self.projections.items():
            resizings[int(number)] = projection
        skips = cross({0: one, 1: two, 2: three}, x, list(self.cross), resizings)
        x = self.right3(torch.cat((self.up3(x), gather(skips, 2, BARE)), 1))
        x = self.right2(torch.cat((self.up2(x), gather(skips, 1, BARE)), 1))
        return self.right1(torch.cat((self.up1(x), gather(skips, 0, BARE)), 1))

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        return self.output(features) + image
