"""X-Restormer (Chen et al., ECCV 2024): Restormer with spatial attention beside the one between channels.

No outputs of the official implementation were at hand. The sizes, the names of the tensors and the numbers of
parameters are the published ones; the arithmetic follows the description and is tested against its own definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unveil.networks.base import Shapes
from unveil.networks.restormer import FACTOR, HEADS, LEVELS, FourLevels, read_factor, read_levels
from unveil.networks.restormer_blocks import XBlock


class XRestormer(FourLevels):
    """X-Restormer: 26,041,208 parameters; with `blocks=(4, 6, 6, 8)`, the official default, 43,395,300.

    Args:
        dim: channels of the first level; level l has `2**l * dim`.
        blocks: X-blocks of level 1, 2, 3 and the latent level; the decoder mirrors them.
        refinement: blocks after the decoder.
        heads: of the four levels, for both kinds of attention.
        factor: hidden width of the feed-forward networks over their input's.
        dim_head: channels of one head of spatial attention.

    Shapes: `B 3 H W` -> `B 3 H W`, any size; inside, multiples of 64 (three halvings times the window).
    """

    size_multiple = 64

    gatherable = True

    def __init__(
        self,
        *,
        dim: int = 48,
        blocks: Sequence[int] = (2, 4, 4, 4),
        refinement: int = 4,
        heads: Sequence[int] = HEADS,
        factor: float = FACTOR,
        dim_head: int = 16,
    ) -> None:
        super().__init__(
            dim,
            blocks,
            refinement,
            block=lambda level, width: XBlock(width, heads[level], factor=factor, dim_head=dim_head),
        )

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {
            **read_levels(shapes),
            "heads": [
                shapes.get(f"{level}.0.channel_attn.temperature", (heads,))[0]
                for level, heads in zip(LEVELS, HEADS, strict=True)
            ],
            "factor": read_factor(shapes, "latent.0.channel_ffn"),
            "dim_head": shapes["latent.0.spatial_attn.rel_pos_emb.rel_height"][1],
        }
