"""FastNAF: a NAFNet-like U-Net on pixel-unshuffled input, shaped for laptops (ours).

The blocks are NAFNet's (Chen et al., ECCV 2022: simple gates instead of activations, zero-initialised residual scales)
without channel attention by default. The network is then strictly local: an output pixel depends on a bounded
neighbourhood alone, so tiling with a halo that covers it changes nothing. What must be decided once per picture
(which degradation, and so whether brightness may be touched) is decided by adapters and their estimator, not in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unveil.networks.base import Mismatch, Shapes
from unveil.networks.nafnet import NAFUNet, read_levels


class FastNAF(NAFUNet):
    """NAFNet-like U-Net on pixel-unshuffled input.

    Args:
        width: channels of the first level; every level below doubles them.
        encoder: blocks of each encoder level, outermost first; its length is the number of halvings.
        middle: blocks of the innermost level.
        decoder: blocks of each decoder level, innermost first; same length as `encoder`.
        unshuffle: factor by which the input is unshuffled before the first convolution.
        attention: NAFNet's channel attention in every block. Off (the default), the network is strictly local.

    Shapes: `B 3 H W` -> `B 3 H W`, any size; the output is the input plus a learned change.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        encoder: Sequence[int] = (1, 2, 4),
        middle: int = 4,
        decoder: Sequence[int] = (1, 1, 1),
        unshuffle: int = 2,
        attention: bool = False,
    ) -> None:
        super().__init__(
            width=width, encoder=encoder, middle=middle, decoder=decoder, unshuffle=unshuffle, attention=attention
        )

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        unshuffle = round((shapes["intro.weight"][1] / 3) ** 0.5)
        attention = any(".sca." in name for name in shapes)
        if unshuffle == 1 and attention:
            raise Mismatch("this is NAFNet itself, which extends pictures with zeros")
        return {**read_levels(shapes), "unshuffle": unshuffle, "attention": attention}
