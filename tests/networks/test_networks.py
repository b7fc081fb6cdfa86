"""What every network of the table promises, on small builds of each."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from unveil import networks  # noqa: E402
from unveil.networks.base import CodedNetwork, Network, Published  # noqa: E402

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
    "restormer": {"dim": 8, "blocks": (1, 0, 0, 1), "refinement": 0},
    "maxim": {"dim": 16, "bottlenecks": 1, "sides": (4, 4, 2, 8)},
    "constyle": {},
    "constyle-v2": {"classes": 5},
    "constyle-conv": {"dim": 8},
    "constyle-restormer": {"dim": 8, "left": [1, 1, 1], "bottom": 1, "right": [1, 1, 1], "refinement": 1},
    "constyle-nafnet": {"dim": 8, "left": [1, 1, 1], "bottom": 1, "right": [1, 1, 1]},
    "guided": {"of": {"name": "conv", "dim": 8}},
    "constyle-maxim": {"dim": 16, "bottom": 1, "sides": (4, 4, 2, 8)},
    "uformer": {
        "dim": 4,
        "image_size": 128,
        "depths": (2, 1, 1, 1, 2, 1, 1, 1, 2),
        "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2),
    },
    "srresnet-ep": {"dim": 8, "blocks": 2},
    "srresnet-ap": {"dim": 8, "blocks": 2},
    "swinir-ep": {"dim": 12, "depths": (2, 1), "heads": (2, 3), "features": 8},
    "swinir-ap": {"dim": 12, "depths": (2, 1), "heads": (2, 3), "features": 8},
    "restormer-ep": {"dim": 8, "blocks": (1, 1, 1, 1), "refinement": 1},
    "restormer-ap": {"dim": 8, "blocks": (1, 1, 1, 1), "refinement": 1},
    "uformer-ep": {
        "dim": 4,
        "image_size": 128,
        "depths": (1, 1, 1, 1, 2, 1, 1, 1, 2),
        "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2),
    },
    "uformer-ap": {
        "dim": 4,
        "image_size": 128,
        "depths": (1, 1, 1, 1, 2, 1, 1, 1, 2),
        "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2),
    },
    "mioir-classifier": {"dim": 16, "out": 8},
}


RESTORING = [name for name, entry in networks.NETWORKS.items() if entry.restores]
CODED = [name for name in RESTORING if networks.NETWORKS[name].form != "plain"]
TRACED = ("fastnaf", "restormer", "swinir", "srresnet-ep", "srresnet-ap")
"""Networks whose graphs are tested by default; the others are as well with --exhaustive, for minutes more."""


def matrix(names: list[str], default: tuple[str, ...]) -> list[Any]:
    """Names as parameters, those outside of the default marked exhaustive."""
    return [name if name in default else pytest.param(name, marks=pytest.mark.exhaustive) for name in names]


def small(name: str, seed: int = 0) -> nn.Module:
    """A small build with every parameter random: residual scales that start at zero would hide mistakes."""
    torch.manual_seed(seed)
    network = networks.build(name, **SMALL[name])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for key, buffer in network.named_buffers():
            if key.endswith(("running_mean", "running_var")):
                buffer.add_(0.1 * torch.rand_like(buffer))
    return network.eval()


def inputs(network: nn.Module, batch: int, height: int, width: int) -> list[torch.Tensor]:
    """An image, and a prompt for the networks that take one."""
    image = torch.rand(batch, 3, height, width)
    side = network.prompt_side if isinstance(network, CodedNetwork) else 0
    return [image, torch.rand(batch, side, side)] if side else [image]


def fitting(network: Network) -> tuple[int, int]:
    """Sides that are multiples and square, so that nothing is extended."""
    side = max(32, network.size_multiple)
    return side, side


def flat(given: object) -> list[torch.Tensor]:
    """The tensors of nested lists and tuples in order."""
    if isinstance(given, torch.Tensor):
        return [given]
    assert isinstance(given, list | tuple)
    return [tensor for part in given for tensor in flat(part)]


@pytest.fixture(params=networks.NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_network_has_a_small_build_here() -> None:
    assert set(SMALL) == set(networks.NETWORKS)


def test_any_size_keeps_its_shape_and_a_batch_equals_its_pictures(name: str) -> None:
    network = small(name)
    given = inputs(network, 3, 37, 53)
    with torch.inference_mode():
        together = flat(network(*given))
        alone = [flat(network(*(value[index : index + 1] for value in given))) for index in range(3)]
    if name in RESTORING:
        assert together[0].shape == given[0].shape
    for index, whole in enumerate(together):
        torch.testing.assert_close(whole, torch.cat([part[index] for part in alone]), rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter_but_the_idle_ones(name: str) -> None:
    # Of some random weights, a small rectifier never opens; of others it does.
    networks_ = [cast("Published", small(name, seed)) for seed in range(2)]
    without = set.intersection(*(untouched(network) for network in networks_))
    assert without == {key for key, _ in networks_[0].named_parameters() if key.startswith(networks_[0].idle())}


def untouched(network: nn.Module) -> set[str]:
    """The parameters that no gradient reaches."""
    sum((part**2).mean() for part in flat(network(*inputs(network, 2, 37, 53)))).backward()
    return {key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()}


def test_size_multiple_is_that_of_the_table(name: str) -> None:
    """But for the small builds that have fewer levels than the published ones."""
    network = small(name)
    if name in RESTORING and name not in ("fastnaf", "nafnet"):
        assert cast("Network", network).size_multiple == networks.NETWORKS[name].size_multiple


@pytest.mark.parametrize("name", [name for name in RESTORING if networks.NETWORKS[name].form != "explicit"])
def test_features_have_the_promised_width(name: str) -> None:
    network = cast("Network", small(name))
    image = torch.rand(1, 3, *fitting(network))
    with torch.inference_mode():
        features = network.encode(image)
        torch.testing.assert_close(network.decode(features, image), network(image))
    assert features.shape[1] == network.features


@pytest.mark.parametrize("name", CODED)
def test_a_code_computed_beforehand_changes_nothing(name: str) -> None:
    network = cast("CodedNetwork", small(name))
    given = inputs(network, 2, *fitting(network))
    with torch.inference_mode():
        code = network.summarise(given[-1])
        torch.testing.assert_close(network.restore(given[0], code), network(*given))
    assert code.shape == (2, network.code)


def test_saved_under_official_names_it_is_recognised_and_loads(name: str) -> None:
    network = small(name)
    state = networks.official_state(network)
    found = networks.recognise({f"module.{key}": value.clone() for key, value in state.items()})
    loaded = found.build()
    given = inputs(network, 1, 37, 53)
    assert (found.name, type(loaded)) == (name, type(network))
    with torch.inference_mode():
        for left, right in zip(flat(network(*given)), flat(loaded(*given)), strict=True):
            assert torch.equal(left, right)


@pytest.mark.slow  # torch's exporter works through the shapes symbolically: half a minute for attention over windows
@pytest.mark.parametrize("name", matrix(RESTORING, TRACED))
def test_graph_serves_weights_and_sizes_it_has_never_seen(name: str) -> None:
    from unveil import graphs

    graph = graphs.restoring(small(name))
    other = cast("Network", small(name, seed=1))
    run = session(graph, other)
    multiple = other.size_multiple
    for batch, rows, columns in ((1, 1, 1), (2, 2, 3), (1, 4, 2)):
        image = torch.rand(batch, 3, rows * multiple, columns * multiple)
        feeds = {"image": image, **({"code": torch.rand(batch, other.code)} if other.code else {})}
        with torch.inference_mode():
            wanted = other.restore(*feeds.values()).numpy()
        assert np.abs(run(feeds) - wanted).max() < 1e-4 * max(1.0, np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", matrix(CODED, TRACED))
def test_graph_of_a_code_serves_weights_and_sizes_it_has_never_seen(name: str) -> None:
    from unveil import graphs

    network = cast("CodedNetwork", small(name))
    side = network.prompt_side
    graph = graphs.prompting(network, side) if side else graphs.summarising(network)
    other = cast("CodedNetwork", small(name, seed=1))
    run = session(graph, other)
    multiple = max(16, other.size_multiple)
    for batch, rows, columns in ((1, 1, 1), (2, 2, 3), (1, 4, 2)):
        shape = (batch, side, side) if side else (batch, 3, rows * multiple, columns * multiple)
        seen = torch.rand(shape)
        with torch.inference_mode():
            wanted = other.summarise(seen).numpy()
        assert np.abs(run({"prompt" if side else "image": seen}) - wanted).max() < 1e-5


def session(graph: Any, network: nn.Module) -> Any:
    """A graph in ONNX Runtime with the weights of a network."""
    import onnxruntime

    from unveil.engines.graph import read_signature

    assert set(read_signature(graph.data).weights) == set(graph.weights)
    state = network.state_dict()
    weights = {key: state[key].numpy() for key in graph.weights}
    options = onnxruntime.SessionOptions()
    options.add_external_initializers(
        list(weights), [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
    )
    opened = onnxruntime.InferenceSession(graph.data, options, providers=["CPUExecutionProvider"])
    return lambda feeds: opened.run(None, {key: value.numpy() for key, value in feeds.items()})[0]


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
    from unveil.networks.restormer_blocks import OverlappingAttention

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

    from unveil.networks.restormer_blocks import ChannelAttention

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
