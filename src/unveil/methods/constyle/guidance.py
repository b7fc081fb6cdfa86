"""How ConStyle guides a U-Net: its maps enter at the three halvings, its query gates the bottleneck.

`Guided` is what all guided networks share, `GuidedUNet` the U-Net that most of them are. With d the width at full
resolution, the levels have d, 2d, 3d and 4d channels: every halving keeps its channels and gets d of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unveil.methods.constyle.encoder import MAPS, POOLED, QUERY, Encoder
from unveil.networks.base import CodedNetwork, Network
from unveil.networks.layers import double, halve


class Down(nn.Module):
    """Halve the resolution and append a map of the encoder, projected (DC of ConStyle v2, Fig. 4).

    Shapes: `B C H W` and a map `B M H/2 W/2` -> `B C+added H/2 W/2`.
    """

    def __init__(self, channels: int, seen: int, added: int, activation: nn.Module) -> None:
        super().__init__()
        self.halve = halve(channels, channels)
        self.affine = nn.Sequential(nn.Conv2d(seen, added, 1, bias=False), activation)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        return torch.cat((self.halve(x), self.affine(seen)), 1)


class Up(nn.Module):
    """Double the resolution, append the skip and mix (UC of ConStyle v2, Fig. 4).

    Shapes: `B C H W` and a skip `B S 2H 2W` -> `B out 2H 2W`.
    """

    def __init__(self, channels: int, skip: int, out: int) -> None:
        super().__init__()
        self.double = double(channels, channels)
        self.mix = nn.Conv2d(channels + skip, out, 1, bias=False)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.mix(torch.cat((self.double(x), skip), 1))


class Guided(CodedNetwork):
    """A network with its encoder inside. Its code is the encoder's mean over all pixels.

    Args:
        dim: channels at full resolution.
        activation: makes what follows the projection of a map, for a number of channels.

    A subclass says in `steer` what becomes of a picture under maps and query, and in `decode` what follows.
    """

    size_multiple = 8
    code = POOLED
    container = "params_ema"
    renaming: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^ConStyle\.encoder_q\.", "encoder."),
        (r"^AffineTransform0\.", "down1.affine."),
        (r"^AffineTransform1\.", "down2.affine."),
        (r"^AffineTransform2\.", "down3.affine."),
        (r"^DC(\d)\.down\.", r"down\1.halve."),
        (r"^mlp\.0\.", "gate."),
        (r"^local_fusion\.", "fusion."),
    )

    def __init__(self, dim: int, *, activation: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.down1, self.down2, self.down3 = (
            Down(level * dim, seen, dim, activation(dim)) for level, seen in enumerate(MAPS, 1)
        )
        self.gate = nn.Linear(QUERY, 4 * dim)
        self.fusion = nn.Conv2d(8 * dim, 3 * dim, 1, bias=False)

    def fuse(self, x: Tensor, query: Tensor) -> Tensor:
        """Append the bottleneck gated by the query and mix: `B 4d H W`, `B 128` -> `B 3d H W`."""
        return self.fusion(torch.cat((x, x * self.gate(query)[..., None, None]), 1))

    def steer(self, image: Tensor, maps: Sequence[Tensor], query: Tensor) -> Tensor:
        """Features that feed the output convolution, of a picture under the encoder's maps and its second query."""
        raise NotImplementedError

    def summarise(self, image: Tensor) -> Tensor:
        """The code of a picture: `B 3 H W` -> `B 256`."""
        return self.encoder.pool(self.encoder.maps(image)[-1])

    def restore(self, image: Tensor, code: Tensor) -> Tensor:
        features = self.steer(image, self.encoder.maps(image), self.encoder.heads(code)[-1])
        return self.decode(features, image)

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution, under the picture's own code."""
        maps = self.encoder.maps(image)
        return self.steer(image, maps, self.encoder.heads(self.encoder.pool(maps[-1]))[-1])

    def forward(self, image: Tensor) -> Tensor:
        # As a plain network, so that the maps, which code and picture both need, are computed once.
        return Network.forward(self, image)
