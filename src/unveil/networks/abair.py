"""ABAIR's baseline: X-Restormer blocks in a U-Net with PromptIR's prompt stages (arXiv 2411.18412).

The authors describe the network in words and print its sizes. This is the configuration that meets the printed sizes
(40.6 M parameters); where it goes beyond their words it is a reconstruction, and the presets `tiny` and `small` are
ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.layers import (
    ChannelAttention,
    GatedFeedForward,
    Norm,
    OverlappingAttention,
    downsample,
    upsample,
)

HEADS = (1, 2, 4, 8)

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


class Block(nn.Module):
    """X-block: channel attention, feed-forward, spatial attention, feed-forward, each behind a norm and added.

    Without `spatial` only the first two remain: Restormer's block.

    Shapes: `B C H W` in and out.
    """

    def __init__(
        self, channels: int, channel_heads: int, spatial_heads: int, *, factor: float, dim_head: int, spatial: bool
    ) -> None:
        super().__init__()
        self.norm1 = Norm(channels)
        self.channel_attn = ChannelAttention(channels, channel_heads)
        self.norm2 = Norm(channels)
        self.channel_ffn = GatedFeedForward(channels, factor)
        self.spatial = spatial
        if spatial:
            self.norm3 = Norm(channels)
            self.spatial_attn = OverlappingAttention(channels, spatial_heads, dim_head=dim_head)
            self.norm4 = Norm(channels)
            self.spatial_ffn = GatedFeedForward(channels, factor)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.channel_attn(self.norm1(x))
        x = x + self.channel_ffn(self.norm2(x))
        if self.spatial:
            x = x + self.spatial_attn(self.norm3(x))
            x = x + self.spatial_ffn(self.norm4(x))
        return x


class Prompt(nn.Module):
    """PromptIR's prompt block: components weighted by the input, resized to it and convolved.

    Shapes: `B C H W` -> `B dim H W`.
    """

    def __init__(self, channels: int, dim: int, size: int, components: int = 5) -> None:
        super().__init__()
        self.prompt_param = nn.Parameter(torch.rand(1, components, dim, size, size))
        self.linear_layer = nn.Linear(channels, components)
        self.conv3x3 = nn.Conv2d(dim, dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        shares = self.linear_layer(x.mean((2, 3))).softmax(1)
        _, components, dim, size, _ = self.prompt_param.shape
        prompt = (shares @ self.prompt_param.reshape(components, -1)).reshape(-1, dim, size, size)
        return self.conv3x3(F.interpolate(prompt, x.shape[-2:], mode="bilinear"))


class PromptStage(nn.Module):
    """A prompt, a fusion block on the concatenation, and a 1x1 reduction: `B C H W` -> `B out H W`."""

    def __init__(self, channels: int, out: int, *, prompt_dim: int, prompt_size: int, **block: Any) -> None:
        super().__init__()
        width = channels + prompt_dim
        self.prompt = Prompt(channels, prompt_dim, prompt_size)
        self.fusion = Block(width, HEADS[2], HEADS[2], **block)
        self.reduce = nn.Conv2d(width, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(self.fusion(torch.cat((x, self.prompt(x)), 1)))


class ABAIRBaseline(nn.Module):
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

    Shapes: `B 3 H W` -> `B 3 H W`, 0..1 in, not clipped out; H and W multiples of 64 (three halvings times the window).
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
        super().__init__()
        shape = {"factor": factor, "dim_head": dim_head}

        def stack(level: int, count: int, width: int) -> nn.Sequential:
            return nn.Sequential(
                *(Block(width, HEADS[level], HEADS[level], spatial=spatial, **shape) for _ in range(count))
            )

        def prompt(stage: int, channels: int, out: int) -> PromptStage:
            return PromptStage(
                channels,
                out,
                prompt_dim=prompt_dims[stage],
                prompt_size=prompt_sizes[stage],
                spatial=spatial and spatial_fusion,
                **shape,
            )

        self.features = 2 * dim
        self.patch_embed = nn.Conv2d(3, dim, 3, padding=1, bias=False)
        self.encoder_level1 = stack(0, blocks[0], dim)
        self.down1_2 = downsample(dim)
        self.encoder_level2 = stack(1, blocks[1], 2 * dim)
        self.down2_3 = downsample(2 * dim)
        self.encoder_level3 = stack(2, blocks[2], 4 * dim)
        self.down3_4 = downsample(4 * dim)
        self.latent = stack(3, blocks[3], 8 * dim)
        self.prompt3 = prompt(2, 8 * dim, 4 * dim)
        self.up4_3 = upsample(4 * dim)
        self.reduce_chan_level3 = nn.Conv2d(6 * dim, 4 * dim, 1, bias=False)
        self.decoder_level3 = stack(2, blocks[2], 4 * dim)
        self.prompt2 = prompt(1, 4 * dim, 4 * dim)
        self.up3_2 = upsample(4 * dim)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder_level2 = stack(1, blocks[1], 2 * dim)
        self.prompt1 = prompt(0, 2 * dim, 2 * dim)
        self.up2_1 = upsample(2 * dim)
        self.decoder_level1 = stack(0, blocks[0], 2 * dim)
        self.refinement = stack(0, refinement, 2 * dim)
        self.output = nn.Conv2d(2 * dim, 3, 3, padding=1, bias=False)

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B 2*dim H W`."""
        one = self.encoder_level1(self.patch_embed(image))
        two = self.encoder_level2(self.down1_2(one))
        three = self.encoder_level3(self.down2_3(two))
        x = self.prompt3(self.latent(self.down3_4(three)))
        x = self.decoder_level3(self.reduce_chan_level3(torch.cat((self.up4_3(x), three), 1)))
        x = self.prompt2(x)
        x = self.decoder_level2(self.reduce_chan_level2(torch.cat((self.up3_2(x), two), 1)))
        x = self.prompt1(x)
        return self.refinement(self.decoder_level1(torch.cat((self.up2_1(x), one), 1)))

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        return self.output(features) + image

    def forward(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image), image)


def build(*, preset: str = "full", **changes: Any) -> ABAIRBaseline:
    """The baseline in one of its presets, with any argument changed.

    Raises:
        ValueError: the preset is unknown.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    return ABAIRBaseline(**{**PRESETS[preset], **changes})
