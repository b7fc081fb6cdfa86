"""What prompts do to a network (MiOIR)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402
from unveil.methods.mioir.classifier import Classifier  # noqa: E402
from unveil.methods.mioir.prompting import (  # noqa: E402
    LENGTH,
    AdaptiveNetwork,
    ExplicitNetwork,
    Extractor,
    PromptedNetwork,
)
from unveil.methods.mioir.tasks import TASKS  # noqa: E402
from unveil.networks.promptir import PromptIR  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from cases import Case  # noqa: E402

SIZES: dict[str, dict[str, Any]] = {
    "srresnet": {"dim": 8, "blocks": 2},
    "swinir": {"dim": 12, "depths": (2, 1), "heads": (2, 3), "features": 8},
    "restormer": {"dim": 8, "blocks": (1, 1, 1, 1), "refinement": 1},
    "uformer": {"dim": 4, "depths": (1,) * 9, "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2)},
}


@pytest.fixture(params=SIZES)
def backbone(request: pytest.FixtureRequest) -> str:
    return request.param


def prompted(backbone: str, form: str) -> PromptedNetwork:
    torch.manual_seed(0)
    network = cast("PromptedNetwork", networks.build(f"{backbone}-{form}", **SIZES[backbone]))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def without_prompt_layers(network: PromptedNetwork) -> PromptedNetwork:
    with torch.no_grad():
        for layers in (network.scale, network.shift):
            for parameter in layers.parameters():
                parameter.zero_()
    return network


@pytest.mark.parametrize("form", ["ep", "ap"])
def test_a_plain_network_seeds_its_prompted_form(backbone: str, form: str) -> None:
    torch.manual_seed(1)
    plain = networks.build(backbone, **SIZES[backbone]).eval()
    network = without_prompt_layers(prompted(backbone, form))
    network.trunk.load_state_dict(plain.state_dict())
    image, prompt = torch.rand(2, 3, 37, 53), torch.rand(2, 128, 128)
    with torch.inference_mode():
        found = network(image, prompt) if form == "ep" else network(image)
        assert torch.equal(found, plain(image))


def test_different_prompts_in_a_batch_equal_singles(backbone: str) -> None:
    network = prompted(backbone, "ep").double()
    image, prompts = torch.rand(2, 3, 24, 40).double(), torch.rand(2, 128, 128).double()
    with torch.inference_mode():
        together = network(image, prompts)
        alone = torch.cat([network(image[[i]], prompts[[i]]) for i in (0, 1)])
        swapped = network(image, prompts.flip(0))
        shared = network(image, prompts[:1])
    torch.testing.assert_close(together, alone)
    assert (together - swapped).abs().max() > 1e-4
    torch.testing.assert_close(shared[0], together[0])


def test_every_site_is_steered_by_its_own_extractor_alone(backbone: str) -> None:
    network = prompted(backbone, "ep")
    sites = cast("dict[str, int]", network.trunk.sites)
    assert set(network.wiring) <= set(sites)
    for site, channels in sites.items():
        code = torch.rand(1, network.code, requires_grad=True)
        network.steer(code)(site, torch.rand(1, channels, 3, 5)).sum().backward()
        assert code.grad is not None
        moved = code.grad.reshape(-1, LENGTH).any(1).nonzero().flatten().tolist()
        assert moved == [network.wiring.get(site, 0)], site


def test_every_site_is_reached(backbone: str) -> None:
    network = prompted(backbone, "ap")
    network(torch.rand(1, 3, 16, 16)).square().mean().backward()
    for layers in (network.scale, network.shift):
        without = [name for name, value in layers.named_parameters() if value.grad is None or not value.grad.any()]
        assert without == []


def test_the_adaptive_prompt_is_the_extended_picture(backbone: str) -> None:
    network = prompted(backbone, "ap")
    image = torch.rand(1, 3, 19, 30)
    fit = network.fit(image)
    extended = fit.extend(image)
    with torch.inference_mode():
        code = network.summarise(extended)
        assert code.shape == (1, network.code)
        torch.testing.assert_close(network(image), fit.cut(network.restore(extended, code)))
        # A head may stand between: both halves are under the same code.
        torch.testing.assert_close(network.decode(network.encode(extended), extended), network.restore(extended, code))


def test_pictures_are_extended_as_for_the_plain_network(backbone: str) -> None:
    image = torch.rand(1, 3, 37, 53)
    plain = cast("networks.Network", networks.build(backbone, **SIZES[backbone]))
    assert prompted(backbone, "ep").fit(image) == plain.fit(image)


@pytest.mark.parametrize("base", [ExplicitNetwork, AdaptiveNetwork])
def test_any_network_with_sites_can_be_prompted(base: type[PromptedNetwork]) -> None:
    class PromptedPromptIR(base):
        backbone = PromptIR
        wiring = {"output": 1}  # noqa: RUF012

    torch.manual_seed(0)
    network = PromptedPromptIR(**SIZES["restormer"], prompt_dims=(4, 4, 8), prompt_sizes=(8, 4, 4)).eval()
    inputs = [torch.rand(2, 3, 16, 24), *([torch.rand(2, 128, 128)] if base is ExplicitNetwork else [])]
    with torch.inference_mode():
        assert network(*inputs).shape == inputs[0].shape
    assert network.code == 2 * LENGTH


@pytest.mark.parametrize("name", ["restormer-ep", "restormer-ap", "srresnet-ep", "srresnet-ap"])
def test_the_form_is_told_by_what_the_extractors_read(name: str) -> None:
    assert networks.recognise(Case.load(f"mioir-{name}").state()).name == name


def test_maps_of_the_extractor_have_the_published_sizes() -> None:
    sides: list[int] = []
    extractor = Extractor(1)
    for layer in extractor.children():
        layer.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    assert extractor(torch.rand(3, 1, 128, 128)).shape == (3, LENGTH)
    assert sides == [62, 31, 16]


def test_only_the_body_of_a_prompted_srresnet_starts_small() -> None:
    torch.manual_seed(0)
    trunk = networks.build("srresnet-ep").trunk
    assert trunk.conv_first.weight.std() > 0.09
    assert trunk.conv_first.bias.abs().min() > 0
    assert trunk.body[0].conv1.weight.std() < 0.01
    assert not trunk.body[0].conv1.bias.any()


@pytest.mark.parametrize(("backbone", "deviation"), [("swinir", 0.02), ("uformer", 0.02), ("restormer", 0.072)])
def test_prompt_layers_start_as_published(backbone: str, deviation: float) -> None:
    torch.manual_seed(0)
    network = cast("PromptedNetwork", networks.build(f"{backbone}-ap", **SIZES[backbone]))
    weights = torch.cat([layer.weight.detach().flatten() for layer in network.scale.values()])
    assert weights.std() == pytest.approx(deviation, rel=0.1)
    biases = torch.cat([layer.bias for layer in network.shift.values()])
    assert bool(biases.any()) == (backbone == "restormer")


def test_the_classifier_gives_probabilities_of_known_tasks() -> None:
    torch.manual_seed(0)
    classifier = Classifier(dim=16, out=8).eval()
    images = torch.rand(3, 3, 31, 20)
    with torch.inference_mode():
        found = classifier(images)
        torch.testing.assert_close(found, classifier.logits(images).softmax(1))
        torch.testing.assert_close(found, torch.cat([classifier(image[None]) for image in images]))
    assert found.shape == (3, len(TASKS)) == (3, 7)
    torch.testing.assert_close(found.sum(1), torch.ones(3))
