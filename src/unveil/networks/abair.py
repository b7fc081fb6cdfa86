"""ABAIR's baseline: X-Restormer blocks in a U-Net with PromptIR's prompt stages (arXiv 2411.18412).

The authors describe the network in words and print its sizes. This is the configuration that meets the printed sizes
(40.6 M parameters); where it goes beyond their words it is a reconstruction, and the presets `tiny` and `small` are
ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unveil.networks.base import Shapes
from unveil.networks.promptir import PROMPT_DIMS, PROMPT_SIZES, PromptedLevels
from unveil.networks.restormer import HEADS, read_factor, read_levels
from unveil.networks.restormer_blocks import Prompt, XBlock

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "dim": 12, "blocks": (1, 1, 2, 2), "refinement": 2, "factor": 2.0, "dim_head": 8,
        "prompt_dims": (8, 12, 24), "prompt_sizes": (32, 16, 8), "spatial_fusion": False,
    },
    "small": {
        "dim": 24, "blocks": (1, 2, 2, 3), "refinement": 2, "factor": 2.0, "dim_head": 12,
        "prompt_dims": (12, 24, 48), "prompt_sizes": (32, 16, 8),
    },
    "full": {},
    "deep": {"blocks": (4, 6, 6, 8)},
}  # fmt: skip


class PromptStage(nn.Module):
    """A prompt, a fusion block on the concatenation, and a 1x1 reduction: `B C H W` -> `B out H W`."""

    def __init__(self, channels: int, out: int, dim: int, size: int, fusion: nn.Module) -> None:
        super().__init__()
        self.prompt = Prompt(channels, dim, size)
        self.fusion = fusion
        self.reduce = nn.Conv2d(channels + dim, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(self.fusion(torch.cat((x, self.prompt(x)), 1)))


class ABAIRBaseline(PromptedLevels):
    """The baseline network of ABAIR.

    Args:
        dim: channels of the first level; level l has `2**l * dim`.
        blocks: X-blocks of level 1, 2, 3 and the latent level; the decoder mirrors them.
        refinement: blocks after the decoder, at `2 * dim` channels and full resolution.
        factor: hidden width of the feed-forward networks over their input's.
        dim_head: channels of one head of spatial attention.
        prompt_dims, prompt_sizes: of the prompts after decoder level 2, decoder level 3 and the latent level.
        spatial: with `False`, blocks keep channel attention alone (the shape of PromptIR).
        spatial_fusion: whether the prompts' fusion blocks have spatial attention.

    Shapes: `B 3 H W` -> `B 3 H W`, any size; inside, multiples of 64 (three halvings times the window).
    """

    size_multiple = 64

    def __init__(
        self,
        *,
        dim: int = 48,
        blocks: Sequence[int] = (2, 4, 4, 4),
        refinement: int = 4,
        factor: float = 2.66,
        dim_head: int = 16,
        prompt_dims: Sequence[int] = PROMPT_DIMS,
        prompt_sizes: Sequence[int] = PROMPT_SIZES,
        spatial: bool = True,
        spatial_fusion: bool = True,
    ) -> None:
        shape: dict[str, Any] = {"factor": factor, "dim_head": dim_head}
        super().__init__(
            dim,
            blocks,
            refinement,
            block=lambda level, width: XBlock(width, HEADS[level], spatial=spatial, **shape),
        )
        for number, (channels, out) in self.stage_widths.items():
            prompt_dim, prompt_size = prompt_dims[number - 1], prompt_sizes[number - 1]
            fusion = XBlock(channels + prompt_dim, HEADS[2], spatial=spatial and spatial_fusion, **shape)
            self.add_module(f"prompt{number}", PromptStage(channels, out, prompt_dim, prompt_size, fusion))

    @classmethod
    def build(cls, *, preset: str = "full", **changes: Any) -> ABAIRBaseline:
        """The baseline in one of its presets, with any argument changed.

        Raises:
            ValueError: the preset is unknown.
        """
        if preset not in PRESETS:
            raise ValueError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
        return cls(**{**PRESETS[preset], **changes})

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        prompts = [shapes[f"prompt{number}.prompt.prompt_param"] for number in (1, 2, 3)]
        spatial = any("level" in name and ".spatial_attn." in name for name in shapes)
        tables = [shape for name, shape in shapes.items() if name.endswith("rel_pos_emb.rel_height")]
        return {
            **read_levels(shapes),
            "factor": read_factor(shapes, "prompt3.fusion.channel_ffn"),
            "dim_head": tables[0][1] if tables else 16,
            "prompt_dims": [shape[2] for shape in prompts],
            "prompt_sizes": [shape[3] for shape in prompts],
            "spatial": spatial,
            "spatial_fusion": any(".fusion.spatial_attn." in name for name in shapes),
        }

    def stage(self, number: int, x: Tensor) -> Tensor:
        return self.get_submodule(f"prompt{number}")(x)
