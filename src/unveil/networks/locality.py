"""Networks with global statistics, made local: every place takes them of a window around it, not of the whole picture.

The idea is TLC's (Chu et al., ECCV 2022, arXiv 2112.04491): a network that was trained on patches met statistics of
patches, and in windows of about 1.5 times their side it meets such again, however large the picture is. Nothing is
trained, and the weights stay. Tiles then agree as far as they see the same windows.

Windows lie on a grid, and what they give is spread over the places between them, which is ours:

- NAFNet's channel attention takes means of windows an eighth of their side apart and interpolates between them. As
  sums over a window around each pixel (the published form) it costs four times as much (docs/performance.md).
- Restormer's attention works on blocks of half a window, and a window is two by two of them: its products are sums of
  theirs. A pixel lies in up to four windows whose results the publication averages; averaging what weighs the values
  is the same, and so nothing is computed twice.

Windows lie within the picture, also at its edges, and a picture no larger than one is restored as without them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.base import CodedNetwork, Network
from unveil.networks.layers import Norm, parts
from unveil.networks.nafnet_blocks import NAFBlock
from unveil.networks.restormer_blocks import ChannelAttention

FINENESS = 8
"""Into how many steps the side of a window of means is divided, about."""
LARGEST = 1024


def localised(network: Network, window: int) -> Network:
    """The same network, its statistics of the whole picture taken of windows; changed in place.

    Args:
        network: NAFNet, FastNAF with attention, Restormer or X-Restormer.
        window: side of the windows, in pixels of the picture.

    Raises:
        ValueError: it takes no such statistics, or others besides; or no windows of this side fit it.
    """
    kind = type(network).__name__
    levels = [] if isinstance(network, CodedNetwork) or not network.gatherable else _levels(network)
    if not levels:
        raise ValueError(
            f"a {kind} of this form takes no statistics of the whole picture, or others than windows can give; they "
            "can be made local for NAFNet, FastNAF with attention, Restormer and X-Restormer"
        )
    attends = any(isinstance(layer, ChannelAttention) for layer, _ in levels)
    multiple = network.size_multiple * (2 if attends else 1)
    if window % multiple or not 2 * multiple <= window <= LARGEST:
        near = min(max(round(window / multiple), 2), LARGEST // multiple) * multiple
        raise ValueError(
            f"windows of {window} pixels do not fit this {kind}: their side is a multiple of {multiple}, from "
            f"{2 * multiple} to {LARGEST}; take {near}"
        )
    step = window // 2 if attends else max(1, round(window / FINENESS / multiple)) * multiple
    for layer, stride in levels:
        if isinstance(layer, ChannelAttention):
            del layer.whole
            layer.__class__ = BlockAttention
            cast("BlockAttention", layer).block = step // stride
        else:
            layer.sca = WindowedScale(layer.sca[1], window=window // stride, step=step // stride)
    network.span, network.step = window, step
    return network


def _levels(network: Network) -> list[tuple[Any, int]]:
    """The layers with statistics of the whole picture, and how many pixels of it each of theirs is wide."""
    found: list[tuple[Any, int]] = []
    side = network.size_multiple

    def note(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append((layer, side // inputs[0].shape[-1]))

    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, ChannelAttention) or (isinstance(layer, NAFBlock) and layer.sca is not None)
    ]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    like = next(network.parameters())
    try:
        with torch.no_grad():
            network.encode(torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device))
    finally:
        for hook in hooks:
            hook.remove()
    return found


class WindowedScale(nn.Module):
    """NAFNet's channel attention (`sca`) by means of windows: what features are multiplied with, `B C H W` in and out.

    The convolution behind the mean is applied to the few means, before they are interpolated.

    Args:
        convolution: 1x1, learned.
        window: side of a window, in pixels of the map.
        step: from window to window.
    """

    def __init__(self, convolution: nn.Module, *, window: int, step: int) -> None:
        super().__init__()
        # The name that it has in NAFNet, behind the mean.
        self.add_module("1", convolution)
        self.window, self.step = window, step

    def forward(self, x: Tensor) -> Tensor:
        (gather_rows, spread_rows), (gather_columns, spread_columns) = (
            window_means(x.shape[axis], self.window, self.step, x) for axis in (2, 3)
        )
        means = gather_rows @ (x @ gather_columns.T)
        return spread_rows @ self.get_submodule("1")(means) @ spread_columns.T


def window_means(side: int, window: int, step: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """What takes means of windows along a side, and what interpolates between them.

    Returns:
        `windows side`: each row averages one window; and `side windows`: each row gives a place its share of the two
        windows whose middles it lies between.
    """
    last = (cast("int", torch.sym_max(side - window, 0)) + step - 1) // step
    # One more than there are, of no share: a graph for any side must not have been traced with a single one.
    begin = torch.arange(last + 2, device=like.device)[:, None] * step
    place = torch.arange(side, device=like.device)
    inside = ((place >= begin) & (place < begin + window)).float()
    gather = inside / inside.sum(1, keepdim=True).clamp_min(1)
    at = ((place + (0.5 - window / 2)) / step).clamp(0, last)[:, None]
    spread = (1 - (at - torch.arange(last + 2, device=like.device)).abs()).clamp_min(0)
    return gather.to(like.dtype), spread.to(like.dtype)


class BlockAttention(ChannelAttention):
    """Restormer's attention between channels, in windows of two by two blocks that overlap by half.

    Shapes: `B C H W` in and out.
    """

    block: int
    """Side of a block in pixels of the map."""

    def forward(self, x: Tensor, norm: Norm | None = None) -> Tensor:
        height, width = x.shape[2:]
        cut = partial(blocks, side=self.block)
        q, k, v = map(cut, parts(x, (self.qkv, self.qkv_dwconv), 3, norm))
        q, k = (part.unflatten(3, (self.heads, -1)) for part in (q, k))
        squares = (part.square().sum(-1, keepdim=True) for part in (q, k))
        sums = map(_over_windows, (*squares, q @ k.transpose(-2, -1)))
        seen = self.project(_over_blocks(self.weigh(*sums))) @ v
        return joined(seen, self.block)[..., :height, :width]


def blocks(x: Tensor, side: int) -> Tensor:
    """Cut a map into blocks, at least two a side; what lacks at the ends is zero: `B C H W` -> `B down across C N`."""
    down, across = (cast("int", torch.sym_max((length + side - 1) // side, 2)) for length in x.shape[2:])
    x = F.pad(x, (0, across * side - x.shape[3], 0, down * side - x.shape[2]))
    return x.unflatten(3, (across, side)).unflatten(2, (down, side)).permute(0, 2, 4, 1, 3, 5).flatten(4)


def joined(x: Tensor, side: int) -> Tensor:
    """The inverse of `blocks`, with what was added: `B down across C N` -> `B C H W`."""
    return x.unflatten(4, (side, side)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def _over_windows(x: Tensor) -> Tensor:
    """Sums over blocks become sums over the windows that begin with them; the last window of a side stands twice."""
    for axis in (1, 2):
        first = torch.arange(x.shape[axis], device=x.device).clamp_max(x.shape[axis] - 2)
        x = x.index_select(axis, first) + x.index_select(axis, first + 1)
    return x


def _over_blocks(x: Tensor) -> Tensor:
    """What windows give becomes what blocks get: the mean of those that they lie in."""
    for axis in (1, 2):
        before = (torch.arange(x.shape[axis], device=x.device) - 1).clamp_min(0)
        x = (x + x.index_select(axis, before)) / 2
    return x
