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

from unveil.networks.base import Modulation, Shapes, leave
from unveil.networks.layers import Prompt, XBlock
from unveil.networks.restormer import HEADS, FourLevels, read_factor, read_levels

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


class ABAIRBaseline(FourLevels):
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
        prompt_dims: Sequence[int] = (64, 128, 320),
        prompt_sizes: Sequence[int] = (64, 32, 16),
        spatial: bool = True,
        spatial_fusion: bool = True,
    ) -> None:
        shape: dict[str, Any] = {"factor": factor, "dim_head": dim_head}
        super().__init__(
            dim,
            blocks,
            refinement,
            block=lambda level, width: XBlock(width, HEADS[level], spatial=spatial, **shape),
            latent_out=4 * dim,
        )

        def stage(number: int, channels: int, out: int) -> PromptStage:
            fusion = XBlock(channels + prompt_dims[number], HEADS[2], spatial=spatial and spatial_fusion, **shape)
            return PromptStage(channels, out, prompt_dims[number], prompt_sizes[number], fusion)

        self.prompt3 = stage(2, 8 * dim, 4 * dim)
        self.prompt2 = stage(1, 4 * dim, 4 * dim)
        self.prompt1 = stage(0, 2 * dim, 2 * dim)

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

    def encode(self, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B 2*dim H W`."""
        stages = {"latent": self.prompt3, "decoder_level3": self.prompt2, "decoder_level2": self.prompt1}

        def prompted(site: str, x: Tensor) -> Tensor:
            x = modulate(site, x)
            return stages[site](x) if site in stages else x

        return super().encode(image, prompted)
