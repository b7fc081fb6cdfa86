"""The whole chain on toy sizes: resume, what a run leaves behind, and the model file at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import unveil  # noqa: E402
import unveil.models  # noqa: E402
from unveil import training  # noqa: E402
from unveil.errors import RecipeError  # noqa: E402
from unveil.methods.abair.pretraining import Pretraining  # noqa: E402
from unveil.training.fitting import part  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def weights(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_stopped_run_goes_on_to_the_same_weights(
    finished: Path, photographs: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Pretraining.training_step

    def stopping(self: Pretraining, batch: Any, index: int) -> Any:
        if self.global_step == 3:
            self.trainer.should_stop = True
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", stopping)
        with pytest.raises(KeyboardInterrupt, match="step 4 of 6"):
            training.run(recipe, data=[photographs], out=tmp_path, phases=["pretrain"], threads=1)
    assert (tmp_path / "pretraining" / "last.ckpt").exists()
    training.run(recipe, data=[photographs], out=tmp_path, phases=["pretrain"], threads=1)
    resumed, whole = (weights(folder / "pretraining" / "final.ckpt") for folder in (tmp_path, finished))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_checkpoints_carry_recipe_version_and_data(finished: Path) -> None:
    record = torch.load(finished / "pretraining" / "final.ckpt", weights_only=True)["unveil"]
    assert record["recipe"]["network"]["width"] == 8
    assert record["version"] == unveil.__version__
    assert record["data"].startswith("sha256:")


def test_adapting_leaves_the_base_bit_for_bit(finished: Path) -> None:
    base = weights(finished / "pretraining" / "final.ckpt")
    adapted = weights(finished / "adapters" / "dark" / "final.ckpt")
    names = [name for name in base if name.startswith("network.")]
    assert names
    assert all(torch.equal(base[name], adapted[name]) for name in names)
    assert any(value.any() for name, value in adapted.items() if name.startswith("adapter.") and "up" in name)


def test_the_model_file_restores_and_agrees_with_torch(finished: Path, photographs: Path) -> None:
    model = finished / "model.safetensors"
    image = np.random.default_rng(1).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    onnx = unveil.load(model)
    assert list(onnx.card.degradations) == ["noise", "dark"]
    assert onnx.card.recipe["pretraining"]["iterations"] == 6
    assert onnx.card.recipe["photographs"]["folders"] == [photographs.name]
    assert onnx.card.estimator is not None
    assert onnx.card.estimator.classes == ("noise", "dark", "clean")
    given = {"noise": 0.5, "dark": 0.5}
    floats = (image / 255).astype(np.float32)
    by_onnx = onnx.restore(floats, weights=given)
    by_torch = unveil.load(model, engine="torch").restore(floats, weights=given)
    assert np.abs(by_onnx - by_torch).max() < 1e-5
    assert np.abs(by_onnx - onnx.restore(floats, weights={"noise": 1.0})).max() > 1e-4
    assert onnx.diagnose(image).probabilities == pytest.approx(
        unveil.load(model, engine="torch").diagnose(image).probabilities, abs=1e-4
    )


def test_one_onnx_file_holds_a_merged_blend(finished: Path, tmp_path: Path) -> None:
    import onnxruntime

    from unveil import export, models

    model = models.read(finished / "model.safetensors")
    path = export.write_onnx(model, tmp_path / "merged.onnx", weights={"dark": 1.0})
    image = np.random.default_rng(2).random((1, 3, 32, 48), dtype=np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {"image": image})[0][0].transpose(1, 2, 0)
    wanted = unveil.load(finished / "model.safetensors").restore(
        np.ascontiguousarray(image[0].transpose(1, 2, 0)), weights={"dark": 1.0}
    )
    assert np.abs(np.clip(found, 0, 1) - wanted).max() < 1e-5


def test_a_base_checkpoint_alone_exports(finished: Path) -> None:
    from unveil import export

    model = export.model_from_checkpoint(finished / "pretraining" / "final.ckpt")
    assert model.card.blend == "none"
    assert not model.adapters


def test_an_adapter_of_another_base_is_refused(finished: Path, tmp_path: Path) -> None:
    import shutil

    from unveil import export

    shutil.copytree(finished, tmp_path / "run")
    path = tmp_path / "run" / "adapters" / "noise" / "final.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["network.intro.weight"] += 1
    torch.save(checkpoint, path)
    with pytest.raises(RecipeError, match="trained on another base"):
        export.model_from_checkpoint(tmp_path / "run")


def test_a_finished_phase_is_not_run_again(finished: Path, recipe: Path, photographs: Path) -> None:
    path = finished / "estimation" / "final.ckpt"
    before = path.stat().st_mtime_ns
    training.run(recipe, data=[photographs], out=finished, phases=["estimate"], threads=1)
    assert path.stat().st_mtime_ns == before


def test_a_run_stopped_before_its_calibration_makes_up_for_it(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(finished, tmp_path / "run")
    calibration = tmp_path / "run" / "estimation" / "calibration.pt"
    calibration.unlink()
    training.run(recipe, data=[photographs], out=tmp_path / "run", phases=["estimate"], threads=1)
    again, first = (
        torch.load(path, weights_only=True) for path in (calibration, finished / "estimation" / calibration.name)
    )
    assert again == first


def test_the_calibration_reaches_the_model_file(finished: Path) -> None:
    calibration = torch.load(finished / "estimation" / "calibration.pt", weights_only=True)
    model = unveil.models.read(finished / "model.safetensors")
    assert model.card.estimator is not None
    assert model.card.estimator.temperature == pytest.approx(0.5 * calibration["temperature"])
    trained = part(finished / "estimation" / "final.ckpt", "estimator.")["head.bias"]
    added = torch.from_numpy(model.weights["estimate"]["head.bias"].astype(np.float32)) - trained
    expected = calibration["temperature"] * torch.tensor(calibration["bias"])
    torch.testing.assert_close(added, expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("exposure", [False, True])
def test_what_is_undone_for_the_estimator_is_what_the_model_restores(
    finished: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch, *, exposure: bool
) -> None:
    """Also by an adapter that wants its pictures exposed as a whole first."""
    from dataclasses import replace

    from unveil.training.abair import undoing
    from unveil.training.abair.chain import AbairChain
    from unveil.training.abair.recipe import AbairRecipe

    model = unveil.models.read(finished / "model.safetensors")
    dark = replace(model.card.adapters["dark"], exposure=exposure)
    model = replace(model, card=replace(model.card, adapters={**model.card.adapters, "dark": dark}))
    chain = AbairChain(AbairRecipe.read(recipe), finished)
    monkeypatch.setattr(chain, "model", lambda: model)
    image = np.random.default_rng(2).integers(0, 90, (32, 48, 3), dtype=np.uint8)
    with torch.no_grad():
        undone = undoing.of(chain)("dark", torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        monkeypatch.setattr(undoing.beginnings, "find", lambda _: model)
        taught = undoing.teacher("this one", "dark")(
            "dark", torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        )
    torch.testing.assert_close(taught, undone, atol=2e-3, rtol=0)
    expected = unveil.Restorer(model).run(image, weights={"dark": 1.0}).image
    assert np.abs(undone[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255 - expected).max() < 1


def test_an_adapter_may_learn_from_that_of_another_model(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    from unveil.training.abair import undoing

    model = finished / "model.safetensors"

    def learnt(name: str, teacher: str) -> dict[str, torch.Tensor]:
        changes = [f"pretraining.adopt={model}", f"adapters={{dark: {{rank: 3, start: {model}, {teacher}}}}}"]
        training.run(recipe, data=[photographs], out=tmp_path / name, phases=["adapt"], overrides=changes, threads=1)
        return part(tmp_path / name / "adapters" / "dark" / "final.ckpt", "adapter.")

    alone, taught = learnt("alone", "teacher: ''"), learnt("taught", f"teacher: {model}, taught: 1.0")
    assert any(not torch.equal(alone[name], value) for name, value in taught.items())
    with pytest.raises(RecipeError, match=r"snow\.teacher: .* has no adapter for snow \(it has noise, dark"):
        undoing.teacher(str(model), "snow")


def test_an_estimator_may_learn_from_what_adapters_leave(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    model = finished / "model.safetensors"
    adopted = [f"{where}.adopt={model}" for where in ("pretraining", "adapters.noise", "adapters.dark")]
    overrides = [*adopted, "estimation.undone=[1.0, 0.5]", "estimation.composed=0.5"]
    training.run(recipe, data=[photographs], out=tmp_path, phases=["estimate"], overrides=overrides, threads=1)
    assert (tmp_path / "estimation" / "calibration.pt").exists()
    with pytest.raises(RecipeError, match="noise, dark is not trained"):
        training.run(
            recipe,
            data=[photographs],
            out=tmp_path / "other",
            phases=["estimate"],
            overrides=[adopted[0], *overrides[3:]],
            threads=1,
        )


def test_an_estimator_begins_with_another_ones_weights(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    """A first learning rate of nearly nothing keeps them; the inputs that it did not have are at zero."""
    start = finished / "model.safetensors"
    plain = training.run(
        recipe,
        data=[photographs],
        out=tmp_path,
        phases=["estimate"],
        overrides=[f"estimation.start={start}", "estimation.learning_rate=1.0e-12", "estimation.tones=14"],
        threads=1,
    )
    before, after = (part(folder / "estimation" / "final.ckpt", "estimator.") for folder in (finished, plain))
    width = before["hidden.weight"].shape[1]
    torch.testing.assert_close(after["stem.weight"], before["stem.weight"], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(after["hidden.weight"][:, :width], before["hidden.weight"], atol=1e-3, rtol=1e-3)
    assert after["hidden.weight"][:, width:].abs().max() < 1e-6


def test_mistakes_are_typed(recipe: Path, photographs: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="unknown phase 'adapt:fog'"):
        training.run(recipe, data=[photographs], out=tmp_path, phases=["adapt:fog"])
    with pytest.raises(RecipeError, match="run the phase 'pretrain' first"):
        training.run(recipe, data=[photographs], out=tmp_path, phases=["adapt:noise"])
    with pytest.raises(RecipeError, match="already holds a run"):
        training.run(recipe, data=[photographs], out=finished, resume=False)
    with pytest.raises(RecipeError, match="give folders of clean pictures"):
        training.run(recipe, data=[tmp_path], out=tmp_path / "run")
    with pytest.raises(RecipeError, match="is not a folder"):
        training.run(recipe, data=[tmp_path / "none"], out=tmp_path / "other")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
