"""Attention inside windows: what SwinIR and Uformer share.

Maps are `B H W C` here, so that norms and linear layers work on the last axis and convolutions see them as
channels-last memory without a copy. Masks are computed from sizes by arithmetic, once per map size and forward pass:
a graph with free sizes can do that, and no weights file needs to hold them.

In a graph, norms and linear layers work on one list of all pixels, and attention has four axes: so engines know them
again (measured: docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.layers import in_graph

FOREIGN = -100.0
"""What is added to the score of a key from another region of the picture (the published value)."""


def partition(x: Tensor, window: int) -> Tensor:
    """Cut a map into windows, row by row: `B H W C` -> `B windows window**2 C`."""
    # Axis by axis: torch's exporter takes much longer over one reshape of several free sides.
    x = x.unflatten(2, (-1, window)).unflatten(1, (-1, window)).transpose(2, 3)
    return x.flatten(3, 4).flatten(1, 2)


def merge(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `partition`: `B windows window**2 C` -> `B H W C`."""
    x = windows.unflatten(2, (window, window)).unflatten(1, (height // window, width // window)).transpose(2, 3)
    return x.flatten(3, 4).flatten(1, 2)


def on_list(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer for every pixel, in a graph on one list of all of them: `... C` -> `... C'`."""
    return layer(x.flatten(0, -2)).unflatten(0, x.shape[:-1]) if in_graph() else layer(x)


def shift_mask(x: Tensor, window: int) -> Tensor:
    """What is added to the scores in windows of a map shifted by half a window: `B H W C` -> `windows 1 N N`.

    After the cyclic shift, the last row of windows holds pixels from both ends of the picture, half and half, and so
    does the last column. A query does not see keys from the other end.
    """
    down, across = x.shape[1] // window, x.shape[2] // window
    place = torch.arange(window * window, device=x.device)
    lower, right = place // window >= window // 2, place % window >= window // 2
    last_row = (torch.arange(down, device=x.device) == down - 1)[:, None, None, None]
    last_column = (torch.arange(across, device=x.device) == across - 1)[:, None, None]
    foreign = last_row & (lower[:, None] != lower) | last_column & (right[:, None] != right)
    return (foreign.to(x.dtype) * FOREIGN).flatten(0, 1)[:, None]


def drop_rates(count: int, most: float) -> list[float]:
    """How often the branches of blocks in a row are left out: from 0 for the first evenly to `most` for the last."""
    return [most * number / max(1, count - 1) for number in range(count)]


class DropPath(nn.Module):
    """Stochastic depth: in training, leave out a branch for some samples and enlarge it for the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(keep).div_(keep)


class SeparateProjections(nn.Module):
    """Uformer's layers for queries and for keys and values, under the names that they have there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(channels, 2 * channels)


class WindowAttention(nn.Module):
    """Attention between the pixels of a window, with a learned bias for every relative position (Swin, eq. 4).

    Args:
        channels: of the map.
        heads: of attention.
        window: side of a window.
        shifted: whether the map is shifted by half a window first, cyclically, and back afterwards.
        separate: whether queries have a layer of their own (Uformer) or share one with keys and values (Swin).

    Shapes: `B H W C` in and out; H and W must be multiples of `window`.
    """

    positions: Tensor

    def __init__(self, channels: int, heads: int, *, window: int, shifted: bool, separate: bool = False) -> None:
        super().__init__()
        self.heads, self.window, self.separate = heads, window, separate
        self.shift = window // 2 if shifted else 0
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.qkv = SeparateProjections(channels) if separate else nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        place = torch.arange(window)
        step = place[:, None] - place[None, :] + window - 1
        positions = step[:, None, :, None] * (2 * window - 1) + step[None, :, None, :]
        self.register_buffer("positions", positions.reshape(window**2, window**2), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None, modulator: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: `B H W C`.
            mask: of `shift_mask`; used where the layer is shifted.
            modulator: added to the pixels of every window, `N C` (Uformer).
        """
        _, height, width, _ = x.shape
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        windows = partition(x, self.window)
        if modulator is not None:
            windows = windows + modulator
        mask = cast("Tensor", mask) if self.shift else None
        seen = self._see_in_graph(windows, mask) if in_graph() else self._see(windows, mask)
        x = merge(on_list(self.proj, seen), self.window, height, width)
        return x.roll((self.shift, self.shift), (1, 2)) if self.shift else x

    def _bias(self) -> Tensor:
        """What is added to the score of every pair of places: `heads N N`."""
        return self.relative_position_bias_table[self.positions].permute(2, 0, 1)

    def _see(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """What every place sees of its window: `B windows N C` in and out."""
        if isinstance(self.qkv, SeparateProjections):
            (q,), (k, v) = self._split(self.qkv.to_q(windows), 1), self._split(self.qkv.to_kv(windows), 2)
        else:
            q, k, v = self._split(self.qkv(windows), 3)
        attend = _attend_step_by_step if torch.is_grad_enabled() else _attend_at_once
        return attend(q, k, v, self._bias(), mask).transpose(2, 3).flatten(3)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Parts of the channels, and heads of each: `B windows N C` -> `B windows heads N C/heads` each."""
        x = x.unflatten(-1, (parts, self.heads, -1))
        return x.permute(3, 0, 1, 4, 2, 5).unbind(0)

    def _see_in_graph(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """The same with weights of their own for queries, keys and values, of which the first are scaled."""
        batch, count, places, channels = windows.shape
        layers = (self.qkv.to_q, self.qkv.to_kv) if isinstance(self.qkv, SeparateProjections) else (self.qkv,)
        weights, biases = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
        scales = ((channels // self.heads) ** -0.5, 1, 1)
        pixels = windows.flatten(0, 2)
        q, k, v = (
            F.linear(pixels, weight * scale, bias * scale).unflatten(1, (self.heads, -1)).unflatten(0, (-1, places))
            for weight, bias, scale in zip(weights.split(channels), biases.split(channels), scales, strict=True)
        )
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) + self._bias()
        if mask is not None:
            # Not added to the bias first: an engine would fold the sum into one large constant for every layer.
            scores = scores + mask.repeat(batch, 1, 1, 1)
        seen = scores.softmax(-1) @ v.transpose(1, 2)
        return seen.transpose(1, 2).reshape(batch, count, places, channels)


def _attend_at_once(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """Attention whose scores never leave the processor's cache: `B windows heads N C/heads` in and out.

    For use only: with a gradient of the bias PyTorch has no such form, and takes a third longer than step by step.
    """
    batch, windows = q.shape[:2]
    bias = bias[None] if mask is None else bias + mask
    bias = bias.expand(batch, windows, *bias.shape[1:]).flatten(0, 1)
    # Its fast form takes four axes only.
    seen = F.scaled_dot_product_attention(*(x.flatten(0, 1) for x in (q, k, v)), attn_mask=bias)
    return seen.unflatten(0, (batch, windows))


def _attend_step_by_step(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """The same for training."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
    return (scores if mask is None else scores + mask).softmax(-1) @ v


class WindowBlock(nn.Module):
    """Attention in windows and a feed-forward network, each behind a norm and added.

    Args:
        channels: of the map.
        attn: the attention.
        mlp: the feed-forward network, `B H W C` in and out.
        modulated: whether the block has a modulator, one learned vector for every place in a window (Uformer).
        drop: share of samples that a branch is left out for in training.

    Shapes: `B H W C` in and out.
    """

    def __init__(
        self, channels: int, attn: WindowAttention, mlp: nn.Module, *, modulated: bool = False, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.modulator = nn.Embedding(attn.window**2, channels) if modulated else None
        self.norm1 = nn.LayerNorm(channels)
        self.attn = attn
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = mlp
        self.drop_path = DropPath(drop)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        modulator = self.modulator.weight if self.modulator is not None else None
        x = x + self.drop_path(self.attn(on_list(self.norm1, x), mask, modulator))
        return x + self.drop_path(self.mlp(on_list(self.norm2, x)))


class Blocks(nn.Module):
    """Blocks in a row under the name that they have in SwinIR and Uformer: `B H W C` in and out."""

    def __init__(self, blocks: Iterable[WindowBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


def position_tables(network: nn.Module) -> dict[str, Tensor]:
    """The tables of relative positions that official states of networks with windows hold."""
    return {
        f"{name}.relative_position_index": module.positions
        for name, module in network.named_modules()
        if isinstance(module, WindowAttention)
    }


def window_side(table: tuple[int, ...]) -> int:
    """The side of the windows that a relative position table of this shape was made for."""
    return (round(table[0] ** 0.5) + 1) // 2


def initialise(network: nn.Module) -> None:
    """Start linear layers as the published networks do: truncated normal of deviation 0.02, biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
