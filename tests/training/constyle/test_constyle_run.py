"""The chain of ConStyle on toy sizes: both stages, what is frozen, what a run leaves behind, and the model file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from PIL import Image  # noqa: E402

import unveil  # noqa: E402
from unveil import training  # noqa: E402
from unveil.errors import RecipeError  # noqa: E402
from unveil.methods.constyle.encoder import ConStyleV2  # noqa: E402
from unveil.methods.constyle.encoder_file import read_encoder  # noqa: E402
from unveil.methods.constyle.restoring import RestorationTraining  # noqa: E402
from unveil.training.constyle.encoders import find_encoder  # noqa: E402

RECIPE = """
name: toy
method: constyle
seed: 5
precision: 32-true
network: {name: constyle-conv, dim: 8}
encoder:
  {iterations: 4, batch: 4, patch: 32, learning_rate: 1.0e-3, queue: 8, resize: 48, decay: 0.9, floor: 0.333, snow: 0.4}
restoration:
  {mixture: {noise: 1, haze: 1}, iterations: 4, batch: 2, patch: 32, learning_rate: 1.0e-3, queue: 8, decay: 0.5}
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

JOINT = ["encoder=null", "restoration.encoder_until=3"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for index in range(4):
        home = folder / ("cats" if index % 2 else "dogs")
        home.mkdir(exist_ok=True)
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((88, 64), Image.Resampling.BICUBIC).save(home / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "toy.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def finished(photographs: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.run(recipe, data=[photographs], out=tmp_path_factory.mktemp("run"), threads=1)


def state(path: Path, prefix: str = "") -> dict[str, Any]:
    found = torch.load(path, weights_only=True)["state_dict"]
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def test_the_frozen_encoder_is_that_of_stage_1_bit_for_bit(finished: Path) -> None:
    first = state(finished / "encoder" / "final.ckpt", "average.")
    for which in ("network.", "average."):
        inside = state(finished / "restoration" / "final.ckpt", f"{which}encoder.")
        assert inside
        assert all(torch.equal(first[name], value) for name, value in inside.items())
    assert first["classifier.3.weight"].shape[0] == 2


def test_an_encoder_alone_leaves_a_file_that_other_networks_take(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    encoder = read_encoder(finished / "encoder.safetensors")
    assert isinstance(encoder, ConStyleV2)
    changes = ["encoder=null", f"restoration.encoder={finished / 'encoder.safetensors'}", "restoration.iterations=1"]
    other = ["network={name: constyle-nafnet, dim: 8, left: [1, 1, 1], bottom: 1, right: [1, 1, 1]}"]
    folder = training.run(recipe, data=[photographs], out=tmp_path, phases=["restore"], overrides=[*changes, *other])
    inside = state(folder / "restoration" / "final.ckpt", "network.encoder.")
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in inside.items())
    # And so does a file of a whole guided network, or the run itself.
    assert all(
        torch.equal(value, encoder.state_dict()[name]) for name, value in find_encoder(folder).state_dict().items()
    )


def test_the_model_file_restores_and_agrees_with_torch(finished: Path, photographs: Path) -> None:
    model = finished / "model.safetensors"
    image = np.random.default_rng(1).random((40, 52, 3), dtype=np.float32)
    onnx = unveil.load(model)
    assert onnx.card.codes == ("code",)
    assert onnx.card.recipe["photographs"]["folders"] == [photographs.name]
    by_onnx = onnx.restore(image)
    by_torch = unveil.load(model, engine="torch").restore(image)
    assert np.abs(by_onnx - by_torch).max() < 1e-4
    assert np.abs(by_onnx - image).max() > 1e-4
    subject = training.opened(finished).subjects()[0]
    answer = subject.restore(image, None, lambda done, of: None)  # type: ignore[arg-type]
    assert np.abs(answer.pixels - by_onnx).max() < 5e-3


def test_v1_trains_the_encoder_along_and_then_freezes_it(recipe: Path, photographs: Path, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    step = RestorationTraining.training_step

    def watching(self: RestorationTraining, batch: Any, index: int) -> Any:
        seen.append({name: value.clone() for name, value in self.network.encoder.state_dict().items()})
        return step(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RestorationTraining, "training_step", watching)
        training.run(recipe, data=[photographs], out=tmp_path, phases=["restore"], overrides=JOINT, threads=1)
    changed = [not torch.equal(a["stage1.0.0.weight"], b["stage1.0.0.weight"]) for a, b in pairwise(seen)]
    assert changed == [True, True, True]
    last = state(tmp_path / "restoration" / "final.ckpt", "network.encoder.")
    assert all(torch.equal(seen[3][name], value) for name, value in last.items())
    memory = state(tmp_path / "restoration" / "final.ckpt", "memory.")
    assert int(memory["pointer"]) == 3 * 2 % 8


def test_a_stopped_joint_run_goes_on_to_the_same_weights(recipe: Path, photographs: Path, tmp_path: Path) -> None:
    run = {"data": [photographs], "phases": ["restore"], "overrides": JOINT, "threads": 1}
    training.run(recipe, out=tmp_path / "whole", **run)
    step = RestorationTraining.training_step

    def stopping(self: RestorationTraining, batch: Any, index: int) -> Any:
        if self.global_step == 1:
            self.trainer.should_stop = True
        return step(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RestorationTraining, "training_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            training.run(recipe, out=tmp_path / "cut", **run)
    training.run(recipe, out=tmp_path / "cut", **run)
    whole, resumed = (state(tmp_path / name / "restoration" / "final.ckpt") for name in ("whole", "cut"))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_without_folders_of_classes_the_head_is_not_asked_for_them(
    recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    changes = ["restoration=null", "encoder.outputs=7", "encoder.iterations=1", "encoder.norms=recalibrated"]
    flat = [photographs / "cats"]
    folder = training.run(recipe, data=flat, out=tmp_path, overrides=changes, threads=1)
    assert not (folder / "model.safetensors").exists()
    encoder = read_encoder(folder / "encoder.safetensors")
    assert encoder.state_dict()["classifier.3.weight"].shape[0] == 7
    # The statistics were measured after training: they are no longer those of a fresh norm.
    assert encoder.mlp1[1].running_mean.abs().max() > 0
    assert int(encoder.mlp1[1].num_batches_tracked) in (0, 50)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["restoration.mixture={fog: 1}"], "no generator for fog"),
        (["restoration.noise=[0, 50]"], "one of pairs, noise and mixture"),
        (["encoder.queue=6"], "does not hold whole batches"),
        (["encoder.queue=0"], "nothing for the style loss"),
        (["encoder.parts=2"], "one queue"),
        (["encoder=null"], "frozen from the start"),
        (["restoration.key=other"], "expected one of clean, degraded"),
        (["encoder.norms=other"], "averaged, recalibrated, published"),
        (["network={name: conv, dim: 8}", "restoration.encoder_until=3"], "guided by no encoder"),
        (["encoder=null", "restoration=null"], "encoder, restoration, or both"),
    ],
)
def test_impossible_recipes_are_refused(
    changes: list[str], complaint: str, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=complaint):
        training.run(recipe, data=[photographs], out=tmp_path, phases=["restore"], overrides=changes)
