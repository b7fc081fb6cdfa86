"""What is special about MAXIM: mixing along blocks and grids, resizing, and pictures that are looked at as a whole."""

from __future__ import annotations

from functools import partial
from typing import cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from unveil import networks  # noqa: E402
from unveil.networks.base import Mismatch, Network  # noqa: E402
from unveil.networks.maxim import read_sides, size_multiple  # noqa: E402
from unveil.networks.maxim_blocks import Axis, Projection, cut, mix, pick, resize  # noqa: E402

MIXED = "SplitHeadMultiAxisGmlpLayer_0.GridGmlpLayer.GridGatingUnit.Dense_0.weight"


@pytest.mark.parametrize("axis", ["Grid", "Block"])
def test_mixing_is_the_sum_over_the_places_of_its_axis(axis: Axis) -> None:
    """Against the definition, written out pixel by pixel."""
    torch.manual_seed(0)
    side, height, width = 2, 4, 6
    x = torch.randn(2, height, width, 3)
    weight, bias = torch.randn(4, 4), torch.randn(4)
    wanted = torch.empty_like(x)
    for i in range(height):
        for j in range(width):
            if axis == "Block":
                top, left, down, across = i // side * side, j // side * side, 1, 1
                place = i % side * side + j % side
            else:
                down, across = height // side, width // side
                top, left = i % down, j % across
                place = i // down * side + j // across
            others = x[:, top : top + side * down : down, left : left + side * across : across].reshape(2, 4, 3)
            wanted[:, i, j] = torch.einsum("n,bnc->bc", weight[place], others) + bias[place]
    torch.testing.assert_close(mix(cut(x, axis, side), weight, bias).reshape(x.shape), wanted)


@pytest.mark.parametrize("doublings", [-2, -1, 0, 1, 2])
def test_resizing_equals_torch_with_antialiasing(doublings: int) -> None:
    x = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    wanted = F.interpolate(x, scale_factor=2.0**doublings, mode="bilinear", antialias=True, align_corners=False)
    assert (resize(x, doublings) - wanted).abs().max() < 1e-6


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_picking_equals_the_middle_of_the_official_indices(factor: int) -> None:
    x = torch.rand(1, 3, 16, 24)
    assert torch.equal(pick(x, factor), x[..., factor // 2 :: factor, factor // 2 :: factor])


@pytest.mark.parametrize("doublings", [-2, -1, 1])
def test_projecting_to_another_level_serves_sizes_it_has_never_seen(doublings: int) -> None:
    pytest.importorskip("onnx")
    import onnxruntime

    from unveil import graphs

    torch.manual_seed(0)
    network = Projection(3, 5)
    dims = {2: 4 * torch.export.Dim("rows", min=1, max=99), 3: 4 * torch.export.Dim("columns", min=1, max=99)}
    call = partial(network.forward, doublings=doublings)
    graph = graphs.trace(network, call, {"x": (torch.rand(2, 3, 16, 24), dims)}, "y")
    options = onnxruntime.SessionOptions()
    weights = [onnxruntime.OrtValue.ortvalue_from_numpy(network.state_dict()[name].numpy()) for name in graph.weights]
    options.add_external_initializers(list(graph.weights), weights)
    session = onnxruntime.InferenceSession(graph.data, options, providers=["CPUExecutionProvider"])
    for height, width in ((4, 4), (16, 24), (8, 64)):
        x = torch.rand(2, 3, height, width)
        with torch.inference_mode():
            # In the published order.
            resized = F.interpolate(x, scale_factor=2.0**doublings, mode="bilinear", antialias=True)
            wanted = network.Conv_0(resized).numpy()
        assert np.abs(session.run(None, {"x": x.numpy()})[0] - wanted).max() < 1e-5


@pytest.mark.parametrize("name", ["maxim", "constyle-maxim"])
def test_every_pixel_depends_on_the_whole_picture(name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(name, dim=8, sides=(4, 4, 2, 2)).eval()
    multiple = cast("Network", network).size_multiple
    image = torch.rand(1, 3, 3 * multiple, 3 * multiple)
    changed = image.clone()
    changed[..., 0, 0] = 1 - changed[..., 0, 0]
    with torch.inference_mode():
        assert (network(image) != network(changed)).any(1).float().mean() > 0.9


def test_size_multiple_lets_blocks_and_grids_cover_every_level() -> None:
    assert size_multiple((16, 16, 8, 8)) == 64
    assert size_multiple((4, 4, 2, 2)) == 16


def test_blocks_that_are_not_square_are_refused() -> None:
    assert read_sides({f"block.{MIXED}": (256, 256)}, ["block"]) == [16]
    with pytest.raises(Mismatch, match="square"):
        read_sides({f"block.{MIXED}": (128, 128)}, ["block"])
