"""MiOIR from a recipe to a model file that restores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")

from PIL import Image  # noqa: E402

from unveil import models, training  # noqa: E402
from unveil.errors import RecipeError  # noqa: E402
from unveil.methods.mioir.curriculum import Curriculum  # noqa: E402
from unveil.methods.mioir.learning import Learning, turned  # noqa: E402
from unveil.methods.mioir.prompting import AdaptiveNetwork  # noqa: E402
from unveil.methods.mioir.prompts import draw_prompts  # noqa: E402
from unveil.methods.mioir.tasks import TASKS  # noqa: E402
from unveil.networks import NETWORKS, build  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402
from unveil.training.fitting import part  # noqa: E402
from unveil.training.mioir import MioirChain, MioirRecipe  # noqa: E402

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "mioir").glob("*.yaml"))

TINY: dict[str, Any] = {
    "name": "tiny",
    "method": "mioir",
    "precision": "32-true",
    "network": {"name": "srresnet", "dim": 4, "blocks": 1},
    "curriculum": {"order": "snr", "shares": [1, 1, 2], "cycles": [1, 1, 2]},
    "restoration": {"iterations": 12, "batch": 2, "patch": 24, "learning_rate": 1e-3},
    "classification": {"iterations": 3, "batch": 2, "patch": 24, "learning_rate": 1e-3, "dim": 4, "out": 4},
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for number in range(3):
        coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8))
        coarse.resize((60, 50), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | changes), encoding="utf-8")
    return path


pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def network_of(folder: Path) -> dict[str, torch.Tensor]:
    return part(folder / "restoration" / "final.ckpt", "")


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path, photographs: Path, monkeypatch: Any) -> None:
    path = recipe(tmp_path, prompts={"form": "explicit"})
    whole = training.run(path, data=[photographs], out=tmp_path / "whole", phases=["restore"])
    step, count = Learning.training_step, 0

    def stop_once(self: Learning, batch: torch.Tensor, number: int) -> torch.Tensor:
        nonlocal count
        count += 1
        if count == 3:
            # After this step, which is the last of the first stage.
            self.trainer.should_stop = True
        return step(self, batch, number)

    monkeypatch.setattr(Learning, "training_step", stop_once)
    for _ in range(2):
        try:
            parts = training.run(path, data=[photographs], out=tmp_path / "parts", phases=["restore"])
            break
        except KeyboardInterrupt:
            assert (tmp_path / "parts" / "restoration" / "last.ckpt").exists()
    assert count == 12
    ours, theirs = network_of(whole), network_of(parts)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    kept = [sorted(file.name for file in (run / "restoration").glob("stage-*.ckpt")) for run in (whole, parts)]
    assert kept[0] == kept[1] == ["stage-1.ckpt", "stage-2.ckpt"]


@pytest.mark.slow
def test_an_explicit_model_restores_blind_and_with_a_given_prompt(tmp_path: Path, photographs: Path) -> None:
    path = recipe(tmp_path, prompts={"form": "explicit", "seed": 4})
    folder = training.run(path, data=[photographs], out=tmp_path / "run")
    model = models.read(folder / "model.safetensors")
    learnt = ("noise", "rain", "lowres")
    assert model.card.prompts == learnt
    rows = [TASKS.index(task) for task in learnt]
    assert np.array_equal(model.tables["prompts"], draw_prompts(4)[rows].numpy())
    restorer = Restorer(model, engine="onnx")
    picture = np.asarray(Image.open(photographs / "0.png"), np.float32) / 255
    done = restorer.run(picture)
    assert done.diagnosis is not None
    assert done.diagnosis.main in learnt
    chain = training.opened(folder)
    blind, known = chain.subjects()
    assert (blind.name, known.name) == ("classifier", "oracle")
    image, network = torch.from_numpy(picture).permute(2, 0, 1)[None], chain.trained()
    for task in learnt:
        with torch.inference_mode():
            expected = network(image, draw_prompts(4)[[TASKS.index(task)]])[0].permute(1, 2, 0).clamp(0, 1)
        found = restorer.restore(picture, prompt=task)
        assert np.abs(found - expected.numpy()).max() < 2e-3


@pytest.mark.slow
def test_an_adaptive_model_needs_nothing_but_the_picture(tmp_path: Path, photographs: Path) -> None:
    path = recipe(tmp_path, prompts={"form": "adaptive"})
    folder = training.run(path, data=[photographs], out=tmp_path / "run")
    model = models.read(folder / "model.safetensors")
    assert model.card.network["name"] == "srresnet-ap"
    assert not model.card.prompts
    picture = np.asarray(Image.open(photographs / "1.png"), np.float32) / 255
    chain = training.opened(folder)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = chain.trained()(image)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    assert np.abs(Restorer(model, engine="onnx").restore(picture) - expected).max() < 2e-3
    assert [subject.name for subject in chain.subjects()] == ["network"]
    codes = Restorer(model, engine="onnx").encode(picture)
    with torch.inference_mode():
        said = cast("AdaptiveNetwork", chain.trained()).summarise(image).numpy()
    assert np.abs(codes["code"] - said).max() < 2e-3


def phase(learning: str = "sequential", form: str = "", **options: Any) -> Learning:
    torch.manual_seed(0)
    network = build(f"srresnet{form}", dim=4, blocks=1)
    curriculum = Curriculum("sn", 8, learning=learning)  # pyright: ignore[reportArgumentType]
    return Learning(network, curriculum, learning_rate=1e-3, floor=5e-4, **options)


def test_labels_choose_the_prompts() -> None:
    prompts = draw_prompts(0)
    learning = phase(form="-ep", prompts=prompts).eval()
    degraded, labels = torch.rand(4, 3, 16, 16), torch.tensor([3, 1, 3, 6])
    with torch.inference_mode():
        expected = learning.network(degraded, prompts[labels])
        torch.testing.assert_close(learning.restore(degraded, labels), expected)
        other = learning.restore(degraded, labels.flip(0))
    assert (other - expected).abs().max() > 1e-5
    assert torch.equal(learning.state_dict()["prompts"], prompts)


def test_the_optimiser_forgets_at_joints_and_the_average_goes_on(tmp_path: Path, photographs: Path) -> None:
    moments: dict[str, list[int]] = {"mixed": [], "sequential": []}
    differences: list[float] = []
    step = Learning.optimizer_step

    def watch(self: Learning, *arguments: Any, **options: Any) -> None:
        before = {name: value.clone() for name, value in self.average.named_parameters()}
        step(self, *arguments, **options)
        state = self.optimizers(use_pl_optimizer=False).state
        moments[self.curriculum.learning].append(int(next(iter(state.values()))["step"]))
        for name, value in self.network.named_parameters():
            expected = 0.9 * before[name] + 0.1 * value
            differences.append((dict(self.average.named_parameters())[name] - expected).abs().max().item())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learning, "optimizer_step", watch)
        for learning in moments:
            curriculum = TINY["curriculum"] | {"learning": learning}
            path = recipe(tmp_path, curriculum=curriculum, restoration=TINY["restoration"] | {"decay": 0.9})
            training.run(path, data=[photographs], out=tmp_path / learning, phases=["restore"])
    assert moments["mixed"] == list(range(1, 13))
    assert moments["sequential"] == [1, 2, 3, 1, 2, 3, 1, 2, 3, 4, 5, 6]
    assert max(differences) < 1e-6


def test_pairs_are_mirrored_and_turned_alike() -> None:
    clean = torch.rand(64, 3, 8, 8)
    first, second = turned(clean + 1, clean, torch.Generator().manual_seed(0))
    torch.testing.assert_close(first, second + 1)
    looks = {
        tuple(image.flatten().tolist())
        for image in turned(*[clean[:1].expand(64, -1, -1, -1)] * 2, torch.Generator().manual_seed(1))[0]
    }
    assert len(looks) == 8


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_fit_together(path: Path) -> None:
    for form in ("none", "explicit", "adaptive"):
        made = training.Recipe.read(path, overrides=[f"prompts.form={form}"])
        assert training.Recipe.from_dict(made.as_dict()) == made
        chain = MioirChain(cast("MioirRecipe", made), Path("nowhere"))
        if chain.network_name in NETWORKS:
            assert chain.phases() == (("restore", "classify") if form == "explicit" else ("restore",))


@pytest.mark.parametrize(
    "path", [path for path in RECIPES if path.stem.startswith("small")], ids=lambda path: path.stem
)
def test_small_recipes_build_small_networks(path: Path) -> None:
    chain = MioirChain(cast("MioirRecipe", training.Recipe.read(path)), Path("nowhere"))
    assert sum(value.numel() for value in chain.network().parameters()) < 600_000


def test_published_recipes_have_the_published_lengths() -> None:
    plans = {path.stem: cast("MioirRecipe", training.Recipe.read(path)).plan for path in RECIPES}
    stage, last, order = 250_000, 1_000_000, plans["srresnet"].order
    assert [part.iterations for part in plans["srresnet"].stages] == [stage] * 6 + [last]
    assert order == plans["swinir"].order == ("lowres", "blur", "noise", "jpeg", "rain", "haze", "dark")
    for name in ("swinir", "restormer", "uformer", "promptir"):
        assert [part.iterations for part in plans[name].stages] == [100_000] * 6 + [400_000]
    for name in ("restormer", "uformer", "promptir"):
        assert plans[name].order == ("rain", "jpeg", "blur", "lowres", "noise", "haze", "dark")


def test_contradictions_are_refused(tmp_path: Path, photographs: Path) -> None:
    for changes, complaint in (
        ({"prompts": {"form": "both"}}, "expected one of none, explicit, adaptive"),
        ({"prompts": {"form": "explicit"}, "classification": None}, "classification"),
        ({"curriculum": {"order": "snx"}}, "letters"),
        ({"restoration": TINY["restoration"] | {"warm_up": 5}}, "no warm-up"),
    ):
        with pytest.raises(RecipeError, match=complaint):
            training.run(recipe(tmp_path, **changes), data=[photographs], out=tmp_path / "run")
