"""Weights trained here in the plain shapes load elsewhere: official names, float32, all that a strict load asks for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unveil import models, networks  # noqa: E402
from unveil.commands.application import run  # noqa: E402
from unveil.models import Card, Model, base_checksum  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent / "reference"))

from cases import Case  # noqa: E402


def model_of(name: str, half: bool = False) -> Model:
    """A model of a reference case's network; its graph is not looked at here."""
    found = networks.recognise(Case.load(name).state())
    weights = {key: value.numpy() for key, value in found.weights.items()}
    weights = {key: value.astype(np.float16) for key, value in weights.items()} if half else weights
    card = Card(
        name="official",
        network={"name": found.name, "config": found.config},
        size_multiple=8,
        stride=8,
        halo=8,
        base_checksum=base_checksum(weights),
        degradations={},
        adapters={},
        blend="none",
    )
    return Model(None, card, {"restore": weights}, {}, {"restore": b"none"}, {})


def exported(tmp_path, model: Model, ending: str) -> dict[str, torch.Tensor]:
    source, target = tmp_path / "m.safetensors", tmp_path / f"official{ending}"
    models.write(model, source)
    assert run(["export", str(source), "-o", str(target), "--official-names"]) == 0
    if ending == ".pth":
        return torch.load(target, weights_only=True)["params"]
    from safetensors.torch import load_file

    return load_file(target)


@pytest.mark.parametrize(
    "name", ["mioir-restormer-m", "constyle-v1-nafnet", "mioir-swinir-m", "mioir-uformer-m", "mioir-restormer-ep"]
)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_names_values_and_shapes_are_the_official_ones(tmp_path, name, ending):
    case = Case.load(name)
    state = exported(tmp_path, model_of(name), ending)
    extra = set(state) - set(case.shapes)
    assert {key.rpartition(".")[2] for key in extra} <= {"relative_position_index", "attn_mask"}
    for key, value in case.state().items():
        np.testing.assert_array_equal(state[key].numpy(), value)
    assert networks.from_state({"params": state})


def test_swinir_has_the_buffers_that_a_strict_load_asks_for(tmp_path):
    state = exported(tmp_path, model_of("mioir-swinir-m"), ".pth")
    blocks = [f"layers.{layer}.residual_group.blocks.{block}" for layer in range(2) for block in range(2)]
    for block in blocks:
        index = state[f"{block}.attn.relative_position_index"]
        assert (index.shape, index.dtype) == ((64, 64), torch.int64)
        # A pixel's distance to itself is the middle of the table, and the first to the last pixel is its start.
        assert (index[5, 5], index[0, 63], index[63, 0]) == (112, 0, 224)
        assert (f"{block}.attn_mask" in state) == block.endswith("1")
    mask = state["layers.0.residual_group.blocks.1.attn_mask"]
    assert mask.shape == (256, 64, 64)
    assert not mask[0].any()
    # In the last window, the first and the last pixel come from opposite corners of the picture.
    assert (mask[-1, 0, 63], mask[-1, 0, 1], mask[15, 0, 63], mask[15, 0, 56]) == (-100, 0, -100, 0)


def test_half_stored_weights_are_written_as_float32(tmp_path):
    state = exported(tmp_path, model_of("mioir-restormer-m", half=True), ".pth")
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_our_own_network_has_no_official_names(tmp_path, capsys):
    assert run(["export", models.DEFAULT, "-o", str(tmp_path / "x.pth"), "--official-names"]) == 2
    assert "no official implementation" in capsys.readouterr().err
    assert run(["export", models.DEFAULT, "-o", str(tmp_path / "x.pth")]) == 2
    assert "--official-names" in capsys.readouterr().err


def test_what_a_run_has_trained_is_written_without_tracing_it(tmp_path, monkeypatch):
    from unveil import graphs
    from unveil.training.recipe import Recipe

    sizes = {"name": "restormer", "dim": 8, "blocks": [1, 1, 1, 1], "refinement": 1}
    stage = {"degradations": {"noise": 1}, "iterations": 1, "batch": 1, "patch": 64, "learning_rate": 1e-3}
    others = {key: value for key, value in stage.items() if key != "degradations"}
    recipe = Recipe.from_dict(
        {"name": "tiny", "network": sizes, "pretraining": stage, "adaptation": others, "estimation": others}
    )
    network = networks.build(**sizes)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    checkpoint, target = tmp_path / "final.ckpt", tmp_path / "net_g.pth"
    torch.save({"state_dict": state, "unveil": {"recipe": recipe.as_dict()}}, checkpoint)
    monkeypatch.delattr(graphs, "trace")
    assert run(["export", str(checkpoint), "-o", str(target), "--official-names"]) == 0
    written = torch.load(target, weights_only=True)["params"]
    assert all(torch.equal(written[name], value) for name, value in network.state_dict().items())
