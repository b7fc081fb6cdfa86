"""ConStyle's encoders and the networks that they guide, beyond what all networks promise."""

from __future__ import annotations

from typing import Any, cast

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from unveil import networks  # noqa: E402
from unveil.errors import UnknownNetwork  # noqa: E402
from unveil.methods.constyle.backbones import ConStyleConv  # noqa: E402
from unveil.methods.constyle.encoder import ConStyle, ConStyleV2, Encoder  # noqa: E402

SMALL: dict[str, dict[str, Any]] = {
    "constyle-conv": {"dim": 8},
    "constyle-restormer": {"dim": 8, "left": [1, 2, 1], "bottom": 1, "right": [3, 1, 2], "refinement": 2},
    "constyle-nafnet": {"dim": 8, "left": [1, 2, 1], "bottom": 1, "right": [3, 1, 2]},
}


@pytest.fixture
def guided() -> ConStyleConv:
    torch.manual_seed(0)
    return ConStyleConv(dim=8).eval()


def trained(encoder: Encoder) -> dict[str, Tensor]:
    """The official training state of an encoder: momentum encoder and queue beside the encoder itself."""
    state = {name: torch.rand_like(value) for name, value in encoder.state_dict().items() if value.is_floating_point()}
    return {
        **{f"encoder_q.{name}": value for name, value in state.items()},
        **{f"encoder_k.{name}": 0 * value for name, value in state.items()},
        "queue": torch.rand(128, 64),
        "queue_ptr": torch.zeros(1, dtype=torch.int64),
    }


@pytest.mark.parametrize("encoder", [ConStyle(), ConStyleV2(classes=3)])
def test_a_training_checkpoint_gives_the_encoder_of_the_queries(encoder: Encoder) -> None:
    state = trained(encoder)
    found = networks.from_state({"params": {name: 0 * value for name, value in state.items()}, "params_ema": state})
    assert type(found) is type(encoder)
    torch.testing.assert_close(found.state_dict()["mlp1.0.weight"], state["encoder_q.mlp1.0.weight"])


def test_an_encoder_that_lacks_a_stage_is_refused() -> None:
    state = {name: value for name, value in trained(ConStyle()).items() if ".stage2." not in name}
    with pytest.raises(UnknownNetwork, match=r"constyle.*missing.*stage2"):
        networks.from_state(state)


@pytest.mark.parametrize("name", SMALL)
def test_sizes_are_read_back_from_official_names(name: str) -> None:
    network = networks.build(name, **SMALL[name])
    state = {official(key, name): value for key, value in network.state_dict().items()}
    state |= {"ConStyle.queue": torch.rand(128, 64), "ConStyle.encoder_k.stage1.0.0.weight": torch.rand(16, 3, 3, 3)}
    found = networks.recognise({"params_ema": state})
    assert found.name == name
    assert {key: found.config[key] for key in SMALL[name]} == SMALL[name]


def official(key: str, name: str) -> str:
    """One of our names as the authors have it, written out independently of `naming`."""
    first, _, rest = key.partition(".")
    if first in ("left1", "left2", "left3", "right1", "right2", "right3"):
        return f"Process_Module_{first[0]}{first[-1]}.{rest}"
    if first.startswith("down"):
        part, _, rest = rest.partition(".")
        return f"DC{first[-1]}.down.{rest}" if part == "shrink" else f"AffineTransform{int(first[-1]) - 1}.{rest}"
    if first.startswith("up"):
        part, _, rest = rest.partition(".")
        return f"UC{first[-1]}.{'up' if part == 'grow' else 'down'}.{rest}"
    last = {"constyle-conv": 1, "constyle-restormer": 2, "constyle-nafnet": 0}[name]
    prefixes = {
        "encoder": "ConStyle.encoder_q",
        "preprocess": "Preprocess_Module.0" if name == "constyle-nafnet" else "Preprocess_Module",
        "bottom": "Process_Module_bottom",
        "fusion": "local_fusion",
        "gate": "mlp.0",
        "refinement": "Finetune_Module.0" if name == "constyle-conv" else "Finetune_Module",
        "output": f"Finetune_Module.{last}",
    }
    return f"{prefixes[first]}.{rest}"


def test_the_code_of_a_picture_is_what_its_restoration_uses(guided: ConStyleConv) -> None:
    image = torch.rand(2, 3, 32, 48)
    with torch.inference_mode():
        code = guided.summarise(image)
        torch.testing.assert_close(guided.restore(image, code), guided(image))
        assert not torch.allclose(guided.restore(image, code.flip(0) + 1), guided(image))
    assert code.shape == (2, guided.code)


def test_tiles_under_the_code_of_the_whole_equal_the_whole(guided: ConStyleConv) -> None:
    """Apart from the code, a guided network of plain convolutions is local: the middle of a large tile is exact."""
    image = torch.rand(1, 3, 32, 512)
    with torch.inference_mode():
        whole = guided(image)
        code = guided.summarise(image)
        tile = guided.restore(image[..., :384], code)
        torch.testing.assert_close(tile[..., :192], whole[..., :192])
        own = guided.restore(image[..., :384], guided.summarise(image[..., :384]))
    assert not torch.equal(own[..., :192], whole[..., :192])


def test_the_encoder_runs_once_in_a_plain_call(guided: ConStyleConv) -> None:
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    guided.encoder.stage1.register_forward_hook(count)
    guided(torch.rand(1, 3, 16, 16))
    assert calls == 1


def test_stored_statistics_are_used_as_they_are(guided: ConStyleConv) -> None:
    image = torch.rand(1, 3, 16, 16)
    norm = cast("torch.nn.BatchNorm1d", guided.encoder.mlp1[1])
    assert norm.running_mean is not None
    with torch.inference_mode():
        code = guided.summarise(image)
        before = guided.encoder.heads(code)[1]
        norm.running_mean += 0.5
        after = guided.encoder.heads(code)[1]
    assert not torch.allclose(before, after)
