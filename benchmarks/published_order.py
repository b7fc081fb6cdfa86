"""Networks in the order of operations of the papers' own code: what our forms of the same layers are measured against.

Norms are sums and products of their own, in Restormer's family on lists of pixels; queries and keys are normalised
before they meet; one convolution makes what is then cut; residual scales are a product with the map. Attention in
windows goes step by step, on what one linear layer makes for queries, keys and values.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch.nn.functional as F
from torch import Tensor

from unveil.networks import layers, nafnet_blocks, restormer_blocks, swinir, uformer, windows


def _channel_norm(norm: layers.LayerNorm2d, x: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    y = (x - mean) / (variance + norm.eps).sqrt()
    return norm.weight.view(1, -1, 1, 1) * y + norm.bias.view(1, -1, 1, 1)


def _restormer_norm(norm: layers.Norm, x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    pixels = x.flatten(2).transpose(1, 2).contiguous()
    variance = pixels.var(-1, keepdim=True, unbiased=False)
    body = norm.body
    if body.bias is None:
        pixels = pixels / (variance + body.eps).sqrt() * body.weight
    else:
        mean = pixels.mean(-1, keepdim=True)
        pixels = (pixels - mean) / (variance + body.eps).sqrt() * body.weight + body.bias
    return pixels.transpose(1, 2).contiguous().unflatten(2, (height, width))


def _attention(attention: restormer_blocks.ChannelAttention, x: Tensor, norm: layers.Norm | None = None) -> Tensor:
    x = x if norm is None else norm(x)
    batch, channels, height, width = x.shape
    q, k, v = attention.qkv_dwconv(attention.qkv(x)).chunk(3, 1)
    q, k, v = (part.reshape(batch, attention.heads, channels // attention.heads, -1) for part in (q, k, v))
    scores = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)) * attention.temperature
    return attention.project_out((scores.softmax(-1) @ v).reshape(batch, channels, height, width))


def _feed_forward(layer: restormer_blocks.GatedFeedForward, x: Tensor, norm: layers.Norm | None = None) -> Tensor:
    first, second = layer.dwconv(layer.project_in(x if norm is None else norm(x))).chunk(2, 1)
    return layer.project_out(F.gelu(first) * second)


def _naf_block(block: nafnet_blocks.NAFBlock, x: Tensor) -> Tensor:
    first, second = block.conv2(block.conv1(block.norm1(x))).chunk(2, 1)
    y = first * second
    if block.sca is not None:
        y = y * block.sca(y)
    y = x + block.conv3(y) * block.beta
    first, second = block.conv4(block.norm2(y)).chunk(2, 1)
    return y + block.conv5(first * second) * block.gamma


@contextlib.contextmanager
def published_order() -> Iterator[None]:
    """Inside, layers compute in the published order, in eager PyTorch and in graphs alike."""
    with contextlib.ExitStack() as stack:
        for owner, forward in (
            (layers.LayerNorm2d, _channel_norm),
            (layers.Norm, _restormer_norm),
            (restormer_blocks.ChannelAttention, _attention),
            (restormer_blocks.GatedFeedForward, _feed_forward),
            (nafnet_blocks.NAFBlock, _naf_block),
        ):
            stack.enter_context(mock.patch.object(owner, "forward", forward))
        for module, name, value in (
            (windows, "in_graph", lambda: False),
            (windows, "_attend_at_once", windows._attend_step_by_step),
            (uformer, "in_graph", lambda: False),
            (swinir, "gelu", F.gelu),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield
