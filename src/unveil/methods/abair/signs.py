"""Signs of damage that have formulas: how strong each frequency is, and by how many grey levels neighbours differ.

A blurred picture and an enlarged one look alike, but one fades towards fine detail and the other ends there; few grey
levels and faint noise look alike, but steps of one are all of a size. A small network takes long to find that out of
pixels, so the estimator is told. All of this is ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SIDE = 16
"""Side of the blocks whose cosine transform is taken."""
FLOOR = 1e-6
"""Energy below which a frequency counts as absent; rounding to 8 bits leaves 1.3e-6."""
BINS = 17
"""Bins of differences between neighbours, even in log2(1 + grey levels): from bin to bin they grow by 1.4."""
SPARSE = 8
"""Every so manieth row (column) of horizontal (vertical) neighbours is counted, for speed."""
COUNT = 2 * (SIDE * SIDE - 1) + 2 * BINS
"""Length of the vector that `measure` gives."""


def measure(views: Tensor) -> Tensor:
    """`B 3 S S`, 0..1, S at least 16 -> `B COUNT`: numbers of about -1 to 1, float32 whatever the views are.

    Of the mean of the colours, in blocks of 16 x 16: for each frequency the mean logarithm of its energy, which most
    blocks decide, and the logarithm of its mean energy, which the busiest decide. Of all colours: shares of horizontal
    and vertical neighbours that differ by so many grey levels.
    """
    views = views.float()
    if not torch.is_autocast_enabled(views.device.type):
        return torch.cat((_frequencies(views), _steps(views)), 1)
    # In bfloat16 what is faint would drown in the rounding of what is strong.
    with torch.autocast(views.device.type, enabled=False):
        return torch.cat((_frequencies(views), _steps(views)), 1)


def _frequencies(views: Tensor) -> Tensor:
    rows, columns = (side // SIDE for side in views.shape[-2:])
    cosines = _cosines(views.device)
    grey = views[..., : rows * SIDE, : columns * SIDE].mean(1)
    blocks = grey.reshape(-1, rows, SIDE, columns, SIDE).permute(0, 1, 3, 2, 4).reshape(-1, rows * columns, SIDE, SIDE)
    energy = (cosines @ blocks @ cosines.T).square().flatten(2)[..., 1:]
    typical = (energy + FLOOR).log10().mean(1)
    strongest = (energy.mean(1) + FLOOR).log10()
    return torch.cat((typical, strongest), 1) / 2 + 1.5


def _steps(views: Tensor) -> Tensor:
    across = views[..., ::SPARSE, 1:] - views[..., ::SPARSE, :-1]
    down = views[..., 1:, ::SPARSE] - views[..., :-1, ::SPARSE]
    places = [(1 + 255 * apart.abs().flatten(1)).log2() * ((BINS - 1) / 8) for apart in (across, down)]
    shares = [(1 - (place - index).abs()).clamp_min(0).mean(1) for place in places for index in range(BINS)]
    # Square roots, since rare steps tell as much as frequent ones.
    return (torch.stack(shares, 1) + 1e-6).sqrt()


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of a block's side as a matrix, frequency by place."""
    frequency = torch.arange(SIDE, dtype=torch.float32, device=device)[:, None]
    place = torch.arange(SIDE, dtype=torch.float32, device=device)[None, :]
    matrix = torch.cos((2 * place + 1) * frequency * (math.pi / 2 / SIDE)) * math.sqrt(2 / SIDE)
    scale = torch.where(frequency == 0, math.sqrt(0.5), 1.0)
    return matrix * scale
