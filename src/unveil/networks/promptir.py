"""PromptIR (Potlapalli et al., NeurIPS 2023): Restormer with learned prompts in its decoder.

`PromptedLevels` holds the places of the prompts, which ABAIR's baseline has too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unveil.networks.base import Modulation, Shapes, leave
from unveil.networks.restormer import FACTOR, HEADS, LEVELS, FourLevels, read_factor, read_levels
from unveil.networks.restormer_blocks import Prompt, RestormerBlock

STAGES = {"latent": 3, "decoder_level3": 2, "decoder_level2": 1}
"""After which levels a prompt stage stands, and its number."""

PROMPT_DIMS = (64, 128, 320)
PROMPT_SIZES = (64, 32, 16)


class PromptedLevels(FourLevels):
    """The U-Net of Restormer's family with a prompt stage after the latent level and decoder levels 3 and 2.

    The stage after the latent level halves the channels, so the first upsampling starts from `4 * dim`.

    Args:
        dim, blocks, refinement, block: as in `FourLevels`.
    """

    def __init__(self, dim: int, blocks: Sequence[int], refinement: int, **rest: Any) -> None:
        super().__init__(dim, blocks, refinement, latent_out=4 * dim, **rest)
        self.stage_widths = {3: (8 * dim, 4 * dim), 2: (4 * dim, 4 * dim), 1: (2 * dim, 2 * dim)}
        """Channels that enter and leave each stage."""

    def stage(self, number: int, x: Tensor) -> Tensor:
        """The prompt stage of a number: `B C H W` -> `B C' H W`, widths as in `stage_widths`."""
        raise NotImplementedError

    def encode(self, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B 2*dim H W`."""

        def prompted(site: str, x: Tensor) -> Tensor:
            x = modulate(site, x)
            return self.stage(STAGES[site], x) if site in STAGES else x

        return super().encode(image, prompted)


class PromptIR(PromptedLevels):
    """PromptIR. Its unused convolutions, which the original weights hold, are left out.

    Args:
        dim: channels of the first level; level l has `2**l * dim`.
        blocks: blocks of level 1, 2, 3 and the latent level; the decoder mirrors them.
        refinement: blocks after the decoder.
        heads: of the four levels; the blocks on features with prompts have those of the third.
        factor: hidden width of the feed-forward networks over their input's.
        bias: whether the norms have a bias and take the mean away.
        prompt_dims, prompt_sizes: of the prompts after decoder level 2, decoder level 3 and the latent level.

    Shapes: `B 3 H W` -> `B 3 H W`, any size. The published tests extend to multiples of 64; 8 are enough.
    """

    size_multiple = 8
    superfluous = r"^(chnl_reduce|reduce_noise_channel_)[123]\."

    def __init__(
        self,
        *,
        dim: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: Sequence[int] = HEADS,
        factor: float = FACTOR,
        bias: bool = True,
        prompt_dims: Sequence[int] = PROMPT_DIMS,
        prompt_sizes: Sequence[int] = PROMPT_SIZES,
    ) -> None:
        shape: dict[str, Any] = {"factor": factor, "bias": bias}
        super().__init__(
            dim, blocks, refinement, block=lambda level, width: RestormerBlock(width, heads[level], **shape)
        )
        for number, (channels, out) in self.stage_widths.items():
            prompt = Prompt(channels, prompt_dims[number - 1], prompt_sizes[number - 1])
            together = channels + prompt_dims[number - 1]
            self.add_module(f"prompt{number}", prompt)
            self.add_module(f"noise_level{number}", RestormerBlock(together, heads[2], **shape))
            self.add_module(f"reduce_noise_level{number}", nn.Conv2d(together, out, 1, bias=False))

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        prompts = [shapes[f"prompt{number}.prompt_param"] for number in (1, 2, 3)]
        return {
            **read_levels(shapes),
            "heads": [shapes[f"{level}.0.attn.temperature"][0] for level in LEVELS],
            "factor": read_factor(shapes, "encoder_level1.0.ffn"),
            "bias": "encoder_level1.0.norm1.body.bias" in shapes,
            "prompt_dims": [shape[2] for shape in prompts],
            "prompt_sizes": [shape[3] for shape in prompts],
        }

    def stage(self, number: int, x: Tensor) -> Tensor:
        prompt = self.get_submodule(f"prompt{number}")(x)
        x = self.get_submodule(f"noise_level{number}")(torch.cat((x, prompt), 1))
        return self.get_submodule(f"reduce_noise_level{number}")(x)
