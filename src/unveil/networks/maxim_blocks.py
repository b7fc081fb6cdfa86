"""The blocks of MAXIM (Tu et al., CVPR 2022): mixing along blocks and grids, channel attention, gating, resizing.

Levels exchange `B C H W`; inside blocks, linear layers and norms work on `B H W C`. In a network whose memory format is
channels-last, going from one to the other moves nothing.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.layers import channels_first, channels_last, split

Axis: TypeAlias = Literal["Grid", "Block"]
"""What is mixed: the pixels at the same place of all cells of a grid, or all pixels of a block."""


class LastNorm(nn.Module):
    """Layer normalisation over the last axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta, 1e-6)


def cut(x: Tensor, axis: Axis, side: int) -> Tensor:
    """The places that are mixed, as two axes of a map.

    "Block": the picture is cut into blocks of `side` x `side` pixels, and the pixels of each are mixed. "Grid": it is
    cut into `side` x `side` cells, however large, and pixels with the same place in their cells are mixed.

    Shapes: `B H W C` -> `P side Q side R`, a view. H and W must be multiples of `side`.
    """
    _, height, width, channels = x.shape
    if axis == "Block":
        return x.reshape(-1, side, width // side, side, channels)
    return x.reshape(-1, side, height // side, side, width // side * channels)


def mix(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Mix the places of a cut, alike for everything beside them, as one product of matrices.

    Shapes: `P side Q side R` in and out (not contiguous), weight `side**2 side**2`.
    """
    side, across, rest = x.shape[1], x.shape[2], x.shape[4]
    places = x.permute(1, 3, 0, 2, 4).reshape(side * side, -1)
    mixed = weight @ places if bias is None else torch.addmm(bias[:, None], weight, places)
    return mixed.reshape(side, side, -1, across, rest).permute(2, 0, 3, 1, 4)


class GatingUnit(nn.Module):
    """Half of the channels times the other half mixed along an axis, plus one: `B H W 2C` -> `B H W C`."""

    def __init__(self, channels: int, axis: Axis, side: int) -> None:
        super().__init__()
        self.axis: Axis = axis
        self.side = side
        self.intermediate_layernorm = LastNorm(channels)
        self.Dense_0 = nn.Linear(side * side, side * side)

    def forward(self, x: Tensor) -> Tensor:
        kept, gate = split(x, -1)
        gate = cut(self.intermediate_layernorm(gate), self.axis, self.side)
        mixed = cut(kept, self.axis, self.side) * mix(gate, self.Dense_0.weight, self.Dense_0.bias + 1)
        return mixed.reshape(kept.shape)


class AxisGmlp(nn.Module):
    """A gated MLP along one axis, added to its input: `B H W C` in and out."""

    def __init__(self, channels: int, axis: Axis, side: int, *, bias: bool) -> None:
        super().__init__()
        self.LayerNorm = LastNorm(channels)
        self.in_project = nn.Linear(channels, 2 * channels, bias=bias)
        self.unit = f"{axis}GatingUnit"
        self.add_module(self.unit, GatingUnit(channels, axis, side))
        self.out_project = nn.Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.in_project(self.LayerNorm(x)))
        return x + self.out_project(self.get_submodule(self.unit)(y))


class MultiAxisGmlp(nn.Module):
    """Half of the channels mixed along a grid and half along blocks, added to the input: `B H W C` in and out."""

    def __init__(self, channels: int, side: int, *, bias: bool) -> None:
        super().__init__()
        self.LayerNorm_in = LastNorm(channels)
        self.in_project = nn.Linear(channels, 2 * channels, bias=bias)
        self.GridGmlpLayer = AxisGmlp(channels, "Grid", side, bias=bias)
        self.BlockGmlpLayer = AxisGmlp(channels, "Block", side, bias=bias)
        self.out_project = nn.Linear(2 * channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        far, near = split(F.gelu(self.in_project(self.LayerNorm_in(x))), -1)
        return x + self.out_project(torch.cat((self.GridGmlpLayer(far), self.BlockGmlpLayer(near)), -1))


class SqueezedAttention(nn.Module):
    """Channels scaled by what a small network makes of their global means: `B C H W` in and out."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.Conv_0 = nn.Conv2d(channels, channels // 4, 1, bias=bias)
        self.Conv_1 = nn.Conv2d(channels // 4, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.Conv_1(F.relu(self.Conv_0(x.mean((2, 3), keepdim=True)))))


class ConvolvedAttention(nn.Module):
    """Residual channel attention behind two 3x3 convolutions (RCAB): `B H W C` in and out."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.LayerNorm = LastNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        # Its convolutions have a bias even in ConStyle's form, which has none elsewhere.
        self.channel_attention = SqueezedAttention(channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.leaky_relu(self.conv1(channels_first(self.LayerNorm(x))), 0.2))
        return x + channels_last(self.channel_attention(y))


class ChannelMixing(nn.Module):
    """An MLP of every pixel: `B H W C` in and out."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.Dense_0 = nn.Linear(channels, channels, bias=bias)
        self.Dense_1 = nn.Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.Dense_1(F.gelu(self.Dense_0(x)))


class DenseAttention(nn.Module):
    """Residual channel attention behind an MLP (RDCAB): `B H W C` in and out."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.LayerNorm = LastNorm(channels)
        self.channel_mixing = ChannelMixing(channels, bias=bias)
        self.channel_attention = SqueezedAttention(channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + channels_last(self.channel_attention(channels_first(self.channel_mixing(self.LayerNorm(x)))))


class Bottleneck(nn.Module):
    """The block of the innermost level: `B C H W` in and out."""

    def __init__(self, channels: int, side: int, *, bias: bool = True) -> None:
        super().__init__()
        self.input_proj = nn.Conv2d(channels, channels, 1)
        self.SplitHeadMultiAxisGmlpLayer_0 = MultiAxisGmlp(channels, side, bias=bias)
        self.channel_attention_block_1_0 = DenseAttention(channels, bias=bias)
        self.SplitHeadMultiAxisGmlpLayer_1 = MultiAxisGmlp(channels, side, bias=bias)
        self.channel_attention_block_1_1 = DenseAttention(channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = channels_last(self.input_proj(x))
        y = self.channel_attention_block_1_0(self.SplitHeadMultiAxisGmlpLayer_0(shortcut))
        y = self.channel_attention_block_1_1(self.SplitHeadMultiAxisGmlpLayer_1(y))
        return channels_first(shortcut + y)


class MultiAxisGate(nn.Module):
    """The gate of cross gating, half mixed along a grid and half along blocks: `B H W C` in and out."""

    def __init__(self, channels: int, side: int, *, bias: bool) -> None:
        super().__init__()
        self.side = side
        self.LayerNorm_in = LastNorm(channels)
        self.in_project = nn.Linear(channels, 2 * channels, bias=bias)
        self.Dense_0 = nn.Linear(side * side, side * side, bias=bias)
        self.Dense_1 = nn.Linear(side * side, side * side, bias=bias)
        self.out_project = nn.Linear(2 * channels, channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        far, near = split(F.gelu(self.in_project(self.LayerNorm_in(x))), -1)
        far = mix(cut(far, "Grid", self.side), self.Dense_0.weight, self.Dense_0.bias).reshape(far.shape)
        near = mix(cut(near, "Block", self.side), self.Dense_1.weight, self.Dense_1.bias).reshape(near.shape)
        return self.out_project(torch.cat((far, near), -1))


class CrossGating(nn.Module):
    """Two maps that gate each other: a level's signals and what comes from the level below.

    Args:
        signals: channels of x.
        channels: of both results.
        below: channels of y, which has half the resolution of x; None if it already has x's size and `channels`.
        side: of blocks and grids.
        bias: of all layers.

    Shapes: x `B signals H W`, y `B below H/2 W/2` -> both `B channels H W`.
    """

    def __init__(self, signals: int, channels: int, below: int | None, side: int, *, bias: bool = True) -> None:
        super().__init__()
        if below is not None:
            self.ConvTranspose_0 = nn.ConvTranspose2d(below, channels, 2, stride=2, bias=bias)
        self.Conv_0 = nn.Conv2d(signals, channels, 1, bias=bias)
        self.Conv_1 = nn.Conv2d(channels, channels, 1, bias=bias)
        self.LayerNorm_x = LastNorm(channels)
        self.in_project_x = nn.Linear(channels, channels, bias=bias)
        self.SplitHeadMultiAxisGating_x = MultiAxisGate(channels, side, bias=bias)
        self.LayerNorm_y = LastNorm(channels)
        self.in_project_y = nn.Linear(channels, channels, bias=bias)
        self.SplitHeadMultiAxisGating_y = MultiAxisGate(channels, side, bias=bias)
        self.out_project_y = nn.Linear(channels, channels, bias=bias)
        self.out_project_x = nn.Linear(channels, channels, bias=bias)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x = channels_last(self.Conv_0(x))
        y = channels_last(self.Conv_1(self.ConvTranspose_0(y)))
        inner_x = F.gelu(self.in_project_x(self.LayerNorm_x(x)))
        inner_y = F.gelu(self.in_project_y(self.LayerNorm_y(y)))
        y = y + self.out_project_y(inner_y * self.SplitHeadMultiAxisGating_x(inner_x))
        x = x + y + self.out_project_x(inner_x * self.SplitHeadMultiAxisGating_y(inner_y))
        return channels_first(x), channels_first(y)


class LevelBlock(nn.Module):
    """The block of an encoder's or decoder's level; the concatenation of two maps goes in.

    `cross_gating_block` serves MAXIM's further stages. Networks of one stage have it, with weights, and never call it.

    Args:
        taken: channels that go in.
        channels: that come out.
        side: of blocks and grids.
        down: whether there is a convolution `Conv_1` that halves the resolution; the network calls it.
        bias: of most layers.

    Shapes: `B taken H W` -> `B channels H W`.
    """

    def __init__(self, taken: int, channels: int, side: int, *, down: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.Conv_0 = nn.Conv2d(taken, channels, 1, bias=bias)
        self.SplitHeadMultiAxisGmlpLayer_0 = MultiAxisGmlp(channels, side, bias=bias)
        self.channel_attention_block_10 = ConvolvedAttention(channels, bias=bias)
        self.SplitHeadMultiAxisGmlpLayer_1 = MultiAxisGmlp(channels, side, bias=bias)
        self.channel_attention_block_11 = ConvolvedAttention(channels, bias=bias)
        self.cross_gating_block = CrossGating(channels, channels, None, side, bias=bias)
        if down:
            self.Conv_1 = nn.Conv2d(channels, channels, 4, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = channels_last(self.Conv_0(x))
        y = self.channel_attention_block_10(self.SplitHeadMultiAxisGmlpLayer_0(shortcut))
        y = self.channel_attention_block_11(self.SplitHeadMultiAxisGmlpLayer_1(y))
        return channels_first(shortcut + y)


class Projection(nn.Module):
    """A map at the resolution and width of another level (`UpSampleRatio`): `B taken H W` -> `B channels H' W'`.

    Enlarging comes after the 1x1 convolution, shrinking before it: the published order does not matter, since the
    weights of a resize sum to one, and fewer pixels are convolved.
    """

    def __init__(self, taken: int, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.Conv_0 = nn.Conv2d(taken, channels, 1, bias=bias)

    def forward(self, x: Tensor, doublings: int) -> Tensor:
        return resize(self.Conv_0(x), doublings) if doublings >= 0 else self.Conv_0(resize(x, doublings))


def resize(x: Tensor, doublings: int) -> Tensor:
    """Enlarge by `2**doublings`, or shrink for a negative number: bilinear, antialiased, corners not aligned.

    Equal to `F.interpolate(..., mode="bilinear", antialias=True)` for these factors, and faster: enlarging has nothing
    to antialias, and shrinking is a convolution with a triangle, renormalised where it reaches over the border.

    Shapes: `B C H W` -> `B C H*f W*f`; the sides must be multiples of the divisor when shrinking.
    """
    if doublings == 0:
        return x
    height, width = x.shape[-2:]
    if doublings > 0:
        factor = 2**doublings
        return F.interpolate(x, (height * factor, width * factor), mode="bilinear")
    factor = 2**-doublings
    places = torch.arange(2 * factor, dtype=x.dtype, device=x.device) + 0.5 - factor
    triangle = (1 - places.abs() / factor) / factor
    kernel = (triangle[:, None] * triangle)[None, None]
    reach = {"stride": factor, "padding": factor // 2}
    inside = F.conv2d(torch.ones_like(x[:1, :1]), kernel, **reach)
    return F.conv2d(x, kernel.expand(x.shape[1], -1, -1, -1), groups=x.shape[1], **reach) / inside


def pick(image: Tensor, factor: int) -> Tensor:
    """Every `factor`-th pixel, from the one at `factor // 2` on (nearest neighbours): `B C H W` -> `B C H/f W/f`."""
    if factor == 1:
        return image
    height, width = image.shape[-2:]
    cells = image.reshape(*image.shape[:2], height // factor, factor, width // factor, factor)
    return cells[:, :, :, factor // 2, :, factor // 2]
