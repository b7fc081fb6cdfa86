"""The blocks of Restormer and of the networks built on them: X-Restormer, PromptIR, ABAIR.

Parameter names are those of the official implementations, so that official weights fit by name.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.layers import (
    Norm,
    Whole,
    channels_first,
    channels_last,
    double,
    fill,
    gelu,
    halve,
    in_graph,
    parts,
)


class PatchEmbedding(nn.Module):
    """The first 3x3 convolution of Restormer's family (`patch_embed.proj`)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


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
        maps = parts(x, (self.qkv, self.qkv_dwconv), 3, norm)
        if in_graph() or self._is_faster_on_lists(x):
            return self._attend_on_lists(*maps)
        _, channels, height, width = x.shape
        q, k, v = (part.flatten(2).unflatten(1, (self.heads, -1)) for part in maps)
        squares = (part.square().sum(-1, keepdim=True) for part in (q, k))
        sums = (self.whole(total, height * width) for total in (*squares, q @ k.transpose(-2, -1)))
        attention = self.weigh(*sums)
        return self.project_out((attention @ v).reshape(-1, channels, height, width))

    def _is_faster_on_lists(self, x: Tensor) -> bool:
        """Of a few heads on a processor, as long as nothing is learned and nothing listens to the projection."""
        is_free = not torch.is_grad_enabled() and not self.project_out._forward_hooks
        return is_free and self.heads <= 2 and x.device.type == "cpu"

    def _attend_on_lists(self, *maps: Tensor) -> Tensor:
        """The same on lists of pixels, for which maps whose channels come last in memory are not copied.

        Heads stay side by side. All channels of queries meet all keys, and what is not of one head is dropped: that is
        less work than to part the lists. And the projection meets the weights of attention, not the map.
        """
        batch, channels, height, width = maps[0].shape
        heads = (self.heads, channels // self.heads)
        # Row by row: a product over a million pixels, summed one after the other, has four digits less.
        q, k, v = (channels_last(part).flatten(0, 1) for part in maps)
        ones = q.new_ones(1, width)
        squares = (_over_rows(ones @ row.square(), batch)[:, 0].unflatten(1, heads)[..., None] for row in (q, k))
        product = _over_rows(q.transpose(1, 2) @ k, batch).unflatten(2, heads).unflatten(1, heads)
        own = torch.eye(self.heads, dtype=q.dtype, device=q.device)[:, None, :, None]
        sums = (self.whole(total, height * width) for total in (*squares, (product * own).sum(3)))
        after = self.project(self.weigh(*sums))
        seen = v.unflatten(0, (batch, height)).flatten(1, 2) @ after.transpose(1, 2)
        return channels_first(seen.unflatten(1, (height, width)))

    def weigh(self, square_q: Tensor, square_k: Tensor, product: Tensor) -> Tensor:
        """Weights of attention, `... heads C/heads C/heads`.

        Args:
            square_q, square_k: sums of the squares of queries and keys over the pixels, `... heads C/heads 1`.
            product: of both, summed likewise, `... heads C/heads C/heads`.
        """
        norm_q, norm_k = (square.sqrt().clamp_min(1e-12) for square in (square_q, square_k))
        return (product / (norm_q * norm_k.transpose(-2, -1)) * self.temperature).softmax(-1)

    def project(self, attention: Tensor) -> Tensor:
        """The projection behind these weights, as one matrix for the values of all heads: `... C C`.

        One pass over the map instead of two: `attention` is as small as the weights that follow it.
        """
        weight = self.project_out.weight.flatten(1).unflatten(1, (self.heads, -1)).transpose(0, 1)
        return (weight @ attention).transpose(-3, -2).flatten(-2)


def _over_rows(x: Tensor, batch: int) -> Tensor:
    """The sum over the rows of each picture, as a product, in which ONNX Runtime is faster: `B*rows M N` -> `B M N`."""
    rows = x.unflatten(0, (batch, -1)).flatten(2)
    return (x.new_ones(1, rows.shape[1]) @ rows).unflatten(2, x.shape[1:])[:, 0]


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
        first, second = parts(x, (self.project_in, self.dwconv), 2, norm, filled=True)
        gated = gelu(first) * second
        return F.conv2d(gated, fill(self.project_out.weight, 1)) if in_graph() else self.project_out(gated)


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
        v = v.transpose(-2, -1)
        if in_graph():
            # On four axes and no more, OpenVINO keeps the scores of a window in the cache.
            queries, keys, v = (part.flatten(2, 3).flatten(0, 1) for part in (queries, keys, v))
        seen = (queries @ keys).softmax(-1) @ v
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
