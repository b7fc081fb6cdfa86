"""The head of Phase I in a model file: the graph that tells the damage of every region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unveil import models, networks  # noqa: E402
from unveil.errors import RecipeError  # noqa: E402
from unveil.methods.abair.pretraining import SegmentationHead  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402
from unveil.training.abair import packing  # noqa: E402
from unveil.training.abair.chain import AbairChain  # noqa: E402
from unveil.training.abair.recipe import AbairRecipe  # noqa: E402

STAGE = {"iterations": 1, "batch": 1, "patch": 16, "learning_rate": 1e-3}
NETWORK = {"name": "fastnaf", "width": 8, "encoder": [1], "middle": 1, "decoder": [1], "unshuffle": 2}
CLASSES = ("noise", "dark", "clean")


def recipe(**pretraining: Any) -> AbairRecipe:
    return AbairRecipe.from_dict(
        {
            "name": "little",
            "network": NETWORK,
            "pretraining": {**STAGE, "degradations": dict.fromkeys(CLASSES, 1), "regions": [1.0], **pretraining},
            "adaptation": STAGE,
            "adapters": {},
            "estimation": STAGE,
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A run whose Phase I is said to be finished, its network and its head."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    network = networks.build(**NETWORK).eval()
    head = SegmentationHead(network.features, len(CLASSES)).eval()
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    state |= {f"head.{name}": value for name, value in head.state_dict().items()}
    (folder / "pretraining").mkdir()
    record = {"recipe": recipe().as_dict()}
    torch.save({"state_dict": state, "unveil": record}, folder / "pretraining" / "final.ckpt")
    return folder, network, head


@pytest.fixture(scope="module")
def mapped(trained: tuple[Path, Any, Any]) -> models.Model:
    """Its model with the map; tracing takes its time, so once for all tests."""
    folder = trained[0]
    return models.read(models.write(AbairChain(recipe(map=True), folder).model(), folder / "mapped.safetensors"))


def test_the_head_stays_out_unless_asked_for(
    trained: tuple[Path, Any, Any], mapped: models.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {role: mapped.weights[role] for role in ("restore",)}, {"restore": mapped.graphs["restore"]}
    monkeypatch.setattr(packing, "trace_roles", lambda *_, **__: roles)
    monkeypatch.setattr(packing, "measured_halo", lambda _: mapped.card.halo)
    plain = AbairChain(recipe(), trained[0]).model()
    assert (plain.card.map, list(plain.graphs), list(plain.weights)) == ((), ["restore"], ["restore"])
    assert plain.card.base_checksum == mapped.card.base_checksum


def test_the_map_is_what_the_head_says_of_the_bases_features(
    trained: tuple[Path, Any, Any], mapped: models.Model
) -> None:
    _, network, head = trained
    assert mapped.card.map == CLASSES
    assert set(mapped.weights["map"]) == {"map_head.weight", "map_head.bias"}
    pixels = np.random.default_rng(0).random((64, 96, 3), np.float32)
    with torch.no_grad():
        logits = head(network.encode(torch.from_numpy(pixels).permute(2, 0, 1)[None]))
    found = Restorer(mapped, threads=1).map(pixels)
    shares = torch.nn.functional.avg_pool2d(logits.softmax(1), found.cell * logits.shape[2] // 64)
    np.testing.assert_allclose(found.shares, shares[0].permute(1, 2, 0).numpy(), atol=5e-3)
    in_torch = Restorer(mapped, engine="torch", threads=1).map(pixels)
    np.testing.assert_allclose(in_torch.shares, found.shares, atol=1e-4)


def test_a_head_that_was_not_trained_is_no_map() -> None:
    with pytest.raises(RecipeError, match="head_weight"):
        recipe(map=True, head_weight=0)
