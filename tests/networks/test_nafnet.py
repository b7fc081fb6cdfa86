"""What tells NAFNet from FastNAF, which has the same U-Net."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402
from unveil.networks.fastnaf import FastNAF  # noqa: E402
from unveil.networks.nafnet import NAFNet  # noqa: E402

LEVELS: dict[str, Any] = {"width": 4, "encoder": [1, 2], "middle": 1, "decoder": [2, 1]}


def test_odd_sides_are_filled_with_zeros() -> None:
    torch.manual_seed(0)
    network = NAFNet(**LEVELS).eval()
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    image = torch.rand(1, 3, 13, 18)
    filled = torch.zeros(1, 3, 16, 20)
    filled[..., :13, :18] = image
    with torch.inference_mode():
        torch.testing.assert_close(network(image), network(filled)[..., :13, :18])


@pytest.mark.parametrize(
    "network",
    [
        NAFNet(**LEVELS),
        FastNAF(**LEVELS),
        FastNAF(**LEVELS, attention=True),
        FastNAF(**LEVELS, unshuffle=1),
    ],
)
def test_each_is_recognised_as_itself(network: NAFNet | FastNAF) -> None:
    found = networks.from_state(network.state_dict())
    assert type(found) is type(network)
    assert found.size_multiple == network.size_multiple


def test_levels_must_be_as_many_on_both_ways() -> None:
    with pytest.raises(ValueError, match="encoder has 1 levels and decoder 2"):
        NAFNet(width=4, encoder=[1], middle=1, decoder=[1, 1])
