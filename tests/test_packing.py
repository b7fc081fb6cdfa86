"""What tiles must know of a network: the memory that it needs for a pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unveil import packing


class Widening(nn.Module):
    """Needs two maps of `width` channels at once, and then the picture beside one of them."""

    size_multiple = 4
    code = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 1)

    def restore(self, image: Tensor) -> Tensor:
        wide = self.first(image)
        other = wide.exp()
        del wide
        return other[:, :3] + image


def test_footprint_is_what_is_alive_at_once() -> None:
    # Two maps of floats; the view of three channels costs nothing, and the picture itself is not the network's.
    assert packing.counted_footprint(Widening(8)) == 2 * 8 * 4
    assert packing.counted_footprint(Widening(16)) == 2 * 16 * 4


def test_counting_leaves_the_network_as_it_was() -> None:
    network = Widening(8).train()
    packing.counted_footprint(network)
    assert network.training
    assert {parameter.device for parameter in network.parameters()} == {torch.device("cpu")}
