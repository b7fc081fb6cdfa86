"""Adapters: sizes, identity of a fresh one, and that training sees what a merged model computes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from unveil import models, networks  # noqa: E402
from unveil.methods.abair.adaptation import Adaptation  # noqa: E402
from unveil.methods.abair.adapters import MODES, AdapterFactors  # noqa: E402


def network() -> nn.Module:
    torch.manual_seed(0)
    built = networks.build("abair", preset="tiny", dim=8, blocks=(1, 0, 0, 1), refinement=0)
    return built.eval()


def moved(factors: AdapterFactors) -> AdapterFactors:
    """An adapter that has learned something."""
    with torch.no_grad():
        for value in factors.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return factors


def as_model_adapter(factors: AdapterFactors) -> models.Adapter:
    return models.Adapter(
        degradation="noise",
        rank=factors.rank,
        alpha=factors.alpha,
        mode=factors.mode,
        base_checksum="",
        factors={
            name: {factor: value.numpy() for factor, value in group.items()}
            for name, group in factors.named_factors().items()
        },
    )


@pytest.mark.parametrize(("rank", "count"), [(4, 3_585_096), (8, 7_170_192), (16, 14_340_384)])
def test_loralib_adapters_of_the_full_baseline_have_the_published_sizes(rank: int, count: int) -> None:
    with torch.device("meta"):
        factors = AdapterFactors(networks.build("abair", preset="full"), rank=rank, mode="loralib")
    assert sum(value.numel() for value in factors.parameters()) == count


@pytest.mark.parametrize(("preset", "millions"), [("full", 1.43), ("small", 0.38), ("tiny", 0.15)])
def test_compact_adapters_have_the_sizes_of_the_specification(preset: str, millions: float) -> None:
    with torch.device("meta"):
        factors = AdapterFactors(networks.build("abair", preset=preset), rank=4)
    assert sum(value.numel() for value in factors.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("vectors", [False, True])
def test_a_fresh_adapter_is_bit_identical_to_the_base(mode: str, vectors: bool) -> None:
    base = network()
    phase = Adaptation(
        base, "noise", AdapterFactors(base, mode=mode, vectors=vectors), iterations=1, learning_rate=1e-3
    )
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(phase.restore(image), base(image))


@pytest.mark.parametrize("mode", MODES)
def test_merging_in_numpy_equals_training_in_torch(mode: str) -> None:
    base = network()
    factors = moved(AdapterFactors(base, rank=3, alpha=6.0, mode=mode, vectors=True))
    weights = {name: value.detach() for name, value in base.named_parameters()}
    torch_side = factors.merged(weights)
    numpy_side = models.blend(
        {name: value.numpy() for name, value in weights.items()}, {"noise": as_model_adapter(factors)}, {"noise": 1.0}
    )
    changed = 0
    for name, value in torch_side.items():
        np.testing.assert_allclose(numpy_side[name], value.detach().numpy(), rtol=0, atol=1e-6)
        changed += not torch.equal(value, weights[name])
    assert changed > 5


def test_merged_weights_equal_the_branch_form() -> None:
    """A compact adapter run beside its layer: conv with `down`, then 1x1 with `up`, added to the layer's own output."""
    layer = nn.Conv2d(5, 7, 3, padding=1, bias=False)
    factors = moved(AdapterFactors(nn.Sequential(layer), rank=2, alpha=3.0))
    image = torch.rand(1, 5, 9, 11)
    with torch.no_grad():
        merged = factors.merged({"0.weight": layer.weight})["0.weight"]
        own = factors.named_factors()["0.weight"]
        branch = nn.functional.conv2d(nn.functional.conv2d(image, own["down"], padding=1), own["up"][:, :, None, None])
        torch.testing.assert_close(nn.functional.conv2d(image, merged, padding=1), layer(image) + 1.5 * branch)


def test_gradients_reach_the_factors_and_leave_the_base_alone() -> None:
    base = network()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    phase = Adaptation(base, "noise", AdapterFactors(base), iterations=10, learning_rate=1e-2)
    optimiser = torch.optim.SGD(phase.trainable(), lr=0.1)
    image, target = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    losses = []
    for _ in range(3):
        loss = nn.functional.mse_loss(phase.restore(image), target)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < losses[0]
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
    assert all(value.grad is None for value in base.parameters())


def test_modes_choose_their_layers() -> None:
    base = network()
    names = {mode: set(AdapterFactors(base, mode=mode).named_factors()) for mode in MODES}
    assert names["attention_only"] < names["compact"] == names["loralib"]
    assert all("attn" in name for name in names["attention_only"])
    assert not any("dwconv" in name for name in names["pointwise_only"])


def test_unknown_modes_and_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="known: compact"):
        AdapterFactors(network(), mode="dora")
    with pytest.raises(ValueError, match="at least 1"):
        AdapterFactors(network(), rank=0)
