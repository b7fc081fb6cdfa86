"""Restormer (Zamir et al., CVPR 2022): attention between channels in a U-Net of four levels.

`FourLevels` is its U-Net with any block, since X-Restormer, PromptIR and ABAIR's baseline have the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unveil.networks.base import Mismatch, Modulation, Network, Shapes, depth, leave
from unveil.networks.restormer_blocks import Downsample, PatchEmbedding, RestormerBlock, Upsample

HEADS = (1, 2, 4, 8)
FACTOR = 2.66


class FourLevels(Network):
    """The U-Net of Restormer's family: widths d, 2d, 4d, 8d; full resolution is decoded at 2d.

    Args:
        dim: d.
        blocks: blocks of level 1, 2, 3 and the latent level; the decoder mirrors them.
        refinement: blocks after the decoder, at 2d channels and full resolution.
        block: makes one block of a level (0 to 3) and width.
        latent_out: channels that leave the latent level (a prompt stage may change them); 8d if None.
    """

    def __init__(
        self,
        dim: int,
        blocks: Sequence[int],
        refinement: int,
        *,
        block: Callable[[int, int], nn.Module],
        latent_out: int | None = None,
    ) -> None:
        super().__init__()

        def stack(level: int, count: int, width: int) -> nn.Sequential:
            return nn.Sequential(*(block(level, width) for _ in range(count)))

        latent_out = latent_out or 8 * dim
        self.features = 2 * dim
        self.sites = {
            "latent": 8 * dim,
            "decoder_level3": 4 * dim,
            "decoder_level2": 2 * dim,
            "decoder_level1": 2 * dim,
            "refinement": 2 * dim,
            "output": 3,
        }
        self.patch_embed = PatchEmbedding(dim)
        self.encoder_level1 = stack(0, blocks[0], dim)
        self.down1_2 = Downsample(dim)
        self.encoder_level2 = stack(1, blocks[1], 2 * dim)
        self.down2_3 = Downsample(2 * dim)
        self.encoder_level3 = stack(2, blocks[2], 4 * dim)
        self.down3_4 = Downsample(4 * dim)
        self.latent = stack(3, blocks[3], 8 * dim)
        self.up4_3 = Upsample(latent_out)
        self.reduce_chan_level3 = nn.Conv2d(latent_out // 2 + 4 * dim, 4 * dim, 1, bias=False)
        self.decoder_level3 = stack(2, blocks[2], 4 * dim)
        self.up3_2 = Upsample(4 * dim)
        self.reduce_chan_level2 = nn.Conv2d(4 * dim, 2 * dim, 1, bias=False)
        self.decoder_level2 = stack(1, blocks[1], 2 * dim)
        self.up2_1 = Upsample(2 * dim)
        self.decoder_level1 = stack(0, blocks[0], 2 * dim)
        self.refinement = stack(0, refinement, 2 * dim)
        self.output = nn.Conv2d(2 * dim, 3, 3, padding=1, bias=False)

    def encode(self, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B 2d H W`."""
        one = self.encoder_level1(self.patch_embed(image))
        two = self.encoder_level2(self.down1_2(one))
        three = self.encoder_level3(self.down2_3(two))
        x = modulate("latent", self.latent(self.down3_4(three)))
        x = self.reduce_chan_level3(torch.cat((self.up4_3(x), three), 1))
        x = modulate("decoder_level3", self.decoder_level3(x))
        x = self.reduce_chan_level2(torch.cat((self.up3_2(x), two), 1))
        x = modulate("decoder_level2", self.decoder_level2(x))
        x = modulate("decoder_level1", self.decoder_level1(torch.cat((self.up2_1(x), one), 1)))
        return modulate("refinement", self.refinement(x))

    def decode(self, features: Tensor, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        return modulate("output", self.output(features)) + image


class Restormer(FourLevels):
    """Restormer.

    Args:
        dim: channels of the first level; level l has `2**l * dim`.
        blocks: blocks of level 1, 2, 3 and the latent level; the decoder mirrors them.
        refinement: blocks after the decoder.
        heads: of the four levels.
        factor: hidden width of the feed-forward networks over their input's.
        bias: whether the norms have a bias and take the mean away (`WithBias`; `BiasFree` otherwise).

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    size_multiple = 8

    gatherable = True

    def __init__(
        self,
        *,
        dim: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: Sequence[int] = HEADS,
        factor: float = FACTOR,
        bias: bool = True,
    ) -> None:
        super().__init__(
            dim,
            blocks,
            refinement,
            block=lambda level, width: RestormerBlock(width, heads[level], factor=factor, bias=bias),
        )

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {
            **read_levels(shapes),
            "heads": [
                shapes.get(f"{level}.0.attn.temperature", (heads,))[0]
                for level, heads in zip(LEVELS, HEADS, strict=True)
            ],
            "factor": read_factor(shapes, "encoder_level1.0.ffn"),
            "bias": "encoder_level1.0.norm1.body.bias" in shapes,
        }


LEVELS = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")


def read_levels(shapes: Shapes) -> dict[str, Any]:
    """The sizes of `FourLevels`: `dim`, `blocks` and `refinement`."""
    return {
        "dim": shapes["patch_embed.proj.weight"][0],
        "blocks": [depth(shapes, f"{level}.") for level in LEVELS],
        "refinement": depth(shapes, "refinement."),
    }


def read_factor(shapes: Shapes, prefix: str) -> float:
    """The factor of a gated feed-forward network: the published 2.66 where that gives its hidden width."""
    hidden, width = shapes[f"{prefix}.project_out.weight"][1], shapes[f"{prefix}.project_out.weight"][0]
    if hidden == 0 or width == 0:
        raise Mismatch("a feed-forward network has no channels")
    # Half a channel more, so that cutting off the fraction gives the hidden width back.
    return FACTOR if int(width * FACTOR) == hidden else (hidden + 0.5) / width
