"""Networks whose statistics of the whole picture are taken of windows instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from global_networks import OneBlock, alive, picture, tensor  # noqa: E402

from unveil import conversion, graphs, models, networks  # noqa: E402
from unveil.errors import InvalidRequest  # noqa: E402
from unveil.networks import locality  # noqa: E402
from unveil.networks.restormer_blocks import ChannelAttention  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402

WINDOWS = {"nafnet": 32, "fastnaf": 32, "restormer": 32, "xrestormer": 256}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_picture_no_larger_than_a_window_is_restored_as_before(name: str) -> None:
    window = WINDOWS[name]
    plain, local = alive(name), alive(name, local=window)
    assert plain.state_dict().keys() == local.state_dict().keys()
    with torch.inference_mode():
        least = local.size_multiple
        for height, width in ((min(window, 128), least), (least, window)):
            image = tensor(picture(height, width))
            torch.testing.assert_close(local(image), plain(image), atol=2e-6, rtol=1e-5)
        image = tensor(picture(least, window + 2 * max(least, 16)))
        assert (local(image) - plain(image)).abs().max() > 1e-4


def test_means_are_those_of_windows_and_what_lies_between() -> None:
    gather, spread = locality.window_means(20, 8, 4, torch.zeros(1))
    values = torch.rand(20)
    means = spread @ (gather @ values)
    # The middles of windows that begin at 0, 4, 8 and 12 lie between two pixels.
    for start in (0, 4, 8, 12):
        around = means[start + 3 : start + 5].mean()
        torch.testing.assert_close(around, values[start : start + 8].mean(), atol=0.02, rtol=0)
    # At its edges the picture has no other window than its first and last.
    torch.testing.assert_close(means[:4], values[:8].mean().expand(4))
    torch.testing.assert_close(means[16:], values[12:].mean().expand(4))
    torch.testing.assert_close(spread.sum(1), torch.ones(20))
    torch.testing.assert_close(spread @ (gather @ torch.ones(20)), torch.ones(20))


def test_attention_is_the_mean_of_that_in_overlapping_windows() -> None:
    """The publication's order: attend in every window, lay the results over each other, and divide."""
    torch.manual_seed(0)
    layer, side = ChannelAttention(8, 2), 4
    layer.temperature.data += torch.rand(2, 1, 1)
    x = torch.rand(2, 8, 14, 9)
    with torch.inference_mode():
        q, k, v = layer.qkv_dwconv(layer.qkv(x)).chunk(3, 1)
        total, count = torch.zeros_like(x), torch.zeros_like(x)
        # Of blocks of 4, four lie down and three across, the last ones cut off by the edge.
        for top in (0, 4, 8):
            for left in (0, 4):
                place = (..., slice(top, top + 2 * side), slice(left, left + 2 * side))
                parts = (part[place].flatten(2).unflatten(1, (2, 4)) for part in (q, k, v))
                queries, keys, values = (part / part.norm(dim=-1, keepdim=True) for part in parts)
                scale = v[place].flatten(2).unflatten(1, (2, 4)).norm(dim=-1, keepdim=True)
                weights = (queries @ keys.transpose(-2, -1) * layer.temperature).softmax(-1)
                total[place] += (weights @ (values * scale)).flatten(1, 2).reshape(total[place].shape)
                count[place] += 1
        wanted = layer.project_out(total / count)
        layer.__class__ = locality.BlockAttention
        layer.block = side
        torch.testing.assert_close(layer(x), wanted, atol=2e-6, rtol=1e-5)


def converted(name: str, folder: Path, **options: Any) -> models.Model:
    torch.save(alive(name).state_dict(), folder / "w.pth")
    made = conversion.convert(conversion.recognise(folder / "w.pth"), folder / "w.pth", conversion.Options(**options))
    models.write(made, folder / "m.safetensors")
    return models.read(folder / "m.safetensors")


def test_a_converted_file_restores_in_tiles_as_in_one(tmp_path: Path) -> None:
    local = converted("nafnet", tmp_path, local=32)
    card = local.card
    assert card.network["config"]["local"] == 32
    assert not card.codes
    assert (card.size_multiple, card.stride) == (2, 4)
    assert card.halo >= 16
    config = {key: value for key, value in card.network["config"].items() if key != "local"}
    plain = replace(local, card=replace(card, network={"name": "nafnet", "config": config}))
    pixels = picture(160, 224)
    whole, tiled, whole_before, tiled_before = (
        Restorer(model, engine="torch", threads=1, tile_side=side).run(pixels)
        for model in (local, plain)
        for side in (4096, 64)
    )
    assert tiled.tiles == tiled_before.tiles > 1
    off, off_before = (
        float(np.mean((one.image - other.image) ** 2)) for one, other in ((whole, tiled), (whole_before, tiled_before))
    )
    assert off < off_before / 100
    for same, side in ((whole, 4096), (tiled, 64)):
        np.testing.assert_allclose(Restorer(local, threads=1, tile_side=side).restore(pixels), same.image, atol=2e-5)


def test_attention_in_a_graph_gives_what_it_gives_when_called() -> None:
    import onnxruntime

    torch.manual_seed(0)
    network = locality.localised(OneBlock(), 32).eval()
    graph = graphs.restoring(network)
    options = onnxruntime.SessionOptions()
    state = {key: value.detach().numpy() for key, value in network.state_dict().items()}
    options.add_external_initializers(
        list(graph.weights), [onnxruntime.OrtValue.ortvalue_from_numpy(state[key]) for key in graph.weights]
    )
    session = onnxruntime.InferenceSession(graph.data, options, providers=["CPUExecutionProvider"])
    # One block a side, two, and several of which the last is cut off.
    for height, width in ((8, 16), (32, 24), (72, 104)):
        image = torch.rand(1, 3, height, width)
        with torch.inference_mode():
            wanted = network(image).numpy()
        np.testing.assert_allclose(session.run(None, {"image": image.numpy()})[0], wanted, atol=2e-5)


def test_the_halo_covers_half_a_window_but_not_any(monkeypatch: pytest.MonkeyPatch) -> None:
    from unveil import packing

    monkeypatch.setattr(networks, "receptive_radius", lambda network, side: 5)
    assert [packing.measured_halo(alive("nafnet", local=window)) for window in (8, 100, 1000)] == [6, 50, 192]


def test_what_has_no_windows_is_refused(tmp_path: Path) -> None:
    for name, config in (("fastnaf", {}), ("promptir", {"dim": 8, "blocks": [1, 1, 1, 1], "refinement": 1})):
        with pytest.raises(
            ValueError, match="takes no statistics of the whole picture, or others than windows can give"
        ):
            locality.localised(networks.build(name, **config), 64)
    for window, wanted in ((40, "a multiple of 16, from 32 to 1024; take 32"), (5000, "take 1024"), (8, "take 32")):
        with pytest.raises(ValueError, match=wanted):
            alive("restormer", local=window)
    with pytest.raises(ValueError, match="not both"):
        alive("restormer", local=32, gathered=True)
    torch.save(networks.build("srresnet").state_dict(), tmp_path / "w.pth")
    found = conversion.recognise(tmp_path / "w.pth")
    with pytest.raises(InvalidRequest, match="NAFNet, FastNAF with attention, Restormer and X-Restormer"):
        conversion.convert(found, tmp_path / "w.pth", conversion.Options(local=64))
    with pytest.raises(InvalidRequest, match="give --gather or --local"):
        conversion.convert(found, tmp_path / "w.pth", conversion.Options(local=64, gather=True))
