"""How ConStyle guides a U-Net: its maps enter at the three halvings, its query gates the bottleneck.

`Steered` is what all networks with an encoder inside share, `Guided` the published ones, `GuidedUNet` the U-Net that
most of these are. With d the width at full resolution, its levels have d, 2d, 3d and 4d channels: every halving keeps
its channels and gets d of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unveil.methods.constyle.encoder import MAPS, POOLED, QUERY, Encoder
from unveil.networks.base import CodedNetwork, Naming
from unveil.networks.layers import double, halve


class Down(nn.Module):
    """Halve the resolution and append a map of the encoder, projected (DC of ConStyle v2, Fig. 4).

    Shapes: `B C H W` and a map `B M H/2 W/2` -> `B C+added H/2 W/2`.
    """

    def __init__(self, channels: int, seen: int, added: int, activation: nn.Module) -> None:
        super().__init__()
        self.shrink = halve(channels, channels)
        self.affine = nn.Sequential(nn.Conv2d(seen, added, 1, bias=False), activation)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        return torch.cat((self.shrink(x), self.affine(seen)), 1)


class Up(nn.Module):
    """Double the resolution, append the skip and mix (UC of ConStyle v2, Fig. 4).

    Shapes: `B C H W` and a skip `B S 2H 2W` -> `B out 2H 2W`.
    """

    def __init__(self, channels: int, skip: int, out: int) -> None:
        super().__init__()
        self.grow = double(channels, channels)
        self.mix = nn.Conv2d(channels + skip, out, 1, bias=False)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.mix(torch.cat((self.grow(x), skip), 1))


class Steered(CodedNetwork):
    """A network with ConStyle's encoder inside. Its code is the encoder's mean over all pixels."""

    encoder: Encoder
    code = POOLED

    def answer(self, image: Tensor, maps: Sequence[Tensor], query: Tensor) -> Tensor:
        """The restored picture, `B 3 H W`, under the encoder's maps and its second query, `B 128`."""
        raise NotImplementedError

    def sever(self, *, maps: bool = False, query: bool = False) -> None:
        """Cut the network off from the encoder's maps, or from its query, for good: the weights that take them become
        zero and are trained no more. For studies of what each is worth (guideline 2)."""
        raise NotImplementedError

    def summarise(self, image: Tensor) -> Tensor:
        """The code of a picture: `B 3 H W` -> `B 256`."""
        return self.encoder.pool(self.encoder.maps(image)[-1])

    def restore(self, image: Tensor, code: Tensor) -> Tensor:
        return self.answer(image, self.encoder.maps(image), self.encoder.heads(code)[-1])

    def forward(self, image: Tensor) -> Tensor:
        # Not by way of `summarise`, so that the maps, which code and picture both need, are computed once.
        fit = self.fit(image)
        image = fit.extend(image)
        maps = self.encoder.maps(image)
        return fit.cut(self.answer(image, maps, self.encoder.heads(self.encoder.pool(maps[-1]))[-1]))


def silence(*layers: nn.Module) -> None:
    """Set all weights of layers to zero for good."""
    for layer in layers:
        for parameter in layer.parameters():
            parameter.requires_grad_(False).zero_()


class Guided(Steered):
    """A published network with its encoder inside.

    Args:
        dim: channels at full resolution.
        activation: makes what follows the projection of a map, for a number of channels.

    A subclass says in `steer` what becomes of a picture under maps and query, and in `decode` what follows.
    """

    size_multiple = 8
    container = "params_ema"
    naming: ClassVar[Naming] = (
        (r"^encoder\.", "ConStyle.encoder_q."),
        (r"^down(\d)\.affine\.", lambda found: f"AffineTransform{int(found[1]) - 1}."),
        (r"^down(\d)\.shrink\.", r"DC\1.down."),
        (r"^gate\.", "mlp.0."),
        (r"^fusion\.", "local_fusion."),
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

    def answer(self, image: Tensor, maps: Sequence[Tensor], query: Tensor) -> Tensor:
        return self.decode(self.steer(image, maps, query), image)

    @torch.no_grad()
    def sever(self, *, maps: bool = False, query: bool = False) -> None:
        if maps:
            # Without a bias, and with an activation that leaves 0 at 0, nothing is left of a map.
            silence(*(down.affine[0] for down in (self.down1, self.down2, self.down3)))
        if query:
            silence(self.gate)

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution, under the picture's own code."""
        maps = self.encoder.maps(image)
        return self.steer(image, maps, self.encoder.heads(self.encoder.pool(maps[-1]))[-1])


class GuidedUNet(Guided):
    """The guided U-Net around any blocks: what goes on at a level is given, the rest is fixed.

    Args:
        dim: channels at full resolution.
        activation: as in `Guided`.
        preprocess: `B 3 H W` -> `B dim H W`.
        process: makes the module of a level for a number of channels; levels are `left1` to `left3` on the way down,
            `bottom`, and `right3` to `right1` on the way up.
        refinement: what follows the last level, at `2 * dim` channels.
        output: the output convolution.
    """

    naming = (
        (r"^preprocess\.", "Preprocess_Module."),
        (r"^bottom\.", "Process_Module_bottom."),
        (r"^left", "Process_Module_l"),
        (r"^right", "Process_Module_r"),
        (r"^up(\d)\.grow\.", r"UC\1.up."),
        (r"^up(\d)\.mix\.", r"UC\1.down."),
        (r"^refinement\.", "Finetune_Module."),
        *Guided.naming,
    )

    def __init__(
        self,
        dim: int,
        *,
        activation: Callable[[int], nn.Module],
        preprocess: nn.Module,
        process: Callable[[str, int], nn.Module],
        refinement: nn.Module,
        output: nn.Module,
    ) -> None:
        super().__init__(dim, activation=activation)
        self.preprocess = preprocess
        self.left1 = process("left1", dim)
        self.left2 = process("left2", 2 * dim)
        self.left3 = process("left3", 3 * dim)
        self.bottom = process("bottom", 4 * dim)
        self.up3 = Up(3 * dim, 3 * dim, 4 * dim)
        self.right3 = process("right3", 4 * dim)
        self.up2 = Up(4 * dim, 2 * dim, 3 * dim)
        self.right2 = process("right2", 3 * dim)
        self.up1 = Up(3 * dim, dim, 2 * dim)
        self.right1 = process("right1", 2 * dim)
        self.refinement = refinement
        self.output = output

    def steer(self, image: Tensor, maps: Sequence[Tensor], query: Tensor) -> Tensor:
        one = self.left1(self.preprocess(image))
        two = self.left2(self.down1(one, maps[0]))
        three = self.left3(self.down2(two, maps[1]))
        x = self.fuse(self.bottom(self.down3(three, maps[2])), query)
        x = self.right3(self.up3(x, three))
        x = self.right2(self.up2(x, two))
        x = self.right1(self.up1(x, one))
        return self.refinement(x)

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        return self.output(features) + image
