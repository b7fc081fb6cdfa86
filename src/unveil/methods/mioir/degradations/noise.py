"""Noise, as MiOIR makes it: white and Gaussian, independent in every pixel and channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from unveil.degradations.base import Shape, normal, spread
from unveil.methods.mioir.degradations.base import Span, TaskDegradation


class Noise(TaskDegradation):
    """`I = J + n`, n of a whole number of levels of 255."""

    name = "noise"
    ranges: ClassVar = {"in": (15.0, 50.0), "out": (50.0, 70.0)}

    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        return {
            "sigma": self.strengths(shape[0], generator, span, decimals=0),
            "field": normal(shape, generator),
        }

    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        return images + drawn["field"] * spread(drawn["sigma"] / 255)
