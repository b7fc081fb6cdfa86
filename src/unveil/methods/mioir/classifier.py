"""The classifier of tasks (MiOIR): which of the seven a picture needs, so that its explicit prompt can be chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unveil.methods.mioir.tasks import TASKS
from unveil.networks.base import Published, Shapes

SLOPE = 0.1


class Classifier(Published):
    """Probabilities of the seven tasks, in the order of `TASKS`.

    It looks at places of 9x9 pixels side by side, at native resolution, and takes the mean of what it finds there. It
    sees the picture as it is: no side is extended.

    How weights start is ours: by Kaiming's normal, and half of the first filters without a mean. From PyTorch's own
    start nearly all filters tell brightness alone, and texture is learnt slowly: after 900 steps of 14 crops, 34 % of
    the crops were named rightly, against 58 %.

    Args:
        dim: channels.
        out: channels that are averaged.

    Shapes: `B 3 H W`, 0..1, to `B 7`; sides of at least 9.
    """

    naming = ((r"^convolutions\.", "CondNet."), (r"^linear\.", "lastOut."))

    def __init__(self, *, dim: int = 128, out: int = 32) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, dim, 3, stride=3),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(dim, dim, 3, stride=3),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(dim, dim, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(dim, dim, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(dim, out, 1),
        )
        self.linear = nn.Linear(out, len(TASKS))
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        first, *others = [layer for layer in self.convolutions if isinstance(layer, nn.Conv2d)]
        for layer in others:
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        textures = first.weight[: len(first.weight) // 2]
        # What is left without the mean is small in photographs.
        textures.sub_(textures.mean((2, 3), keepdim=True)).mul_(4)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        return {"dim": shapes["CondNet.0.weight"][0], "out": shapes["lastOut.weight"][1]}

    def logits(self, image: Tensor) -> Tensor:
        """What the probabilities are made of. Cross-entropy takes these; the authors give it the probabilities."""
        return self.linear(self.convolutions(image).mean((2, 3)))

    def forward(self, image: Tensor) -> Tensor:
        return self.logits(image).softmax(1)
