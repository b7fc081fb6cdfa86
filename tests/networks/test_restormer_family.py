"""PromptIR and X-Restormer: what the shared tests cannot know."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402

SMALL = {"dim": 8, "blocks": (1, 1, 1, 1), "refinement": 1}


def count(name: str, **config: object) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in networks.build(name, **config).parameters())


def test_original_promptir_weights_load_without_their_unused_convolutions() -> None:
    torch.manual_seed(0)
    network = networks.build("promptir", **SMALL, prompt_dims=(4, 4, 8), prompt_sizes=(8, 4, 4)).eval()
    unused = {f"{name}{number}.weight" for name in ("chnl_reduce", "reduce_noise_channel_") for number in (1, 2, 3)}
    state = {f"net.{name}": value for name, value in network.state_dict().items()}
    state |= {f"net.{name}": torch.rand(4, 4, 1, 1) for name in unused}
    found = networks.recognise({"state_dict": state})
    assert (found.name, found.prefix) == ("promptir", "net.")
    assert set(found.dropped) == unused
    image = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        assert torch.equal(found.build()(image), network(image))


@pytest.mark.parametrize(
    ("config", "published"),
    [({}, 26.04), ({"blocks": (4, 6, 6, 8)}, 43.40), ({"dim": 44, "dim_head": 20}, 22.35)],
)
def test_xrestormer_has_the_published_sizes(config: dict[str, object], published: float) -> None:
    assert round(count("xrestormer", **config) / 1e6, 2) == published


def test_xrestormer_is_told_by_its_official_tensor_names() -> None:
    torch.manual_seed(0)
    network = networks.build("xrestormer", **SMALL, dim_head=4)
    names = set(network.state_dict())
    block = {f"latent.0.norm{number}.body.{kind}" for number in (1, 2, 3, 4) for kind in ("weight", "bias")}
    block |= {f"latent.0.{part}.qkv.weight" for part in ("channel_attn", "spatial_attn")}
    block |= {f"latent.0.spatial_attn.rel_pos_emb.rel_{side}" for side in ("height", "width")}
    block |= {f"latent.0.{part}.project_in.weight" for part in ("channel_ffn", "spatial_ffn")}
    assert block <= names
    found = networks.recognise({"params": network.state_dict()})
    assert (found.name, found.config["heads"], found.config["dim_head"]) == ("xrestormer", [1, 2, 4, 8], 4)
