"""Layers in the form that they take in graphs give what they give when they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from unveil import graphs
from unveil.networks.layers import channels_first, channels_last
from unveil.networks.nafnet_blocks import NAFBlock
from unveil.networks.restormer_blocks import ChannelAttention, RestormerBlock, XBlock
from unveil.networks.swinir import FeedForward
from unveil.networks.uformer import LocalFeedForward
from unveil.networks.windows import WindowAttention, WindowBlock, shift_mask


class Windowed(nn.Module):
    """Blocks with attention in windows, one in place and one shifted, on a map."""

    def __init__(self, feed_forward: Callable[[int, int], nn.Module], *, uformer: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            WindowBlock(
                8,
                WindowAttention(8, 2, window=4, shifted=shifted, separate=uformer),
                feed_forward(8, 12),
                modulated=uformer,
            )
            for shifted in (False, True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = channels_last(x)
        mask = shift_mask(x, 4)
        for block in self.blocks:
            x = block(x, mask)
        return channels_first(x)


BLOCKS: dict[str, Any] = {
    "naf": lambda: NAFBlock(6, attention=False),
    "naf with attention": lambda: NAFBlock(6),
    "restormer": lambda: RestormerBlock(8, 2),
    "restormer without bias": lambda: RestormerBlock(8, 2, bias=False),
    "x": lambda: XBlock(8, 2, factor=2.0, dim_head=4),
    "swin": lambda: Windowed(FeedForward),
    "uformer": lambda: Windowed(LocalFeedForward, uformer=True),
}


class Around(nn.Module):
    """A block between a convolution and the result, as in a network."""

    size_multiple = 8
    code = 0

    def __init__(self, block: nn.Module, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 1)
        self.block = block
        self.last = nn.Conv2d(channels, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.block(self.first(image)))

    restore = forward


@pytest.mark.parametrize("name", BLOCKS)
def test_block_in_a_graph_gives_what_it_gives_when_called(name: str) -> None:
    torch.manual_seed(0)
    block = BLOCKS[name]()
    network = Around(block, 6 if "naf" in name else 8).eval()
    for parameter in network.parameters():
        # Norms start as ones and zeros, and residual scales as zeros, with which most mistakes would not show.
        parameter.data += 0.3 * torch.randn_like(parameter)

    graph = graphs.restoring(network)
    options = onnxruntime.SessionOptions()
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    needed = {key: np.ascontiguousarray(state[key], np.float32) for key in graph.weights}
    assert set(needed) == {key for key, _ in network.named_parameters()}
    options.add_external_initializers(
        list(needed), [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in needed.values()]
    )
    session = onnxruntime.InferenceSession(graph.data, options, providers=["CPUExecutionProvider"])
    for height, width in ((16, 24), (40, 8)):
        image = torch.rand(2, 3, height, width)
        with torch.inference_mode():
            wanted = network(image).numpy()
        given = np.asarray(session.run(None, {"image": image.numpy()})[0])
        np.testing.assert_allclose(given, wanted, atol=2e-5)


def test_hidden_channels_of_a_graph_are_filled_up() -> None:
    """Restormer's feed-forward networks have 21 channels for 8: engines would work on 5 of them one by one."""
    graph = onnx.load_from_string(graphs.restoring(Around(RestormerBlock(8, 2), 8)).data)
    convolutions = (node for node in graph.graph.node if node.op_type == "Conv")
    groups = [attribute.i for node in convolutions for attribute in node.attribute if attribute.name == "group"]
    assert sorted(group for group in groups if group > 1) == [8, 8, 8, 32, 32]


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_on_lists_gives_what_it_gives_step_by_step(heads: int) -> None:
    torch.manual_seed(0)
    attention = ChannelAttention(8, heads)
    attention.temperature.data = torch.rand(heads, 1, 1) * 8
    x = torch.rand(2, 8, 12, 20).contiguous(memory_format=torch.channels_last)
    step_by_step = attention(x)
    heard: list[Tensor] = []
    with torch.inference_mode():
        torch.testing.assert_close(attention(x), step_by_step, atol=1e-6, rtol=0)
        handle = attention.project_out.register_forward_hook(lambda layer, given, result: heard.append(result))
        torch.testing.assert_close(attention(x), step_by_step, atol=0, rtol=0)
    handle.remove()
    assert len(heard) == 1


def test_products_over_many_pixels_keep_their_digits() -> None:
    """Summed one after the other, squares of this many pixels are off by 1e-4."""
    torch.manual_seed(0)
    attention = ChannelAttention(4, 1)
    found: list[Tensor] = []
    attention.whole.listener = lambda total, pixels: (found.append(total), total)[1]
    x = torch.rand(1, 4, 1024, 768)
    with torch.inference_mode():
        attention(x)
        on_lists, found[:] = list(found), []
        attention.double()
        attention(x.double())
    for short, long in zip(on_lists, found, strict=True):
        assert ((short - long).abs() / long.abs().amax()).max() < 2e-6
