"""The published guided U-Nets: what each backbone puts into the levels of `GuidedUNet`.

Block numbers of the way up are given as the authors' code gives them: full resolution first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from unveil.methods.constyle.encoder import SLOPE
from unveil.methods.constyle.guidance import GuidedUNet
from unveil.networks.base import Shapes, depth
from unveil.networks.conv import ConvBlock, unit
from unveil.networks.nafnet_blocks import NAFBlock
from unveil.networks.restormer import FACTOR, HEADS, read_factor
from unveil.networks.restormer_blocks import PatchEmbedding, RestormerBlock


class ConStyleConv(GuidedUNet):
    """ConStyle Conv (v2): the vanilla CNN, guided.

    Args:
        dim: channels at full resolution.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    naming = ((r"^refinement\.", "Finetune_Module.0."), (r"^output\.", "Finetune_Module.1."), *GuidedUNet.naming)

    def __init__(self, *, dim: int = 48) -> None:
        super().__init__(
            dim,
            activation=nn.PReLU,
            preprocess=unit(3, dim),
            process=lambda level, channels: ConvBlock(channels),
            refinement=unit(2 * dim, dim),
            output=unit(dim, 3),
        )
        self.features = dim

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {"dim": read_dim(shapes)}


class ConStyleRestormer(GuidedUNet):
    """ConStyle Restormer: blocks of Restormer, guided.

    Args:
        dim: channels at full resolution.
        left: blocks of the levels on the way down.
        bottom: blocks of the lowest level.
        right: blocks of the levels on the way up, full resolution first.
        refinement: blocks after the last level.
        heads: of levels 1, 2, 3 and the lowest.
        factor: hidden width of the feed-forward networks over their input's.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    def __init__(
        self,
        *,
        dim: int = 48,
        left: Sequence[int] = (4, 6, 6),
        bottom: int = 8,
        right: Sequence[int] = (4, 6, 6),
        refinement: int = 4,
        heads: Sequence[int] = HEADS,
        factor: float = FACTOR,
    ) -> None:
        blocks = block_numbers(left, bottom, right)
        heads_of = dict(zip(blocks, (*heads, *heads[:3]), strict=True))

        def stack(count: int, channels: int, heads: int) -> nn.Sequential:
            return nn.Sequential(*(RestormerBlock(channels, heads, factor=factor) for _ in range(count)))

        super().__init__(
            dim,
            activation=nn.PReLU,
            preprocess=PatchEmbedding(dim),
            process=lambda level, channels: stack(blocks[level], channels, heads_of[level]),
            refinement=stack(refinement, 2 * dim, heads[0]),
            output=nn.Conv2d(2 * dim, 3, 3, padding=1, bias=False),
        )
        self.features = 2 * dim
        self._refinement = refinement

    def official(self, name: str) -> str:
        # The output convolution stands in one sequence with the blocks of the refinement, after them.
        return super().official(re.sub(r"^output\.", f"Finetune_Module.{self._refinement}.", name))

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {
            "dim": read_dim(shapes),
            **read_blocks(shapes),
            # The last of the numbered modules is the output convolution.
            "refinement": depth(shapes, "Finetune_Module.") - 1,
            "heads": [shapes[f"Process_Module_{name}.0.attn.temperature"][0] for name in ("l1", "l2", "l3", "bottom")],
            "factor": read_factor(shapes, "Process_Module_l1.0.ffn"),
        }


class ConStyleNAFNet(GuidedUNet):
    """ConStyle NAFNet: blocks of NAFNet, guided.

    Args:
        dim: channels at full resolution.
        left: blocks of the levels on the way down.
        bottom: blocks of the lowest level.
        right: blocks of the levels on the way up, full resolution first.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    naming = (
        (r"^preprocess\.", "Preprocess_Module.0."),
        (r"^output\.", "Finetune_Module.0."),
        *GuidedUNet.naming,
    )

    def __init__(
        self,
        *,
        dim: int = 48,
        left: Sequence[int] = (7, 8, 9),
        bottom: int = 9,
        right: Sequence[int] = (7, 8, 9),
    ) -> None:
        blocks = block_numbers(left, bottom, right)
        super().__init__(
            dim,
            activation=lambda channels: nn.LeakyReLU(SLOPE),
            preprocess=nn.Conv2d(3, dim, 3, padding=1, bias=False),
            process=lambda level, channels: nn.Sequential(*(NAFBlock(channels) for _ in range(blocks[level]))),
            refinement=nn.Identity(),
            output=nn.Conv2d(2 * dim, 3, 3, padding=1, bias=False),
        )
        self.features = 2 * dim

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {"dim": read_dim(shapes), **read_blocks(shapes)}


def block_numbers(left: Sequence[int], bottom: int, right: Sequence[int]) -> dict[str, int]:
    """Blocks by the name of the level: full resolution first, the way down, the lowest level, the way up."""
    levels = ("left1", "left2", "left3", "bottom", "right1", "right2", "right3")
    return dict(zip(levels, (*left, bottom, *right), strict=True))


def read_dim(shapes: Shapes) -> int:
    """Channels at full resolution, from the projection of a map."""
    return shapes["AffineTransform0.0.weight"][0]


def read_blocks(shapes: Shapes) -> dict[str, Any]:
    """Blocks of the levels: `left`, `bottom` and `right`."""
    return {
        "left": [depth(shapes, f"Process_Module_l{level}.") for level in (1, 2, 3)],
        "bottom": depth(shapes, "Process_Module_bottom."),
        "right": [depth(shapes, f"Process_Module_r{level}.") for level in (1, 2, 3)],
    }
