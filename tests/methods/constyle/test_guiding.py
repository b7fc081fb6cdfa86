"""Any U-Net under ConStyle's encoder: where it is let in, and what stays as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from unveil import models, networks  # noqa: E402
from unveil.errors import InvalidModel, InvalidRequest, ModelTooNew  # noqa: E402
from unveil.methods.constyle import guide, read_encoder, write_encoder  # noqa: E402
from unveil.methods.constyle.encoder import ConStyle, ConStyleV2  # noqa: E402
from unveil.methods.constyle.guiding import GuidedAny  # noqa: E402

NETWORKS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "nafnet": (
        {"width": 8, "encoder": [1, 1, 1], "middle": 1, "decoder": [1, 1, 1]},
        ["encoders.1", "encoders.2", "middle_blks"],
        "middle_blks",
    ),
    "fastnaf": (
        {"width": 8, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]},
        ["encoders.0", "encoders.1", "middle_blks"],
        "middle_blks",
    ),
    "restormer": (
        {"dim": 8, "blocks": (1, 1, 1, 1), "refinement": 0},
        ["encoder_level2", "encoder_level3", "latent"],
        "latent",
    ),
    "conv": ({"dim": 16}, ["Process_Module_l2", "Process_Module_l3", "Process_Module_bottom"], "Process_Module_bottom"),
    "uformer": (
        {"dim": 4, "image_size": 128, "depths": (1,) * 9, "heads": (1, 2, 2, 2, 4, 4, 2, 2, 2)},
        ["encoderlayer_1", "encoderlayer_2", "encoderlayer_3"],
        "conv",
    ),
    "maxim": (
        {"dim": 16, "bottlenecks": 1, "sides": (4, 4, 2, 8)},
        ["stage_0_encoder_block_1", "stage_0_encoder_block_2", "stage_0_global_block_0"],
        "stage_0_global_block_0",
    ),
    "abair": (
        {"preset": "tiny", "dim": 8, "blocks": (1, 1, 1, 1), "refinement": 0},
        ["encoder_level2", "encoder_level3", "latent"],
        "prompt3.fusion",
    ),
}


class Plain(nn.Module):
    """A user's U-Net that pools by functions and reads a value, so that shapes alone cannot be passed through it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 8, 3, padding=1)
        self.back = nn.Conv2d(14, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        fine = self.first(image).tanh()
        coarse = self.third(self.second(nn.functional.max_pool2d(fine, 2)).tanh())
        if float(coarse.detach().abs().max()) > 1e9:
            raise ValueError
        coarse = nn.functional.interpolate(coarse, scale_factor=2)
        return image + self.back(torch.cat((fine, coarse), 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_enter_where_a_level_begins_and_the_gate_follows_the_lowest(name: str) -> None:
    config, maps, bottleneck = NETWORKS[name]
    with torch.device("meta"):
        guided = guide(networks.build(name, **config))
    assert [site.module for site in guided.sites.maps] == maps
    assert [site.scale for site in guided.sites.maps] == [2, 4, 8]
    assert guided.sites.bottleneck.module == bottleneck


@pytest.mark.parametrize("name", ["nafnet", "uformer"])
def test_at_first_a_guided_network_does_what_it_did(name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(name, **NETWORKS[name][0]).eval()
    image = torch.rand(2, 3, 40, 56)
    with torch.inference_mode():
        before = network(image)
        guided = guide(network, ConStyle()).eval()
        torch.testing.assert_close(guided(image), before, rtol=1e-5, atol=1e-6)
        for join in guided.joins:
            join.mix.weight.add_(0.1 * torch.randn_like(join.mix.weight))
        assert not torch.allclose(guided(image), before, atol=1e-4)


def test_a_users_own_network_is_guided_and_learns_from_map_and_query() -> None:
    torch.manual_seed(0)
    guided = guide(Plain(), ConStyle(), size_multiple=2).eval()
    assert guided.size_multiple == 8
    assert [site.module for site in guided.sites.maps] == ["second"]
    assert guided.sites.bottleneck.module == "third"
    with torch.no_grad():
        for layer in (*(join.mix for join in guided.joins), guided.gate.mix):
            layer.weight.add_(0.1 * torch.randn_like(layer.weight))
    assert guided(torch.rand(2, 3, 21, 30)).shape == (2, 3, 21, 30)
    guided(torch.rand(2, 3, 16, 24)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in guided.parameters())


def test_sites_can_be_named() -> None:
    guided = guide(Plain(), sites=["third"], bottleneck="second", size_multiple=8)
    assert (guided.sites.maps[0].module, guided.sites.bottleneck.module) == ("third", "second")
    with pytest.raises(InvalidRequest, match=r"'fourth'.*second \(1/2\)"):
        guide(Plain(), sites=["fourth"])
    with pytest.raises(InvalidRequest, match="'first'"):
        guide(Plain(), sites=["first"])


def test_what_is_no_u_net_or_guided_already_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no U-Net"):
        guide(networks.build("srresnet", dim=8, blocks=1))
    with pytest.raises(InvalidRequest, match="guided already"):
        guide(networks.build("constyle-conv", dim=8))


def test_a_copy_hangs_on_to_its_own_joins() -> None:
    torch.manual_seed(0)
    guided = guide(networks.build("conv", dim=8)).eval()
    twin = copy.deepcopy(guided)
    image = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        before = guided(image)
        for join in guided.joins:
            join.mix.weight.add_(0.1)
        torch.testing.assert_close(twin(image), before)
        assert not torch.allclose(guided(image), before)


@pytest.mark.parametrize("network", ["guided", "constyle-conv"])
def test_a_severed_network_is_deaf_to_maps_or_query(network: str) -> None:
    torch.manual_seed(0)
    config: dict[str, Any] = {"dim": 8} if network == "constyle-conv" else {"of": {"name": "conv", "dim": 8}}
    for maps, query in ((True, False), (False, True)):
        guided = networks.build(network, **config).eval()
        with torch.no_grad():
            for parameter in guided.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        guided.sever(maps=maps, query=query)
        image = torch.rand(1, 3, 16, 16)
        seen = [torch.rand(1, channels, 16 // scale, 16 // scale) for channels, scale in ((32, 2), (64, 4), (128, 8))]
        code = torch.randn(1, 128)
        with torch.inference_mode():
            found = guided.answer(image, seen, code)
            same_maps = guided.answer(image, seen, code + 1)
            same_query = guided.answer(image, [value + 1 for value in seen], code)
        assert torch.equal(found, same_query) is maps
        assert torch.equal(found, same_maps) is query


def test_a_guided_network_is_built_by_name() -> None:
    guided = networks.build("guided", of={"name": "fastnaf", **NETWORKS["fastnaf"][0]}, added=5)
    assert isinstance(guided, GuidedAny)
    assert guided.joins[2].affine[0].out_channels == 5
    with pytest.raises(TypeError, match="below 'of'"):
        networks.build("guided", of={"name": "conv", "dim": 8}, dim=8)


@pytest.mark.parametrize("encoder", [ConStyle(), ConStyleV2(classes=4)])
def test_an_encoder_comes_back_from_its_file_bit_for_bit(encoder: Any, tmp_path: Any) -> None:
    encoder.mlp1[1].running_mean.add_(0.5)
    path = write_encoder(encoder, tmp_path / "encoder.safetensors", name="toy")
    found = read_encoder(path)
    assert type(found) is type(encoder)
    assert not found.training
    for name, value in encoder.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_foreign_and_newer_encoder_files_are_refused(tmp_path: Any) -> None:
    import json

    from safetensors.torch import load_file, save_file

    path = write_encoder(ConStyle(), tmp_path / "encoder.safetensors", name="toy")
    tensors = load_file(path)
    card = {"name": "toy", "network": {"name": "constyle", "config": {}}, "format": 2}
    save_file(tensors, tmp_path / "new.safetensors", {"unveil-encoder": json.dumps(card)})
    with pytest.raises(ModelTooNew, match="format 2"):
        read_encoder(tmp_path / "new.safetensors")
    card["format"] = 1
    del tensors["weights/encode/mlp2.0.weight"]
    save_file(tensors, tmp_path / "less.safetensors", {"unveil-encoder": json.dumps(card)})
    with pytest.raises(InvalidModel, match=r"mlp2\.0\.weight"):
        read_encoder(tmp_path / "less.safetensors")
    with pytest.raises(InvalidModel, match="an encoder, not a model"):
        models.read(path)
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(InvalidModel, match="no encoder"):
        read_encoder(tmp_path / "bare.safetensors")
