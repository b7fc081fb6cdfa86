"""Training that goes on from a model file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from unveil import models, training  # noqa: E402
from unveil.errors import RecipeError  # noqa: E402
from unveil.methods.abair.adapters import AdapterFactors  # noqa: E402
from unveil.methods.abair.estimator import Estimator  # noqa: E402
from unveil.models import Model  # noqa: E402
from unveil.networks.fastnaf import FastNAF  # noqa: E402
from unveil.training.abair import beginnings  # noqa: E402
from unveil.training.fitting import part  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def model(finished: Path) -> Model:
    return models.read(finished / "model.safetensors")


def network() -> FastNAF:
    return FastNAF(width=8, encoder=(1,), middle=1, decoder=(1,))


def run(recipe: Path, photographs: Path, out: Path, *changes: str, phases: list[str]) -> Path:
    return training.run(recipe, data=[photographs], out=out, phases=phases, overrides=list(changes), threads=1)


def test_a_base_and_an_adapter_begin_where_the_model_ended(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    """A learning rate of nearly nothing keeps them; the file has half precision."""
    start = finished / "model.safetensors"
    run(
        recipe, photographs, tmp_path,
        f"pretraining.start={start}", "pretraining.learning_rate=1.0e-12",
        f"adaptation.start={start}", "adaptation.learning_rate=1.0e-12", "adapters={noise: {rank: 2}}",
        phases=["pretrain", "adapt"],
    )  # fmt: skip
    for file, prefix in (("pretraining/final.ckpt", "network."), ("adapters/noise/final.ckpt", "adapter.")):
        before, after = (part(folder / file, prefix) for folder in (finished, tmp_path))
        assert before.keys() == after.keys()
        for name, value in before.items():
            torch.testing.assert_close(after[name], value, atol=2e-3, rtol=2e-3)


def test_a_higher_rank_changes_nothing_and_a_lower_one_little(model: Model) -> None:
    """Rank 3 to 5 is the same change; rank 3 to 1 the nearest of that rank, so what is lost is orthogonal to it."""
    former = model.adapters["dark"]
    assert former.rank == 3
    fresh = {rank: AdapterFactors(network(), rank=rank, vectors=True) for rank in (1, 3, 5)}
    for factors in fresh.values():
        beginnings.adapter(factors, model, "dark")
    changes = {rank: factors.changes() for rank, factors in fresh.items()}
    shrunk = 0
    for name, change in changes[3].items():
        torch.testing.assert_close(changes[5][name].flatten(), change.flatten(), atol=1e-6, rtol=1e-4)
        change, kept = change.detach().flatten(), changes[1][name].detach().flatten()
        lost = change - kept
        assert abs(float(lost @ kept)) <= 1e-4 * float(change.square().sum()) + 1e-9
        shrunk += float(lost.norm()) > 1e-4 * float(change.norm())
    assert shrunk > 0


def test_a_layer_may_have_fewer_outputs_than_either_rank() -> None:
    up, down = torch.randn(3, 8), torch.randn(8, 5, 2, 2)
    cut = beginnings._of_rank(6, up, down)
    assert [list(factor.shape) for factor in cut] == [[3, 3], [3, 5, 2, 2]]
    torch.testing.assert_close(cut[0] @ cut[1].flatten(1), up @ down.flatten(1), atol=1e-5, rtol=1e-5)


def test_an_adapter_that_the_model_lacks_begins_afresh(model: Model) -> None:
    factors = AdapterFactors(network(), rank=2)
    before = {name: value.clone() for name, value in factors.state_dict().items()}
    beginnings.adapter(factors, model, "snow")
    assert all(torch.equal(value, before[name]) for name, value in factors.state_dict().items())


def test_a_new_class_starts_afresh_beside_the_known_ones(model: Model) -> None:
    assert model.card.estimator is not None
    assert model.card.estimator.classes == ("noise", "dark", "clean")
    fresh = Estimator(classes=4, tones=12)
    own = fresh.head.weight[1].clone()
    beginnings.estimator(fresh, model, ("dark", "snow", "noise", "clean"))
    known = torch.from_numpy(model.weights["estimate"]["head.weight"]).float()
    assert torch.equal(fresh.head.weight[[0, 2, 3]], known[[1, 0, 2]])
    assert torch.equal(fresh.head.weight[1], own)


def test_another_network_is_refused(model: Model) -> None:
    with pytest.raises(RecipeError, match="which do not fit"):
        beginnings.base(FastNAF(width=16, encoder=(1,), middle=1, decoder=(1,)), model)


def test_a_run_that_goes_on_counts_from_where_it_stopped(
    recipe: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from unveil.methods.abair.pretraining import Pretraining

    step = Pretraining.training_step

    def stopping(self: Pretraining, batch: object, index: int) -> object:
        self.trainer.should_stop = self.global_step == 3
        return step(self, batch, index)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, photographs, tmp_path, phases=["pretrain"])
    capfd.readouterr()
    run(recipe, photographs, tmp_path, phases=["pretrain"])
    shown = capfd.readouterr().err
    assert "4/6" in shown
    assert "6/6" in shown


def test_a_network_with_more_blocks_begins_as_the_smaller_one_ended(model: Model) -> None:
    grown = FastNAF(width=8, encoder=(3,), middle=2, decoder=(2,))
    beginnings.base(grown, model)
    small = network()
    beginnings.base(small, model)
    picture = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(grown.eval()(picture), small.eval()(picture), atol=1e-6, rtol=0)
        assert not torch.equal(small(picture), FastNAF(width=8, encoder=(1,), middle=1, decoder=(1,))(picture))


def test_blocks_that_change_the_picture_at_once_are_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = FastNAF(width=8, encoder=(2,), middle=1, decoder=(1,))
    torch.nn.init.ones_(grown.get_parameter("encoders.0.1.beta"))
    with pytest.raises(RecipeError, match="does not begin as that does"):
        beginnings.base(grown, model)


def test_an_estimator_is_adopted_as_it_is(finished: Path, recipe: Path, photographs: Path, tmp_path: Path) -> None:
    """Beside a grown base: nothing of it is trained, and its card comes along."""
    start = finished / "model.safetensors"
    changes = (
        "network={name: fastnaf, width: 8, encoder: [2], middle: 1, decoder: [1]}", "card.ensemble=2",
        f"pretraining.start={start}", f"adaptation.start={start}", f"estimation={{adopt: {start}, blend: oh}}",
    )  # fmt: skip
    run(recipe, photographs, tmp_path, *changes, phases=["all"])
    former, made = models.read(start), models.read(tmp_path / "model.safetensors")
    assert made.card.estimator == former.card.estimator
    assert made.graphs["estimate"] == former.graphs["estimate"]
    assert all((value == made.weights["estimate"][name]).all() for name, value in former.weights["estimate"].items())
    assert (made.card.blend, made.card.ensemble) == ("oh", 2)
    assert not (tmp_path / "estimation").exists()
    assert made.card.recipe["estimation"]["adopt"] == "model.safetensors"
    with pytest.raises(RecipeError, match="tells noise, dark, clean apart, but the recipe has adapters for noise"):
        run(recipe, photographs, tmp_path, *changes, "adapters={noise: {}}", phases=["export"])


def test_a_base_and_adapters_are_adopted_as_they_are(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    """One adapter is trained on the adopted base, the other comes along bit for bit."""
    start = finished / "model.safetensors"
    changes = (
        f"pretraining.adopt={start}", f"estimation={{adopt: {start}}}",
        f"adapters={{noise: {{rank: 2, start: {start}}}, dark: {{adopt: {start}}}}}",
    )  # fmt: skip
    run(recipe, photographs, tmp_path, *changes, phases=["all"])
    former, made = models.read(start), models.read(tmp_path / "model.safetensors")
    assert made.card.base_checksum == former.card.base_checksum
    assert {path.name for path in tmp_path.rglob("final.ckpt")} == {"final.ckpt"}
    assert [path.parent.name for path in tmp_path.rglob("final.ckpt")] == ["noise"]
    assert made.card.adapters["dark"] == former.card.adapters["dark"]
    for name, factors in former.adapters["dark"].factors.items():
        assert all((value == made.adapters["dark"].factors[name][key]).all() for key, value in factors.items())
    assert made.card.recipe["adapters"]["dark"]["adopt"] == "model.safetensors"


def test_adapters_are_stored_in_whole_numbers(finished: Path, recipe: Path, photographs: Path, tmp_path: Path) -> None:
    """A trained one and an adopted one; what comes out is as good a beginning as any."""
    start = finished / "model.safetensors"
    changes = (
        f"pretraining.adopt={start}", f"estimation={{adopt: {start}}}", "adaptation.storage=int8",
        f"adapters={{noise: {{rank: 2, start: {start}}}, dark: {{adopt: {start}}}}}",
    )  # fmt: skip
    run(recipe, photographs, tmp_path, *changes, phases=["all"])
    former, made = models.read(start), models.read(tmp_path / "model.safetensors")
    assert made.card.format == 2
    assert all(adapter.storage == "int8" for adapter in made.adapters.values())
    sizes = [sum(array.nbytes for array in each.adapters["dark"].tensors().values()) for each in (former, made)]
    assert sizes[1] < sizes[0]
    begun = [AdapterFactors(network(), rank=3, vectors=True) for _ in sizes]
    for factors, each in zip(begun, (former, made), strict=True):
        beginnings.adapter(factors, each, "dark")
    theirs, ours = (factors.changes() for factors in begun)
    for name, change in theirs.items():
        assert (ours[name] - change).norm() <= 0.02 * change.norm() + 1e-6
    with pytest.raises(RecipeError, match=r"storage is float16 or int8, got 'int4'"):
        run(recipe, photographs, tmp_path, *changes, "adaptation.storage=int4", phases=["export"])


def test_an_adapter_of_another_base_is_not_adopted(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path
) -> None:
    start = finished / "model.safetensors"
    changes = (f"adapters={{noise: {{}}, dark: {{adopt: {start}}}}}", f"estimation={{adopt: {start}}}")
    with pytest.raises(RecipeError, match=r"adapters\.dark\.adopt: that of .* is for another base"):
        run(recipe, photographs, tmp_path / "other", *changes, "seed=6", phases=["pretrain", "export"])
    with pytest.raises(RecipeError, match=r"is not there \(it has noise, dark\)"):
        run(
            recipe, photographs, tmp_path, f"pretraining.adopt={start}", f"adapters={{snow: {{adopt: {start}}}}}",
            phases=["export"],
        )  # fmt: skip


def test_an_estimator_learns_signs_that_the_former_did_not_know(model: Model) -> None:
    """At first it says what it said before: the signs weigh nothing yet."""
    assert model.card.estimator is not None
    former = Estimator(**model.card.estimator.config).eval()
    former.load_state_dict({name: torch.from_numpy(value).float() for name, value in model.weights["estimate"].items()})
    fresh = Estimator(**{**model.card.estimator.config, "signs": 8}).eval()
    beginnings.estimator(fresh, model, model.card.estimator.classes)
    views = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        torch.testing.assert_close(fresh(views), former(views), atol=1e-5, rtol=1e-5)
    assert fresh.signs is not None
    assert fresh.signs.weight.abs().max() > 0


def test_an_estimator_leans_as_the_recipe_says(
    finished: Path, recipe: Path, photographs: Path, tmp_path: Path, model: Model
) -> None:
    """One logit over the temperature in use, of the favoured class alone; nothing is trained again."""
    shutil.copytree(finished, tmp_path / "run")
    run(recipe, photographs, tmp_path / "run", "estimation.leaning={dark: 1.0}", phases=["export"])
    leaning = models.read(tmp_path / "run" / "model.safetensors")
    assert model.card.estimator is not None
    before, after = (each.weights["estimate"]["head.bias"].astype(float) for each in (model, leaning))
    moved = (after - before) / model.card.estimator.temperature
    assert moved.tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-3)
