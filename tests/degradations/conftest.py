"""Made pictures for the tests of the degradations."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

Scene = Callable[..., Tensor]


@pytest.fixture
def scene() -> Scene:
    """A function that makes pictures with the spectrum of photographs: tones, edges, texture, on the 8-bit grid."""

    def make(batch: int = 4, height: int = 64, width: int = 64, seed: int = 7) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        image = torch.zeros(batch, 3, height, width)
        for cells, strength in ((2, 1.0), (4, 0.6), (8, 0.35), (16, 0.2), (48, 0.1)):
            knots = torch.rand(batch, 3, cells, cells, generator=generator) - 0.5
            knots = knots + 2 * (torch.rand(batch, 1, cells, cells, generator=generator) - 0.5)
            image += strength * functional.interpolate(knots, (height, width), mode="bilinear", align_corners=True)
        image[..., height // 3 :, : width // 2] -= 0.25
        return (torch.sigmoid(2 * image) * 255).round() / 255

    return make
