"""Adapters of every kind on every network of the table that restores."""

from __future__ import annotations

from typing import Any, cast

import pytest

torch = pytest.importorskip("torch")

from test_networks import small  # noqa: E402
from torch import nn  # noqa: E402

from unveil import networks  # noqa: E402
from unveil.methods.abair import variants  # noqa: E402
from unveil.methods.abair.conv_lora import ConvLoraFactors  # noqa: E402

# Networks of explicit prompts are run with one beside the picture, which adapters are not trained for.
FITTING = sorted(name for name, entry in networks.NETWORKS.items() if entry.restores and entry.form != "explicit")
RESTORING = [
    pytest.param(name, marks=[pytest.mark.exhaustive] if "-" in name or name == "guided" else []) for name in FITTING
]


def learned(network: nn.Module, variant: str) -> Any:
    torch.manual_seed(1)
    made = variants.fresh(network, variant=variant, rank=2)
    with torch.no_grad():
        for value in made.parameters():
            value.add_(0.3 * torch.randn_like(value))
    return made.eval()


@pytest.mark.parametrize("name", RESTORING)
def test_every_kind_of_adapter_fits_and_a_fresh_one_changes_nothing(name: str) -> None:
    network = small(name).eval()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = network(image)
        for variant in variants.VARIANTS:
            fresh = variants.fresh(network, variant=variant, rank=2).eval()
            changed = fresh.run(network, image)
            if fresh.is_mergeable:
                assert torch.equal(changed, plain), variant
            else:
                # It listens to the layers, which are then called as they are and round otherwise.
                assert torch.allclose(changed, plain, atol=1e-5), variant
            assert not torch.equal(learned(network, variant).run(network, image), plain), variant
        assert torch.equal(network(image), plain)


@pytest.mark.parametrize("name", RESTORING)
def test_every_layer_that_the_network_uses_has_its_branch_of_conv_lora(name: str) -> None:
    """A network that took a convolution's weight without calling the layer would leave the branch out unseen."""
    network = small(name).eval()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    parameters = dict(network.named_parameters())
    grads = torch.autograd.grad(network(image).sum(), list(parameters.values()), allow_unused=True)
    used = {key for key, grad in zip(parameters, grads, strict=True) if grad is not None}
    made = cast(ConvLoraFactors, learned(network, "conv_lora"))
    made.run(network, image).sum().backward()
    reached = {
        key.rpartition("/")[0].replace("|", ".") for key, value in made.factors.items() if value.grad is not None
    }
    assert used & set(made.branched) <= reached
