"""SwinIR (Liang et al., ICCV-W 2021) at scale 1, as MiOIR (arXiv 2401.03379) uses it: attention in shifted windows.

All features have full resolution. The picture itself is not added at the end, unlike in the other networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unveil.networks.base import Mismatch, Modulation, Network, Shapes, depth, leave
from unveil.networks.layers import channels_first, channels_last, gelu
from unveil.networks.windows import (
    Blocks,
    WindowAttention,
    WindowBlock,
    drop_rates,
    initialise,
    on_list,
    position_tables,
    shift_mask,
    window_side,
)

MEAN = (0.4488, 0.4371, 0.4040)
"""The mean colour that the network works around (that of DIV2K's training pictures)."""

IMAGE_SIDE = 128
"""Side of the pictures that the official network was built for. Only masks that it keeps in its state depend on it."""


class FeedForward(nn.Module):
    """Two linear layers with a GELU between, for every pixel: `... C` in and out."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return on_list(self.fc2, gelu(on_list(self.fc1, x)))


class Embedding(nn.Module):
    """The norm in front of the blocks under the name that it has there (`patch_embed.norm`)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ResidualGroup(nn.Module):
    """Residual Swin Transformer block (RSTB): blocks in windows and a 3x3 convolution, added.

    Shapes: `B H W C` in and out.
    """

    def __init__(self, channels: int, blocks: Sequence[WindowBlock]) -> None:
        super().__init__()
        self.residual_group = Blocks(blocks)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.residual_group(x, mask)
        return x + channels_last(self.conv(channels_first(y)))


class SwinIR(Network):
    """SwinIR at scale 1.

    Args:
        dim: channels of the blocks.
        depths: blocks of each group; every second block is shifted.
        heads: of each group.
        window: side of a window.
        factor: hidden width of the feed-forward networks over their input's.
        features: channels in front of the output convolution.
        drop_path: share of samples that the last block's branches are left out for in training; it grows from 0 evenly.

    Shapes: `B 3 H W` -> `B 3 H W`, any size; inside, multiples of `window`.
    """

    mean: Tensor

    def __init__(
        self,
        *,
        dim: int = 180,
        depths: Sequence[int] = (6, 6, 6, 6, 6, 6),
        heads: Sequence[int] = (6, 6, 6, 6, 6, 6),
        window: int = 8,
        factor: float = 2.0,
        features: int = 64,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.size_multiple = self.window = window
        self.features = features
        groups = [f"layers.{number}" for number in range(len(depths))]
        self.sites = {**dict.fromkeys(groups, dim), "after_body": dim, "before_upsample": features, "output": 3}
        rates = iter(drop_rates(sum(depths), drop_path))

        def block(heads: int, *, shifted: bool) -> WindowBlock:
            attention = WindowAttention(dim, heads, window=window, shifted=shifted)
            return WindowBlock(dim, attention, FeedForward(dim, round(dim * factor)), drop=next(rates))

        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.patch_embed = Embedding(dim)
        self.layers = nn.ModuleList(
            ResidualGroup(dim, [block(heads, shifted=number % 2 == 1) for number in range(blocks)])
            for blocks, heads in zip(depths, heads, strict=True)
        )
        self.norm = nn.LayerNorm(dim)
        self.conv_after_body = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(dim, features, 3, padding=1), nn.LeakyReLU())
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        initialise(self)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        groups = [f"layers.{number}.residual_group.blocks" for number in range(depth(shapes, "layers."))]
        tables = [shapes[f"{group}.0.attn.relative_position_bias_table"] for group in groups]
        hidden, dim = shapes[f"{groups[0]}.0.mlp.fc1.weight"]
        if dim == 0:
            raise Mismatch("a feed-forward network has no channels")
        return {
            "dim": dim,
            "depths": [depth(shapes, f"{group}.") for group in groups],
            "heads": [table[1] for table in tables],
            "window": window_side(tables[0]),
            "factor": hidden / dim,
            "features": shapes["conv_last.weight"][1],
        }

    def geometry(self) -> dict[str, Tensor]:
        masks = shift_mask(torch.empty(1, IMAGE_SIDE, IMAGE_SIDE, 1), self.window)[:, 0]
        shifted = [name for name, block in self.named_modules() if isinstance(block, WindowBlock) and block.attn.shift]
        return {**position_tables(self), **{f"{name}.attn_mask": masks for name in shifted}}

    def encode(self, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B features H W`."""
        shallow = self.conv_first(image - self.mean)
        x = self.patch_embed(channels_last(shallow))
        mask = shift_mask(x, self.window)
        for number, group in enumerate(self.layers):
            x = channels_last(modulate(f"layers.{number}", channels_first(group(x, mask))))
        x = modulate("after_body", self.conv_after_body(channels_first(self.norm(x))) + shallow)
        return modulate("before_upsample", self.conv_before_upsample(x))

    def decode(self, features: Tensor, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Turn the features of `encode` into the restored picture; the degraded one is not added."""
        return modulate("output", self.conv_last(features)) + self.mean
