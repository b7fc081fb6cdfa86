"""JPEG, as MiOIR makes it: on tensors, not by a file. It differs from libjpeg in tables, rounding and upsampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import Shape
from unveil.degradations.jpeg import CHROMA, LUMA, round_trip
from unveil.methods.mioir.degradations.base import Span, TaskDegradation

TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


class Jpeg(TaskDegradation):
    """The round trip in floating point: only the quantised coefficients are rounded.

    Sides are filled up with black to multiples of 16, chroma is averaged 2 by 2 and repeated. The table of luma is the
    transposed standard one; both are scaled by libjpeg's factor without being rounded.
    """

    name = "jpeg"
    ranges: ClassVar = {"in": (30.0, 70.0), "out": (10.0, 30.0)}

    def draw(self, shape: Shape, generator: torch.Generator, span: Span = "in") -> dict[str, Tensor]:
        return {"quality": self.strengths(shape[0], generator, span, decimals=0)}

    def degrade(self, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        batch, _, height, width = images.shape
        pixels = functional.pad(images, (0, -width % 16, 0, -height % 16)) * 255
        rows, columns = pixels.shape[-2:]
        luma, chroma = tables(drawn["quality"])
        to_ycc, to_rgb = (torch.tensor(matrix, device=images.device) for matrix in (TO_YCC, TO_RGB))
        planes = (to_ycc @ pixels.reshape(batch, 3, -1)).view(batch, 3, rows, columns)
        # Chroma is moved to 128 and the transform wants it around 0, so it stays as it is; luma comes down by 128.
        bright = round_trip(planes[:, :1] - 128, luma) + 128
        colour = round_trip(functional.avg_pool2d(planes[:, 1:], 2), chroma)
        colour = functional.interpolate(colour, scale_factor=2, mode="nearest")
        both = torch.cat((bright, colour), 1).view(batch, 3, -1)
        decoded = (to_rgb @ both).view(batch, 3, rows, columns)[..., :height, :width]
        return decoded.clamp(0, 255) / 255


def tables(quality: Tensor) -> tuple[Tensor, Tensor]:
    """Quantisation tables (B, 8, 8) of luma and chroma, by vertical, then horizontal frequency."""
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    luma, chroma = torch.tensor((LUMA, CHROMA), dtype=torch.float32, device=quality.device)
    return luma.T * percent / 100, chroma * percent / 100
