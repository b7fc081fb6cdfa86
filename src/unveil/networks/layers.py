"""Layers that several networks share.

Written for speed without changing the published arithmetic (`docs/architecture.md` says how a network is added).
Parameter names are those of the official implementations, so that official weights fit by name.

Some layers have a second form for graphs, which engines run faster (measured: docs/performance.md): there, a layer may
take its neighbours' weights apart and join them, since an engine computes what depends on weights alone only once.
PyTorch would do so for every picture, and training may listen to the layers, so elsewhere each is called as it is; but
for residual scales, which are in the weights everywhere (`scaled`), and for attention between channels
(`restormer_blocks`) where nothing is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def channels_first(x: Tensor) -> Tensor:
    """`B H W C` -> `B C H W`, without a copy."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """`B C H W` -> `B H W C`, without a copy."""
    return x.permute(0, 2, 3, 1)


def in_graph() -> bool:
    """Whether the network is being written as a graph."""
    return torch.compiler.is_exporting()


def split(x: Tensor, dim: int, count: int = 2) -> tuple[Tensor, ...]:
    """Cut an axis into equal parts."""
    if torch.is_grad_enabled():
        # Its gradient is one concatenation; that of slices fills maps with zeros first, a tenth of a step.
        return x.chunk(count, dim)
    # In an ONNX graph, `chunk` becomes a slow sequence.
    size = x.shape[dim] // count
    return tuple(x.narrow(dim, index * size, size) for index in range(count))


def parts(
    x: Tensor,
    convolutions: Sequence[nn.Conv2d],
    count: int,
    norm: ChannelNorm | Norm | None = None,
    *,
    filled: bool = False,
) -> tuple[Tensor, ...]:
    """What a norm and convolutions in a row make of a map, its channels in equal parts.

    In a graph each part has convolutions of its own, and weight and bias of the norm are in those of the first
    convolution: cutting a map, and scaling it between a norm and a convolution, cost a copy each in engines.

    Args:
        x: `B C H W`.
        convolutions: the first of them 1x1, the others depthwise.
        count: of the parts.
        norm: what comes before the first.
        filled: whether parts get channels of zeros in a graph, as `fill` says.
    """
    if in_graph():
        return _parts_in_graph(x, convolutions, count, norm.body if isinstance(norm, Norm) else norm, filled)
    x = x if norm is None else norm(x)
    for convolution in convolutions:
        x = convolution(x)
    return split(x, 1, count)


def _parts_in_graph(
    x: Tensor, convolutions: Sequence[nn.Conv2d], count: int, norm: ChannelNorm | None, filled: bool
) -> tuple[Tensor, ...]:
    first = convolutions[0]
    weight, bias = first.weight, first.bias
    if norm is not None:
        x = norm.normalise(x)
        if norm.bias is not None:
            shift = weight.flatten(1) @ norm.bias
            bias = shift if bias is None else bias + shift
        weight = weight * norm.weight.reshape(-1, 1, 1)
    found = [F.conv2d(x, *own) for own in _cut(weight, bias, count, filled)]
    for conv in convolutions[1:]:
        cut = zip(found, _cut(conv.weight, conv.bias, count, filled), strict=True)
        padding = cast("tuple[int, int]", conv.padding)
        found = [F.conv2d(part, *own, padding=padding, groups=len(own[0])) for part, own in cut]
    return tuple(found)


def _cut(weight: Tensor, bias: Tensor | None, count: int, filled: bool) -> list[tuple[Tensor, Tensor | None]]:
    """Weight and bias of the equal parts of a convolution's channels."""
    size = weight.shape[0] // count
    weights = weight.split(size)
    biases = [None] * count if bias is None else bias.split(size)
    if filled:
        weights = [fill(part) for part in weights]
        biases = [None if part is None else fill(part) for part in biases]
    return list(zip(weights, biases, strict=True))


LANES = 16
"""Numbers that the processors of today work on at once, and channels that engines keep together."""


def fill(weight: Tensor, axis: int = 0) -> Tensor:
    """Zeros behind a weight, up to the next multiple of `LANES` along an axis.

    For channels inside a block, in a graph: where their number is no such multiple, engines work on the rest channel by
    channel, in depthwise convolutions above all. Nothing is added to the result but zeros.
    """
    missing = -weight.shape[axis] % LANES
    if not missing:
        return weight
    sides = list(weight.shape)
    sides[axis] = missing
    return torch.cat((weight, weight.new_zeros(sides)), axis)


def gelu(x: Tensor) -> Tensor:
    """GELU; in a graph in the one order of operations that ONNX Runtime knows again as GELU."""
    return x * (torch.erf(x / 2**0.5) + 1) * 0.5 if in_graph() else F.gelu(x)


def scaled(x: Tensor, convolution: nn.Conv2d, scale: Tensor) -> Tensor:
    """A convolution with a bias and then a scale for every channel, `1 C 1 1`.

    The weights are scaled instead of the map: as exact, and a tenth of a training step. Where something listens to the
    convolution (an adapter that depends on the picture), it is called as it is.
    """
    if convolution._forward_hooks and not in_graph():
        return convolution(x) * scale
    assert convolution.bias is not None
    weight, bias = convolution.weight * scale.reshape(-1, 1, 1, 1), convolution.bias * scale.flatten()
    padding = cast("tuple[int, int]", convolution.padding)
    return F.conv2d(x, weight, bias, convolution.stride, padding, convolution.dilation)


class ChannelNorm(nn.Module):
    """A normalisation over the channels of every pixel, and then a weight for each, and a bias if it has one.

    Shapes: `B C H W` in and out.
    """

    bias: nn.Parameter | None

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def normalise(self, x: Tensor) -> Tensor:
        """The norm without weight and bias."""
        raise NotImplementedError


class LayerNorm2d(ChannelNorm):
    """Layer normalisation over the channels of every pixel, with weight and bias (biased variance).

    The permutation to channels-last costs nothing where the memory already is in that order, and the fused kernel
    behind it is faster than the mean form.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps)
        self.bias = nn.Parameter(torch.zeros(channels))

    def normalise(self, x: Tensor) -> Tensor:
        # OpenVINO knows the norm again only on lists of pixels.
        pixels = F.layer_norm(x.flatten(2).transpose(1, 2), (x.shape[1],), eps=self.eps)
        return pixels.transpose(1, 2).unflatten(2, x.shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        return channels_first(F.layer_norm(channels_last(x), (x.shape[1],), self.weight, self.bias, self.eps))


class BiasFreeNorm2d(ChannelNorm):
    """Restormer's norm without bias: divided by the deviation around the mean, but the mean is not taken away."""

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps)
        self.bias = None

    def normalise(self, x: Tensor) -> Tensor:
        return x * (x.var(1, keepdim=True, correction=0) + self.eps).rsqrt()

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(x) * self.weight[:, None, None]


class Norm(nn.Module):
    """The norm of Restormer's family under the name that it has there (`norm1.body.weight`)."""

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.body = LayerNorm2d(channels) if bias else BiasFreeNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def halve(before: int, after: int) -> nn.Sequential:
    """Halve the resolution: conv 3x3 to a quarter of the channels, then pixel-unshuffle."""
    return nn.Sequential(nn.Conv2d(before, after // 4, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def double(before: int, after: int) -> nn.Sequential:
    """Double the resolution: conv 3x3 to four times the channels, then pixel-shuffle."""
    return nn.Sequential(nn.Conv2d(before, 4 * after, 3, padding=1, bias=False), nn.PixelShuffle(2))


class Whole:
    """Hands on what a layer sums up over all pixels of the picture; a listener may note it, or know better.

    So whoever works on tiles can give them the numbers of the whole picture (`unveil.networks.gathering`). A layer has
    it under the name `whole`; it is no module, since it has no weights and whoever listens to modules need not hear it.
    """

    listener: Callable[[Tensor, int], Tensor] | None = None

    def __call__(self, total: Tensor, pixels: int) -> Tensor:
        return total if self.listener is None else self.listener(total, pixels)


class GlobalMean(nn.Module):
    """The mean over all pixels: `B C H W` -> `B C 1 1`."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = Whole()

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x.mean((2, 3), keepdim=True), 1)
