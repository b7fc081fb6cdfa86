"""Sparse random points, each drawn out by a kernel: how whatever falls through a picture is laid over it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import uniform
from unveil.degradations.convolution import layered

# Numbers added at a time on a CPU: their places and values stay in a core's own cache.
BLOCK = 2**15


def draw_points(
    density: Tensor, reach: Tensor, size: tuple[int, int], side: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw the pixels that may hold a point, in and around a picture, layer by layer.

    The law is that of one uniform number of 0..1 in every pixel, which holds a point wherever its number lies below
    the density; but only the numbers below the highest density are drawn. Drops fall on a line, on which a pixel is a
    stretch that none hits with the probability of 1 - density, and all pixels of all layers follow each other.

    Args:
        density: (B, L), the highest share of pixels with a point, in 0..1; what is above 0.9 is cut to it.
        reach: (B, L), whole numbers, how far a point of the layer can be seen, in pixels, at most side // 2.
        size: height and width of the picture.
        side: of the kernels.

    Returns:
        `highest`, the density as it was used, and of each sample N points in order: `layer`; `place`, its flat index in
        a field of height + side - 1 rows and width + side - 1 columns, whose middle the picture is; and `number`, in
        parts of the highest density, infinite for what is no point. All but the first (B, N).
    """
    highest = density.clamp(1e-12, 0.9)
    # On a CPU a few samples at a time: as many numbers as stay in a core's own cache.
    step = max(1, len(density))
    if generator.device.type == "cpu":
        pixels = (size[0] + 2 * reach) * (size[1] + 2 * reach)
        most = float((highest * pixels).sum(-1).max()) if len(density) else 0.0
        step = max(1, int(2**14 / (most + 1)))
    parts = [
        _draw_part(highest[start : start + step], reach[start : start + step], size, side, generator)
        for start in range(0, len(density), step)
    ]
    longest = max((len(part[0][0]) for part in parts), default=0)
    layer, place, number = (
        torch.cat([functional.pad(part[index], (0, longest - part[index].shape[1]), value=filling) for part in parts])
        for index, filling in enumerate((0, 0, math.inf))
    )
    return {"highest": highest, "layer": layer, "place": place, "number": number}


def _draw_part(
    density: Tensor, reach: Tensor, size: tuple[int, int], side: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Layer, place and number."""
    height, width = size
    layers = density.shape[1]
    columns = width + 2 * reach
    pixels = (height + 2 * reach) * columns
    # In double precision, because a place is the whole number of a sum of many.
    stretch = -torch.log1p(-density.double())
    ends = (stretch * pixels).cumsum(-1)
    starts = ends - stretch * pixels
    most = float(ends[:, -1].max())
    count = (density.shape[0], int(most + 6 * math.sqrt(most)) + 8)
    hits = torch.log1p(-uniform(count, generator)).double().cumsum(-1).neg_()
    layer = torch.searchsorted(ends, hits, right=True)
    is_point = layer < layers
    layer.clamp_max_(layers - 1)
    pixel = ((hits - starts.gather(1, layer)) / stretch.gather(1, layer)).floor_().clamp_min_(0)
    # A pixel that was hit twice holds one point all the same; the last of a layer is never the first of the next.
    is_point[:, 1:] &= pixel[:, 1:] != pixel[:, :-1]
    across = columns.double().gather(1, layer)
    row = (pixel / across).floor_()
    # The field of the layer lies in the middle of the whole one.
    margin = (width + side - 1 - across).div_(2)
    place = (row + margin).mul_(width + side - 1).add_(pixel).sub_(row.mul_(across)).add_(margin)
    place.clamp_max_((height + side - 1) * (width + side - 1) - 1)
    number = torch.where(is_point, uniform(count, generator), torch.inf)
    return layer, place.long(), number


def ranks(drawn: Mapping[str, Tensor], density: Tensor) -> Tensor:
    """How far below the density (B, L) of its layer each number lies, 0..1: (B, N); below 0 where there is no point."""
    share = drawn["highest"] / density.clamp_min(1e-12)
    return 1 - drawn["number"] * share.gather(1, drawn["layer"])


def laid(light: Tensor, drawn: Mapping[str, Tensor], kernels: Tensor, height: int, width: int) -> Tensor:
    """Draw out every point by the kernel of its layer, and add all up.

    Args:
        light: (B, N), how bright each point is, 0 where there is none.
        drawn: what `draw_points` gave for this size.
        kernels: (B, L, K, K), the centre at K // 2.

    Returns:
        (B, 1, height, width).
    """
    # On a CPU the few points are laid down one by one; elsewhere that would add in any order.
    return (_strewn if light.device.type == "cpu" else _convolved)(light, drawn, kernels, height, width)


def _convolved(light: Tensor, drawn: Mapping[str, Tensor], kernels: Tensor, height: int, width: int) -> Tensor:
    batch, layers, side = kernels.shape[:3]
    rows, columns = height + side - 1, width + side - 1
    fields = torch.zeros(batch, layers * rows * columns, device=light.device)
    fields.scatter_add_(1, drawn["layer"] * (rows * columns) + drawn["place"], light)
    return layered(fields.view(batch, layers, rows, columns), kernels, height, width)


def _strewn(light: Tensor, drawn: Mapping[str, Tensor], kernels: Tensor, height: int, width: int) -> Tensor:
    batch, layers, side = kernels.shape[:3]
    margin = side - 1
    rows, columns = height + 2 * margin, width + 2 * margin
    canvas = torch.zeros(batch * rows * columns)
    bright = torch.nonzero(light.view(-1))[:, 0]
    light, layer, place = (
        values.reshape(-1).index_select(0, bright) for values in (light, drawn["layer"], drawn["place"])
    )
    sample = torch.div(bright, drawn["layer"].shape[1], rounding_mode="floor")
    # A row of the canvas is longer than one of the field.
    place += torch.div(place, width + margin, rounding_mode="floor") * margin + sample * (rows * columns)
    kernel, tap = torch.nonzero(kernels.view(batch * layers, -1), as_tuple=True)
    weights = kernels[kernels != 0]
    tap += torch.div(tap, side, rounding_mode="floor") * (columns - side)
    points, taps = (
        torch.bincount(group, minlength=batch * layers).tolist() for group in (sample * layers + layer, kernel)
    )
    for places, lights, offsets, values in zip(
        place.split(points), light.split(points), tap.split(taps), weights.split(taps), strict=True
    ):
        step = max(1, BLOCK // max(1, len(offsets)))
        for start in range(0, len(places), step):
            part = slice(start, start + step)
            index, added = places[part, None] + offsets, lights[part, None] * values
            canvas.scatter_add_(0, index.view(-1), added.view(-1))
    whole = canvas.view(batch, 1, rows, columns)
    return whole[..., margin : margin + height, margin : margin + width]
