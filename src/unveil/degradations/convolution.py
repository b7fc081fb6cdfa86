"""Convolving each sample with kernels of its own, through the Fourier transform."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def fast_side(side: int) -> int:
    """The next side, at least `side`, that is a multiple of 4 without prime factors above 7."""
    side += -side % 4
    while True:
        rest = side
        for factor in (2, 3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return side
        side += 4


def blurred(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve every sample with its kernel, its border reflected.

    Args:
        images: B C H W.
        kernels: (B, K, K), K odd, the centre at K // 2.

    Returns:
        B C H W.
    """
    height, width = images.shape[-2:]
    margin = kernels.shape[-1] // 2
    padded = reflected(images, margin, fast_side(height + 2 * margin), fast_side(width + 2 * margin))
    spectrum = torch.fft.rfft2(padded).mul_(_spectrum(kernels, padded.shape[-2], padded.shape[-1])[:, None])
    whole = torch.fft.irfft2(spectrum, s=padded.shape[-2:])
    return whole[..., 2 * margin : 2 * margin + height, 2 * margin : 2 * margin + width]


def layered(fields: Tensor, kernels: Tensor, height: int, width: int) -> Tensor:
    """Convolve layer upon layer and add the layers up.

    Args:
        fields: (B, L, height + K - 1, width + K - 1), the picture in their middle.
        kernels: (B, L, K, K).

    Returns:
        (B, 1, height, width).
    """
    skip = kernels.shape[-1] - 1
    sides = fast_side(height + skip), fast_side(width + skip)
    spectrum = torch.fft.rfft2(fields, s=sides).mul_(_spectrum(kernels, *sides))
    whole = torch.fft.irfft2(spectrum.sum(1, keepdim=True), s=sides)
    return whole[..., skip : skip + height, skip : skip + width]


def reflected(images: Tensor, margin: int, rows: int, columns: int) -> Tensor:
    """Continue pictures by reflection to `rows` by `columns`, `margin` of it before them; any size from one pixel."""
    height, width = images.shape[-2:]
    below, right = rows - height - margin, columns - width - margin
    if max(margin, below) < height and max(margin, right) < width:
        return functional.pad(images, (margin, right, margin, below), mode="reflect")
    down = _reflected_index(rows, height, margin, images.device)
    across = _reflected_index(columns, width, margin, images.device)
    return images.index_select(-2, down).index_select(-1, across)


def _reflected_index(count: int, side: int, margin: int, device: torch.device) -> Tensor:
    period = max(2 * (side - 1), 1)
    place = (torch.arange(count, device=device) - margin).remainder(period)
    return torch.minimum(place, period - place) if side > 1 else torch.zeros_like(place)


def _spectrum(kernels: Tensor, rows: int, columns: int) -> Tensor:
    # The rows below a kernel are zero: transforming its own rows first skips them.
    return torch.fft.fft(torch.fft.rfft(kernels, n=columns, dim=-1), n=rows, dim=-2)
