"""What every network of the table promises, on small builds of each."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from unveil import networks  # noqa: E402
from unveil.networks import Network  # noqa: E402

SMALL: dict[str, dict[str, Any]] = {
    "fastnaf": {"width": 8, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]},
    "abair": {"preset": "tiny", "dim": 8, "blocks": (1, 0, 0, 0), "refinement": 0},
    "srresnet": {"dim": 8, "blocks": 2},
    "promptir": {
        "dim": 8,
        "blocks": (1, 1, 1, 1),
        "refinement": 1,
        "prompt_dims": (4, 4, 8),
        "prompt_sizes": (8, 4, 4),
    },
    "xrestormer": {"dim": 8, "blocks": (1, 0, 0, 1), "refinement": 0, "dim_head": 4},
    "swinir": {"dim": 12, "depths": (2, 1), "heads": (2, 3), "features": 8},
    "nafnet": {"width": 8, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]},
    "conv": {"dim": 8},
    "constyle": {},
    "constyle-v2": {"classes": 5},
    "constyle-conv": {"dim": 8},
    "constyle-restormer": {"dim": 8, "left": [1, 1, 1], "bottom": 1, "right": [1, 1, 1], "refinement": 1},
    "constyle-nafnet": {"dim": 8, "left": [1, 1, 1], "bottom": 1, "right": [1, 1, 1]},
    "uformer": {"dim": 4, "depths": (2, 1, 1, 1, 2, 1, 1, 1, 2), "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2)},
    "srresnet-ep": {"dim": 8, "blocks": 2},
    "srresnet-ap": {"dim": 8, "blocks": 2},
    "swinir-ep": {"dim": 12, "depths": (2, 1), "heads": (2, 3), "features": 8},
    "swinir-ap": {"dim": 12, "depths": (2, 1), "heads": (2, 3), "features": 8},
    "restormer-ep": {"dim": 8, "blocks": (1, 1, 1, 1), "refinement": 1},
    "restormer-ap": {"dim": 8, "blocks": (1, 1, 1, 1), "refinement": 1},
    "uformer-ep": {"dim": 4, "depths": (1, 1, 1, 1, 2, 1, 1, 1, 2), "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2)},
    "uformer-ap": {"dim": 4, "depths": (1, 1, 1, 1, 2, 1, 1, 1, 2), "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2)},
    "mioir-classifier": {"dim": 16, "out": 8},
}


def small(name: str, seed: int = 0) -> nn.Module:
    """A small build with every parameter random: residual scales that start at zero would hide mistakes."""
    torch.manual_seed(seed)
    network = networks.build(name, **SMALL[name])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def sides(network: nn.Module) -> tuple[int, int]:
    multiple = cast("Network", network).size_multiple
    return 2 * multiple, 3 * multiple


@pytest.fixture(params=networks.NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_network_has_a_small_build_here() -> None:
    assert set(SMALL) == set(networks.NETWORKS)


def test_shape_is_kept_and_batch_equals_singles(name: str) -> None:
    network = small(name)
    images = torch.rand(3, 3, *sides(network))
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert together.shape == images.shape
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_gradients_reach_every_parameter(name: str) -> None:
    network = small(name)
    (network(torch.rand(2, 3, *sides(network))) ** 2).mean().backward()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


def test_features_have_the_promised_width(name: str) -> None:
    network = small(name)
    described = cast("Network", network)
    image = torch.rand(1, 3, *sides(network))
    with torch.inference_mode():
        features = described.encode(image)
        torch.testing.assert_close(described.decode(features, image), network(image))
    assert features.shape[1] == described.features


@pytest.mark.slow  # torch's exporter works through the shapes symbolically: half a minute for attention over windows
def test_graph_serves_weights_and_sizes_it_has_never_seen(name: str) -> None:
    pytest.importorskip("onnx")
    import onnxruntime

    from unveil import graphs

    graph = graphs.restoring(small(name)).data
    other = small(name, seed=1)
    weights = {key: value.numpy() for key, value in other.state_dict().items()}
    options = onnxruntime.SessionOptions()
    options.add_external_initializers(
        list(weights), [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
    )
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    multiple = cast("Network", other).size_multiple
    for batch, rows, columns in ((1, 1, 1), (2, 2, 3), (1, 4, 2)):
        image = torch.rand(batch, 3, rows * multiple, columns * multiple)
        with torch.inference_mode():
            wanted = other(image).numpy()
        found = session.run(None, {"image": image.numpy()})[0]
        assert np.abs(found - wanted).max() < 1e-4 * max(1.0, np.abs(wanted).max())


def test_unknown_names_and_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="known: fastnaf"):
        networks.build("unet")
    with pytest.raises(TypeError, match="depth"):
        networks.build("fastnaf", depth=3)


@pytest.mark.parametrize(
    ("preset", "count"), [("tiny", 1_028_183), ("small", 5_056_315), ("full", 40_632_867), ("deep", 57_986_959)]
)
def test_abair_presets_have_the_published_sizes(preset: str, count: int) -> None:
    with torch.device("meta"):
        network = networks.build("abair", preset=preset)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_abair_refuses_an_unknown_preset() -> None:
    with pytest.raises(ValueError, match="known: tiny, small, full, deep"):
        networks.build("abair", preset="huge")


def test_overlapping_attention_is_attention_over_the_larger_window() -> None:
    """Against the definition, written out for one window in the middle of a picture."""
    from unveil.networks.layers import OverlappingAttention

    torch.manual_seed(0)
    layer = OverlappingAttention(6, 2, dim_head=4)
    x = torch.randn(1, 6, 24, 24)
    with torch.no_grad():
        q, k, v = layer.qkv(x)[0].reshape(3, 2, 4, 24, 24)
        tables = layer.rel_pos_emb
        wanted = torch.zeros(2, 4, 8, 8)
        for head in range(2):
            for i in range(8):
                for j in range(8):
                    query = q[head, :, 8 + i, 8 + j] * 4**-0.5
                    scores = torch.stack(
                        [
                            query @ k[head, :, 6 + y, 6 + x_]
                            + query @ tables.rel_height[y - i + 11]
                            + query @ tables.rel_width[x_ - j + 11]
                            for y in range(12)
                            for x_ in range(12)
                        ]
                    )
                    values = v[head, :, 6:18, 6:18].reshape(4, -1)
                    wanted[head, :, i, j] = values @ scores.softmax(0)
        projected = layer.project_out(wanted.reshape(1, 8, 8, 8))
        torch.testing.assert_close(layer(x)[:, :, 8:16, 8:16], projected, rtol=1e-4, atol=1e-5)


def test_channel_attention_equals_normalising_queries_and_keys() -> None:
    import torch.nn.functional as F

    from unveil.networks.layers import ChannelAttention

    torch.manual_seed(0)
    layer = ChannelAttention(8, 2)
    x = torch.randn(2, 8, 5, 7)
    with torch.no_grad():
        q, k, v = layer.qkv_dwconv(layer.qkv(x)).reshape(2, 3, 2, 4, 35).unbind(1)
        likeness = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-1, -2) * layer.temperature
        wanted = layer.project_out((likeness.softmax(-1) @ v).reshape(2, 8, 5, 7))
        torch.testing.assert_close(layer(x), wanted, rtol=1e-4, atol=1e-5)


def test_a_local_network_has_a_bounded_radius() -> None:
    network = small("fastnaf")
    radius = networks.receptive_radius(network, side=128)
    assert 0 < radius < 64
