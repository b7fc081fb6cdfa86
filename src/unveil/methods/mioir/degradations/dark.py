"""Low light, as MiOIR makes it: a power of the picture's values, without noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from unveil.degradations.base import Shape, spread
from unveil.methods.mioir.degradations.base import Span, TaskDegradation


class Dark(TaskDegradation):
    """`I = J^gamma` on sRGB values in 0..1."""

    name = "dark"
    ranges: ClassVar = {"in": (1.0, 3.0), "out": (3.0, 4.0)}

    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        return {"gamma": self.strengths(shape[0], generator, span, decimals=2)}

    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        return images ** spread(drawn["gamma"])
