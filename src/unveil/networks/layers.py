"""Layers that several networks share.

Written for speed without changing the published arithmetic (`docs/architecture.md` says how a network is added).
Parameter names are those of the official implementations, so that official weights fit by name.

Some layers have a second form for graphs, which engines run faster (measured: docs/performance.md): there, a layer may
take its neighbours' weights apart and join them, since an engine computes what depends on weights alone only once.
PyTorch would do so for every picture, and training may listen to the layers, so elsewhere each is called as it is; but
for residual scales, which are in the weights everywhere (`scaled`).
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
    x: Tensor, convolutions: Sequence[nn.Conv2d], count: int, norm: ChannelNorm | Norm | None = None
) -> tuple[Tensor, ...]:
    """What a norm and convolutions in a row make of a map, its channels in equal parts.

    In a graph each part has convolutions of its own, and weight and bias of the norm are in those of the first
    convolution: cutting a map, and scaling it between a norm and a convolution, cost a copy each in engines.

    Args:
        x: `B C H W`.
        convolutions: the first of them 1x1, the others depthwise.
        count: of the parts.
        norm: what comes before the first.
    """
    if in_graph():
        return _parts_in_graph(x, convolutions, count, norm.body if isinstance(norm, Norm) else norm)
    x = x if norm is None else norm(x)
    for convolution in convolutions:
        x = convolution(x)
    return split(x, 1, count)


def _parts_in_graph(
    x: Tensor, convolutions: Sequence[nn.Conv2d], count: int, norm: ChannelNorm | None
) -> tuple[Tensor, ...]:
    first = convolutions[0]
    weight, bias = first.weight, first.bias
    if norm is not None:
        x = norm.normalise(x)
        if norm.bias is not None:
            shift = weight.flatten(1) @ norm.bias
            bias = shift if bias is None else bias + shift
        weight = weight * norm.weight.reshape(-1, 1, 1)
    found = [F.conv2d(x, *own) for own in _cut(weight, bias, count)]
    for conv in convolutions[1:]:
        groups = conv.groups // count
        cut = zip(found, _cut(conv.weight, conv.bias, count), strict=True)
        padding = cast("tuple[int, int]", conv.padding)
        found = [F.conv2d(part, *own, padding=padding, groups=groups) for part, own in cut]
    return tuple(found)


def _cut(weight: Tensor, bias: Tensor | None, count: int) -> list[tuple[Tensor, Tensor | None]]:
    """Weight and bias of the equal parts of a convolution's channels."""
    size = weight.shape[0] // count
    biases = [None] * count if bias is None else bias.split(size)
    return list(zip(weight.split(size), biases, strict=True))


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


class PatchEmbedding(nn.Module):
    """The first 3x3 convolution of Restormer's family (`patch_embed.proj`)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


def halve(before: int, after: int) -> nn.Sequential:
    """Halve the resolution: conv 3x3 to a quarter of the channels, then pixel-unshuffle."""
    return nn.Sequential(nn.Conv2d(before, after // 4, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def double(before: int, after: int) -> nn.Sequential:
    """Double the resolution: conv 3x3 to four times the channels, then pixel-shuffle."""
    return nn.Sequential(nn.Conv2d(before, 4 * after, 3, padding=1, bias=False), nn.PixelShuffle(2))


class Downsample(nn.Module):
    """Halve the resolution and double the channels (Restormer)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = halve(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Upsample(nn.Module):
    """Double the resolution and halve the channels (Restormer)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = double(channels, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Whole:
    """Hands on what a layer sums up over all pixels of the picture; a listener may note it, or know better.

    So whoever works on tiles can give them the numbers of the whole picture (`unveil.networks.gathering`). A layer has
    it under the name `whole`; it is no module, since it has no weights and whoever listens to modules need not hear it.
    """

    listener: Callable[[Tensor, int], Tensor] | None = None

    def __call__(self, total: Tensor, pixels: int) -> Tensor:
        return total if self.listener is None else self.listener(total, pixels)


class ChannelAttention(nn.Module):
    """Multi-Dconv head transposed attention (MDTA; Restormer, CVPR 2022, eq. 1 and 2): attention between channels.

    Queries and keys are normalised over all pixels, so the result depends on the whole input. The small
    channels-by-channels product is divided by the norms instead of normalising the two large maps: the same value for
    less memory traffic.

    `norm`, where given, is applied first. Shapes: `B C H W` in and out; C must be a multiple of `heads`.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.whole = Whole()
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor, norm: Norm | None = None) -> Tensor:
        _, channels, height, width = x.shape
        heads = (self.heads, channels // self.heads)
        q, k, v = (part.flatten(2).unflatten(1, heads) for part in parts(x, (self.qkv, self.qkv_dwconv), 3, norm))
        norm_q, norm_k = (
            self.whole(part.square().sum(-1, keepdim=True), height * width).sqrt().clamp_min(1e-12) for part in (q, k)
        )
        product = self.whole(q @ k.transpose(-2, -1), height * width)
        attention = (product / (norm_q * norm_k.transpose(-2, -1)) * self.temperature).softmax(-1)
        if in_graph():
            # One pass over the map instead of two: `attention` is as small as the weights that follow it.
            after = self.project_out.weight.reshape(channels, *heads).transpose(0, 1) @ attention
            return (after.transpose(1, 2).flatten(2) @ v.flatten(1, 2)).unflatten(2, (height, width))
        return self.project_out((attention @ v).reshape(-1, channels, height, width))


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network (GDFN; Restormer, eq. 3). Hidden width is `int(channels * factor)`.

    `norm`, where given, is applied first. Shapes: `B C H W` in and out.
    """

    def __init__(self, channels: int, factor: float) -> None:
        super().__init__()
        self.hidden = int(channels * factor)
        self.project_in = nn.Conv2d(channels, 2 * self.hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * self.hidden, 2 * self.hidden, 3, padding=1, groups=2 * self.hidden, bias=False)
        self.project_out = nn.Conv2d(self.hidden, channels, 1, bias=False)

    def forward(self, x: Tensor, norm: Norm | None = None) -> Tensor:
        first, second = parts(x, (self.project_in, self.dwconv), 2, norm)
        return self.project_out(gelu(first) * second)


class RestormerBlock(nn.Module):
    """Channel attention and gated feed-forward, each behind a norm and added (Restormer, Fig. 2).

    Shapes: `B C H W` in and out.
    """

    def __init__(self, channels: int, heads: int, *, factor: float = 2.66, bias: bool = True) -> None:
        super().__init__()
        self.norm1 = Norm(channels, bias=bias)
        self.attn = ChannelAttention(channels, heads)
        self.norm2 = Norm(channels, bias=bias)
        self.ffn = GatedFeedForward(channels, factor)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x, self.norm1)
        return x + self.ffn(x, self.norm2)


class RelativePositions(nn.Module):
    """Learned terms for the row and column distance between a query and a key (X-Restormer's tables)."""

    def __init__(self, reach: int, dim_head: int) -> None:
        super().__init__()
        self.rel_height = nn.Parameter(torch.randn(2 * reach - 1, dim_head) * dim_head**-0.5)
        self.rel_width = nn.Parameter(torch.randn(2 * reach - 1, dim_head) * dim_head**-0.5)


class OverlappingAttention(nn.Module):
    """Overlapping cross-attention (OCA; X-Restormer, ECCV 2024): queries of a window see the keys of a larger one.

    Queries come from `window` x `window` windows, keys and values from windows half as large again, taken at the same
    stride over zero padding. Scores are the scaled products plus relative position terms; those are folded into
    the product by appending them to the queries and one-hot rows to the keys, which is faster than adding them.

    `norm`, where given, is applied first. Shapes: `B C H W` in and out; H and W must be multiples of `window`.
    """

    distance: Tensor
    places: Tensor

    def __init__(self, channels: int, heads: int, *, dim_head: int, window: int = 8) -> None:
        super().__init__()
        self.heads, self.dim_head, self.window = heads, dim_head, window
        self.reach = window + window // 2
        self.qkv = nn.Conv2d(channels, 3 * heads * dim_head, 1, bias=False)
        self.rel_pos_emb = RelativePositions(self.reach, dim_head)
        self.project_out = nn.Conv2d(heads * dim_head, channels, 1, bias=False)
        query, key = torch.arange(window), torch.arange(self.reach)
        distance = key[None, :] - query[:, None] + self.reach - 1
        columns = F.one_hot(key.repeat(self.reach), self.reach).T
        rows = F.one_hot(key.repeat_interleave(self.reach), self.reach).T
        self.register_buffer("distance", distance, persistent=False)
        self.register_buffer("places", torch.cat((columns, rows)).float(), persistent=False)

    def forward(self, x: Tensor, norm: Norm | None = None) -> Tensor:
        height, width = x.shape[-2:]
        size, reach, heads, dim = self.window, self.reach, self.heads, self.dim_head
        down, across = height // size, width // size
        inner = heads * dim
        (mixed,) = parts(x, (self.qkv,), 1, norm)
        q = mixed[:, :inner].reshape(-1, heads, dim, down, size, across, size) * dim**-0.5
        q = q.permute(0, 1, 3, 5, 4, 6, 2)
        near = F.pad(mixed[:, inner:], [(reach - size) // 2] * 4).unfold(2, reach, size).unfold(3, reach, size)
        near = near.reshape(-1, 2, heads, dim, down, across, reach * reach).permute(1, 0, 2, 4, 5, 3, 6)
        k, v = near[0], near[1]
        by_column = torch.einsum("bhyxijd,jld->bhyxijl", q, self.rel_pos_emb.rel_width[self.distance])
        by_row = torch.einsum("bhyxijd,ild->bhyxijl", q, self.rel_pos_emb.rel_height[self.distance])
        queries = torch.cat((q, by_column, by_row), -1).flatten(4, 5)
        keys = torch.cat((k, self.places.to(k.dtype).expand(*k.shape[:-2], -1, -1)), -2)
        seen = (queries @ keys).softmax(-1) @ v.transpose(-2, -1)
        seen = seen.reshape(-1, heads, down, across, size, size, dim).permute(0, 1, 6, 2, 4, 3, 5)
        return self.project_out(seen.reshape(-1, inner, height, width))


class XBlock(nn.Module):
    """X-Restormer's block: channel attention, feed-forward, spatial attention, feed-forward, each behind a norm, added.

    Without `spatial` only the first two remain: Restormer's block.

    Shapes: `B C H W` in and out.
    """

    def __init__(self, channels: int, heads: int, *, factor: float, dim_head: int, spatial: bool = True) -> None:
        super().__init__()
        self.norm1 = Norm(channels)
        self.channel_attn = ChannelAttention(channels, heads)
        self.norm2 = Norm(channels)
        self.channel_ffn = GatedFeedForward(channels, factor)
        self.spatial = spatial
        if spatial:
            self.norm3 = Norm(channels)
            self.spatial_attn = OverlappingAttention(channels, heads, dim_head=dim_head)
            self.norm4 = Norm(channels)
            self.spatial_ffn = GatedFeedForward(channels, factor)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.channel_attn(x, self.norm1)
        x = x + self.channel_ffn(x, self.norm2)
        if self.spatial:
            x = x + self.spatial_attn(x, self.norm3)
            x = x + self.spatial_ffn(x, self.norm4)
        return x


class Prompt(nn.Module):
    """PromptIR's prompt block: components weighted by the input, resized to it and convolved.

    Shapes: `B C H W` -> `B dim H W`.
    """

    def __init__(self, channels: int, dim: int, size: int, components: int = 5) -> None:
        super().__init__()
        self.prompt_param = nn.Parameter(torch.rand(1, components, dim, size, size))
        self.linear_layer = nn.Linear(channels, components)
        self.conv3x3 = nn.Conv2d(dim, dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        shares = self.linear_layer(x.mean((2, 3))).softmax(1)
        _, components, dim, size, _ = self.prompt_param.shape
        prompt = (shares @ self.prompt_param.reshape(components, -1)).reshape(-1, dim, size, size)
        return self.conv3x3(F.interpolate(prompt, x.shape[-2:], mode="bilinear"))


class GlobalMean(nn.Module):
    """The mean over all pixels: `B C H W` -> `B C 1 1`."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = Whole()

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x.mean((2, 3), keepdim=True), 1)


class NAFBlock(nn.Module):
    """NAFNet's block: spatial mixing (1x1, depthwise 3x3, gate, 1x1), then channel mixing (1x1, gate, 1x1).

    The residual scales start at zero. With `attention`, the gated features are scaled by their own global mean
    (NAFNet's simplified channel attention), which makes the block, and so the network, global.

    Shapes: `B C H W` in and out.
    """

    def __init__(self, channels: int, *, attention: bool = True) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(channels, eps=1e-6)
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.sca = nn.Sequential(GlobalMean(), nn.Conv2d(channels, channels, 1)) if attention else None
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = LayerNorm2d(channels, eps=1e-6)
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        first, second = parts(x, (self.conv1, self.conv2), 2, self.norm1)
        y = first * second
        if self.sca is not None:
            y = y * self.sca(y)
        x = x + scaled(y, self.conv3, self.beta)
        first, second = parts(x, (self.conv4,), 2, self.norm2)
        return x + scaled(first * second, self.conv5, self.gamma)
