"""LoRA, VeRA and Conv-LoRA: what ABAIR asks of an adapter, for every kind and mode."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from unveil import models, networks  # noqa: E402
from unveil.errors import InvalidRequest, RecipeError  # noqa: E402
from unveil.methods.abair import conv_lora, variants, vera  # noqa: E402
from unveil.methods.abair.adaptation import Adaptation  # noqa: E402
from unveil.methods.abair.adapters import MODES, Adapter  # noqa: E402

KINDS = [
    *(("lora", mode) for mode in MODES),
    *(("vera", mode) for mode in vera.MODES),
    *(("conv_lora", mode) for mode in conv_lora.MODES),
]
MERGED = [(variant, mode) for variant, mode in KINDS if variant != "conv_lora"]


class Little(nn.Module):
    """A layer of every kind: dense, depthwise, grouped, pointwise, strided, linear; names as attention's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.attn = nn.Conv2d(8, 12, 1, bias=False)
        self.dwconv = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.halves = nn.Conv2d(12, 8, 3, padding=1, groups=2)
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.mean = nn.Linear(16, 16)
        self.last = nn.Conv2d(16, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.halves(F.gelu(self.dwconv(self.attn(F.gelu(self.first(x)))))))
        y = F.gelu(self.down(y))
        y = y * self.mean(y.mean((2, 3)))[:, :, None, None].sigmoid()
        return x + F.pixel_shuffle(self.last(y), 2)


def little() -> nn.Module:
    torch.manual_seed(0)
    return Little().eval()


def adapter(network: nn.Module, variant: str, mode: str, *, seed: int = 1, **settings: Any) -> Adapter:
    """One that has learned something."""
    torch.manual_seed(seed)
    made = variants.fresh(network, variant=variant, mode=mode, **settings)
    with torch.no_grad():
        for value in made.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return made.eval()


def stored(made: Adapter, name: str = "noise") -> models.Adapter:
    """As a model file has it."""
    factors = {key: {f: v.numpy() for f, v in group.items()} for key, group in made.named_factors().items()}
    return models.Adapter(name, made.rank, made.alpha, made.form, "", factors)


def blended(network: nn.Module, adapters: dict[str, models.Adapter], weights: dict[str, float]) -> nn.Module:
    """The network with a blend made by the light half."""
    base = {name: value.detach().numpy() for name, value in network.named_parameters()}
    result = copy.deepcopy(network)
    found = models.blend(base, adapters, weights)
    result.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in found.items()})
    return result


def picture(*shape: int) -> Tensor:
    return torch.rand(*(shape or (2, 3, 18, 22)), generator=torch.Generator().manual_seed(5))


def branches(network: nn.Module, made: Adapter, image: Tensor) -> Tensor:
    """The adapter run beside its layers: down, then up, added to each layer's own answer. Nothing is merged."""
    scale = made.alpha / made.rank
    factors = made.named_factors()

    def hook(name: str) -> Any:
        own = factors[f"{name}.weight"]

        def add(layer: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            (x,) = inputs
            if isinstance(layer, nn.Linear):
                return output + scale * (x @ own["down"].T) @ own["up"].T
            place = {"stride": layer.stride, "padding": layer.padding}
            if "delta" in own:
                return output + F.conv2d(x, own["delta"], groups=layer.groups, **place)
            if "lora_a" in own:
                side = layer.kernel_size[0]
                product = (own["lora_b"] @ own["lora_a"]).reshape(layer.out_channels, -1, side, side)
                return output + scale * F.conv2d(x, product, groups=layer.groups, **place)
            down = own["down"]
            narrow_down = down if down.ndim == 4 else down[:, :, None, None]
            if layer.groups == 1:
                narrow = F.conv2d(x, narrow_down, **place)
                return output + scale * F.conv2d(narrow, own["up"][:, :, None, None])
            # Each group sees its own inputs through the same narrow kernels.
            parts = [F.conv2d(part, narrow_down, **place) for part in x.chunk(layer.groups, 1)]
            ups = own["up"].chunk(layer.groups, 0)
            wide = [F.conv2d(part, up[:, :, None, None]) for part, up in zip(parts, ups, strict=True)]
            return output + scale * torch.cat(wide, 1)

        return add

    names = {name.removesuffix(".weight") for name in factors}
    hooks = [network.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    try:
        return network(image)
    finally:
        for each in hooks:
            each.remove()


@pytest.mark.parametrize(("variant", "mode"), KINDS)
@pytest.mark.parametrize("vectors", [False, True])
def test_a_fresh_adapter_is_bit_identical_to_the_base(variant: str, mode: str, vectors: bool) -> None:
    base = little()
    fresh = variants.fresh(base, variant=variant, mode=mode, vectors=vectors)
    with torch.no_grad():
        assert torch.equal(fresh.run(base, picture()), base(picture()))


@pytest.mark.parametrize(("variant", "mode"), KINDS)
def test_an_adapter_that_learned_changes_the_answer_and_leaves_the_base_alone(variant: str, mode: str) -> None:
    base = little()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    made = adapter(base, variant, mode)
    with torch.no_grad():
        plain = base(picture())
        assert not torch.equal(made.run(base, picture()), plain)
        assert torch.equal(base(picture()), plain)
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())


@pytest.mark.parametrize(("variant", "mode"), MERGED)
@pytest.mark.parametrize(("rank", "alpha"), [(1, None), (3, 6.0)])
def test_merged_equals_the_branch_form(variant: str, mode: str, rank: int, alpha: float | None) -> None:
    base = little()
    made = adapter(base, variant, mode, rank=rank, alpha=alpha)
    with torch.no_grad():
        expected = branches(base, made, picture())
        torch.testing.assert_close(made.run(base, picture()), expected, atol=1e-5, rtol=0)
        light = blended(base, {"noise": stored(made)}, {"noise": 1.0})
        torch.testing.assert_close(light(picture()), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_merged_equals_the_branch_form_on_the_papers_network(mode: str) -> None:
    torch.manual_seed(0)
    base = networks.build("abair", preset="tiny", dim=8, blocks=(1, 0, 0, 1), refinement=0).eval()
    torch.manual_seed(1)
    made = variants.fresh(base, mode=mode, rank=2)
    with torch.no_grad():
        for value in made.parameters():
            value.add_(0.02 * torch.randn_like(value))
        image = picture(1, 3, 64, 64)
        expected = branches(base, made, image)
        assert (expected - base(image)).abs().max() > 1e-3
        torch.testing.assert_close(made.run(base, image), expected, atol=1e-5, rtol=0)


def test_one_hot_weights_are_the_adapter_alone_and_their_order_changes_nothing() -> None:
    base = little()
    made = {
        "noise": adapter(base, "lora", "compact", seed=1),
        "rain": adapter(base, "vera", "compact", seed=2),
        "haze": adapter(base, "lora", "loralib", seed=3, vectors=True),
    }
    files = {name: stored(each, name) for name, each in made.items()}
    with torch.no_grad():
        for name, each in made.items():
            hot = {other: float(other == name) for other in made}
            torch.testing.assert_close(
                blended(base, files, hot)(picture()), each.run(base, picture()), atol=1e-6, rtol=0
            )
        mixed = {"noise": 0.5, "rain": 0.2, "haze": 0.3}
        turned = {name: files[name] for name in reversed(files)}
        torch.testing.assert_close(
            blended(base, files, mixed)(picture()),
            blended(base, turned, dict(reversed(mixed.items())))(picture()),
            atol=1e-6,
            rtol=0,
        )


def test_taking_an_adapter_out_restores_the_base_exactly() -> None:
    base = little()
    files = {"noise": stored(adapter(base, "lora", "compact"))}
    weights = {name: value.detach().numpy() for name, value in base.named_parameters()}
    models.blend(weights, files, {"noise": 0.7})
    back = models.blend(weights, files, {"noise": 0.0})
    for name, value in base.state_dict().items():
        np.testing.assert_array_equal(back[name], value.numpy())


@pytest.mark.parametrize(("variant", "mode"), KINDS)
def test_every_parameter_learns_once_the_factors_have_left_zero(variant: str, mode: str) -> None:
    base = little()
    made = adapter(base, variant, mode, vectors=True).train()
    phase = Adaptation(base, "noise", made, iterations=1, learning_rate=1e-2)
    # Many different pictures, so that the gate of a mixture chooses each of its experts for some.
    F.mse_loss(phase.restore(picture(64, 3, 12, 12) * torch.rand(64, 3, 1, 1)), picture(64, 3, 12, 12)).backward()
    grads = {name: value.grad for name, value in made.named_parameters()}
    assert all(value is not None and bool(value.isfinite().all()) for value in grads.values())
    still = [name for name, value in grads.items() if value is not None and not value.any()]
    assert not [name for name in still if "mixtures" not in name]
    assert all(value.grad is None for value in base.parameters())


@pytest.mark.parametrize("variant", ["lora", "vera", "conv_lora"])
def test_training_begins_where_the_gradient_leads(variant: str) -> None:
    base = little()
    torch.manual_seed(3)
    made = variants.fresh(base, variant=variant, rank=4)
    phase = Adaptation(base, "noise", made, iterations=20, learning_rate=3e-2)
    # Two vectors a layer want larger steps than matrices.
    optimiser = torch.optim.Adam(phase.trainable(), lr=1.0 if variant == "vera" else 3e-2)
    image, target = picture(4, 3, 16, 16), picture(4, 3, 16, 16) * 0.6
    losses = []
    for _ in range(12):
        loss = F.l1_loss(phase.restore(image), target)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]


def test_a_mixture_gives_each_picture_the_expert_that_its_gate_chooses() -> None:
    torch.manual_seed(0)
    mixture = conv_lora.Mixture(5, 3).eval()
    with torch.no_grad():
        for expert in mixture.experts:
            expert.weight.add_(0.3 * torch.randn_like(expert.weight))
    narrow, x = torch.randn(6, 3, 7, 9), torch.randn(6, 5, 7, 9)
    shares = (x.mean((2, 3)) @ mixture.gate.weight.T).softmax(1)
    assert len(set(shares.argmax(1).tolist())) == 2
    with torch.no_grad():
        mixed = mixture(narrow, x)
        for sample in range(6):
            chosen = int(shares[sample].argmax())
            one = narrow[sample : sample + 1]
            if chosen == 0:
                expected = mixture.experts[0](one)
            else:
                wide = mixture.experts[1](F.interpolate(one, scale_factor=2, mode="bilinear"))
                expected = F.avg_pool2d(wide, 2)
            torch.testing.assert_close(mixed[sample : sample + 1], shares[sample, chosen] * expected)
        torch.testing.assert_close(mixture.train()(narrow, x), mixed)


def test_what_a_conv_lora_adapter_does_depends_on_the_picture_and_is_never_merged() -> None:
    base = little()
    made = adapter(base, "conv_lora", "compact")
    assert not made.is_mergeable
    for merge in (made.changes, made.named_factors, lambda: made.merged(dict(base.named_parameters()))):
        with pytest.raises(InvalidRequest, match="depends on the picture"):
            merge()


def test_a_vera_adapter_learns_two_vectors_a_layer() -> None:
    base = little()
    made = variants.fresh(base, variant="vera", rank=5)
    layers = [m for m in base.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(value.numel() for value in made.parameters()) == sum(layer.weight.shape[0] + 5 for layer in layers)


@pytest.mark.parametrize("rank", [4, 8])
def test_sizes_on_the_papers_baseline(rank: int) -> None:
    with torch.device("meta"):
        network = networks.build("abair", preset="full")
        counts = {
            variant: sum(value.numel() for value in variants.fresh(network, variant=variant, rank=rank).parameters())
            for variant in ("lora", "vera", "conv_lora")
        }
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    dense = [layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.groups == 1]
    assert counts["vera"] == sum(layer.weight.shape[0] + rank for layer in layers)
    mixtures = sum(2 * layer.in_channels + 2 * 9 * rank**2 for layer in dense)
    assert counts["conv_lora"] == counts["lora"] + mixtures


@pytest.mark.parametrize("name", ["abair", "fastnaf"])
def test_every_branch_of_conv_lora_is_reached_on_networks_that_unveil_trains(name: str) -> None:
    """A network that called a convolution's weight without the layer would leave a branch out unseen."""
    sizes: dict[str, Any] = {
        "abair": {"preset": "tiny", "dim": 8, "blocks": (1, 0, 0, 1), "refinement": 0},
        "fastnaf": {"width": 8, "encoder": [1], "middle": 1, "decoder": [1]},
    }
    torch.manual_seed(0)
    network = networks.build(name, **sizes[name]).eval()
    made = adapter(network, "conv_lora", "compact")
    made.run(network, picture(1, 3, 64, 64)).sum().backward()
    idle = tuple(part.replace(".", "|") for part in network.idle())
    missed = [
        n for n, value in made.named_parameters() if value.grad is None and not n.split(".", 1)[1].startswith(idle)
    ]
    assert not [n for n in missed if "mixtures" not in n]


def test_what_does_not_exist_is_refused() -> None:
    base = little()
    for settings, said in (
        ({"variant": "dora"}, "known: lora, vera, conv_lora"),
        ({"variant": "vera", "mode": "loralib"}, "of vera; known: compact"),
        ({"variant": "conv_lora", "mode": "loralib"}, "of conv_lora; known: compact"),
        ({"variant": "vera", "rank": 0}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            variants.fresh(base, **settings)


def test_recipes_choose_the_variant() -> None:
    from unveil.training.abair.chain import fresh_adapter
    from unveil.training.abair.recipe import AdapterStage

    plain = {"iterations": 1, "batch": 1, "patch": 8, "learning_rate": 1e-3}
    base = little()
    assert fresh_adapter(base, AdapterStage(**plain)).form == "compact"
    assert (
        fresh_adapter(base, AdapterStage(**plain, variant="vera", mode="attention_only")).form == "vera:attention_only"
    )
    with pytest.raises(RecipeError, match="known: lora, vera, conv_lora"):
        fresh_adapter(base, AdapterStage(**plain, variant="dora"))


def test_a_run_with_conv_lora_is_measured_without_merging() -> None:
    from unveil.evaluation.sets import EvaluationSet
    from unveil.training.abair.subjects import AbairSubject

    base = little()
    made = adapter(base, "conv_lora", "compact")
    noisy = EvaluationSet(name="n", printed="n", label="n", degradation="noise")
    pixels = picture(1, 3, 16, 20)[0].permute(1, 2, 0).numpy()
    answers = {
        rule: AbairSubject(rule, base, {"noise": made}, None).restore(pixels, noisy, lambda *_: None)
        for rule in ("base", "oracle")
    }
    with torch.no_grad():
        expected = made.run(base, picture(1, 3, 16, 20))[0].permute(1, 2, 0).clamp(0, 1).numpy()
    np.testing.assert_allclose(answers["oracle"].pixels, expected, atol=1e-6)
    assert not np.array_equal(answers["base"].pixels, answers["oracle"].pixels)
