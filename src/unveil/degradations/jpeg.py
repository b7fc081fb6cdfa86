"""JPEG: what a strongly compressed file does to a picture; a file on a CPU, the same arithmetic on other devices."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import Degradation, Shape, uniform
from unveil.degradations.filing import LARGEST_SIDE, filed

# The example tables of ITU-T T.81, annex K.1, which libjpeg scales by quality.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


class Jpeg(Degradation):
    """The round trip through a baseline JPEG file, as libjpeg does it. ABAIR gives no formula; ours.

    Colour as in JFIF, 8 x 8 cosine transform, the standard tables scaled by libjpeg's rule, chroma at full (4:4:4) or
    half (4:2:0) resolution with libjpeg's smooth upsampling. The picture may be a crop: the block grid starts up to 15
    pixels before it. Grey pictures have luma only.

    Args:
        subsampling: share of samples with 4:2:0 chroma.
        aligned: the block grid starts at the first pixel, as in a file of the whole picture.
    """

    name = "jpeg"
    printed = "JPEG artefacts"
    severity_note = "quality = 95 - 90 s, rounded"
    typical = (0.39, 1.0)

    def __init__(self, *, subsampling: float = 0.7, aligned: bool = False) -> None:
        self.subsampling = subsampling
        self.aligned = aligned

    @staticmethod
    def severity_of(quality: int) -> float:
        """The severity of a JPEG quality, 5 to 94."""
        return (95 - quality) / 90

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        batch = shape[0]
        is_half = uniform((batch,), generator) < self.subsampling
        cells = torch.where(is_half, 16, 8)[:, None]
        corner = (uniform((batch, 2), generator) * (0 if self.aligned else cells)).long()
        return {"is_half": is_half, "corner": corner}

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        if images.device.type == "cpu" and max(images.shape[-2:]) <= LARGEST_SIDE:
            return filed(images, quality_of(severity), drawn["is_half"], drawn["corner"])
        return self.compute(images, severity, drawn)

    def compute(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """The same without making files, on any device; single coefficients fall on the other side of a half."""
        channels, height, width = images.shape[1:]
        rows, columns = (side + (0 if self.aligned else 15) for side in (height, width))
        rows, columns = rows + -rows % 16, columns + -columns % 16
        luma, chroma = _tables(severity)
        pixels = (images * 255).round_().clamp_(0, 255)
        padded = pixels
        if not self.aligned or (rows, columns) != (height, width):
            padded = _placed(pixels, drawn["corner"], rows, columns)
        if channels == 1:
            decoded = round_trip(padded - 128, luma) + 128
        else:
            decoded = _colour_round_trip(padded, luma, chroma, drawn["is_half"])
        decoded = decoded.round_().clamp_(0, 255).div_(255)
        if self.aligned:
            return decoded[..., :height, :width]
        return _taken(decoded, drawn["corner"], height, width)


def quality_of(severity: Tensor) -> Tensor:
    """The quality number of each severity, a whole number, 5 to 95."""
    return (95 - 90 * severity).round()


def _tables(severity: Tensor) -> tuple[Tensor, Tensor]:
    """Quantisation tables (B, 8, 8) of luma and chroma."""
    quality = quality_of(severity)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)[:, None, None]
    base = torch.tensor((LUMA, CHROMA), dtype=torch.float32, device=severity.device)
    luma, chroma = (((table * percent + 50) / 100).floor().clamp_(1, 255) for table in base)
    return luma, chroma


def _colour_round_trip(pixels: Tensor, luma: Tensor, chroma: Tensor, is_half: Tensor) -> Tensor:
    batch, _, rows, columns = pixels.shape
    to_ycc = torch.tensor(TO_YCC, device=pixels.device)
    to_rgb = torch.tensor(TO_RGB, device=pixels.device)
    # Centred values: luma less 128, chroma around 0, as the transform wants them.
    planes = (to_ycc @ pixels.reshape(batch, 3, -1)).round_().view(batch, 3, rows, columns)
    colour = planes[:, 1:].clamp_(-128, 127)
    # libjpeg rounds averages of four down and up by turns, column by column.
    turns = torch.tensor((0.25, 0.5), device=pixels.device).repeat(columns // 4)
    half = round_trip(functional.avg_pool2d(colour, 2).add_(turns).floor_(), chroma).round_().clamp_(-128, 127)
    # libjpeg's triangle filter is what bilinear interpolation by 2 is.
    half = functional.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    both = round_trip(torch.cat((planes[:, :1] - 128, colour), 1), luma, chroma).round_().clamp_(-128, 127)
    both[:, :1] += 128
    both[:, 1:] = torch.where(is_half[:, None, None, None], half.round_(), both[:, 1:])
    return (to_rgb @ both.view(batch, 3, -1)).view(batch, 3, rows, columns)


def round_trip(planes: Tensor, table: Tensor, further: Tensor | None = None) -> Tensor:
    """Transform, quantise and transform back: B P H W, sides of whole blocks.

    `further` is the table of all planes after the first.
    """
    batch, count, rows, columns = planes.shape
    cosines = _cosines(planes.device)
    tables = table[:, None] if further is None else torch.stack((table,) + (further,) * (count - 1), 1)
    tables = tables[:, :, None, :, None, :]
    # Eight rows left of a block-wise product need no reordering: (8, 8) @ (8, W), then (W / 8, 8) @ (8, 8).
    blocks = cosines @ planes.reshape(-1, 8, columns)
    blocks = (blocks.view(-1, 8) @ cosines.T).view(batch, count, rows // 8, 8, columns // 8, 8)
    blocks = (blocks / tables).round_().mul_(tables)
    blocks = cosines.T @ blocks.view(-1, 8, columns)
    return (blocks.view(-1, 8) @ cosines).view(batch, count, rows, columns)


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal 8-point cosine transform as a matrix, frequency by place."""
    frequency = torch.arange(8, dtype=torch.float64)[:, None]
    place = torch.arange(8, dtype=torch.float64)[None, :]
    matrix = torch.cos((2 * place + 1) * frequency * math.pi / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix.to(device, torch.float32)


def _placed(pixels: Tensor, corner: Tensor, rows: int, columns: int) -> Tensor:
    """Move each picture to its corner of a larger frame, its border repeated."""
    height, width = pixels.shape[-2:]
    down = (torch.arange(rows, device=pixels.device) - corner[:, :1]).clamp_(0, height - 1)
    right = (torch.arange(columns, device=pixels.device) - corner[:, 1:]).clamp_(0, width - 1)
    return _gathered(pixels, down, right)


def _taken(pixels: Tensor, corner: Tensor, height: int, width: int) -> Tensor:
    down = torch.arange(height, device=pixels.device) + corner[:, :1]
    right = torch.arange(width, device=pixels.device) + corner[:, 1:]
    return _gathered(pixels, down, right)


def _gathered(pixels: Tensor, down: Tensor, right: Tensor) -> Tensor:
    batch, channels, _, width = pixels.shape
    index = (down[:, :, None] * width + right[:, None, :]).view(batch, 1, -1).expand(-1, channels, -1)
    return pixels.reshape(batch, channels, -1).gather(2, index).view(batch, channels, down.shape[1], right.shape[1])
