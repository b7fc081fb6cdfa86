"""ConStyle's encoder: what it sees in a degraded picture, as maps for the skips and a code for the bottleneck.

The trunk has convolutions alone, without norm or bias; the two heads work on its mean over all pixels.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from unveil.networks.base import Mismatch, Published, Shapes

MAPS = (32, 64, 128)
"""Channels of the three maps, at a half, a quarter and an eighth of the resolution."""

POOLED = 256
"""Length of the mean over all pixels that the heads work on."""

QUERY = 128
"""Length of each query."""

SLOPE = 0.1
"""Of the leaky rectifiers of both papers."""


def layer(before: int, after: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.LeakyReLU(SLOPE, inplace=True))


def head(before: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, QUERY), nn.BatchNorm1d(QUERY), nn.GELU())


class Encoder(Published):
    """The trunk and the heads that both versions have.

    In evaluation mode the heads' norms use the stored statistics as they are. The authors average parameters and not
    buffers, so in their released weights these are expected to be mean 0 and variance 1.
    """

    naming = ((r"^", "encoder_q."),)
    container = "params_ema"

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(layer(3, 16), layer(16, 16), layer(16, 32, 2))
        self.stage2 = nn.Sequential(layer(32, 32), layer(32, 64, 2))
        self.stage3 = nn.Sequential(layer(64, 128), layer(128, 128, 2))
        self.stage4 = nn.Sequential(layer(128, 256), layer(256, POOLED, 2))
        self.mlp1 = head(POOLED)
        self.mlp2 = head(QUERY)

    def maps(self, image: Tensor) -> list[Tensor]:
        """What the skips take: `B 3 H W` -> `B 32 H/2 W/2`, `B 64 H/4 W/4`, `B 128 H/8 W/8`; strictly local."""
        first = self.stage1(image)
        second = self.stage2(first)
        return [first, second, self.stage3(second)]

    def pool(self, last: Tensor) -> Tensor:
        """The last stage and its mean over all pixels: the last of `maps` -> `B 256`."""
        return self.stage4(last).mean((2, 3))

    def heads(self, pooled: Tensor) -> list[Tensor]:
        """The two queries, not normalised: `B 256` -> `B 128`, `B 128`. The second gates the bottleneck."""
        first = self.mlp1(pooled)
        return [first, self.mlp2(first)]


class ConStyle(Encoder):
    """The encoder of ConStyle v1, which is also the one inside every guided network of both versions.

    Shapes: `B 3 H W` -> `([q0, q1], [f0, f1, f2])`, two queries and three maps; any size.
    """

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        if any("classifier." in name for name in shapes):
            raise Mismatch("the first version has no class head")
        return {}

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        maps = self.maps(image)
        return self.heads(self.pool(maps[-1])), maps


class ConStyleV2(Encoder):
    """The encoder of ConStyle v2 as it is pre-trained: with a class head, which a guided network does without.

    Args:
        classes: of the pictures that it is pre-trained on.

    Shapes: `B 3 H W` -> `([q0, q1], [f0, f1, f2], predict)`, `predict` being logits `B classes`; any size.
    """

    def __init__(self, *, classes: int = 1000) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Linear(POOLED, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, classes))

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {"classes": shapes["encoder_q.classifier.3.weight"][0]}

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        maps = self.maps(image)
        pooled = self.pool(maps[-1])
        return self.heads(pooled), maps, self.classifier(pooled)
