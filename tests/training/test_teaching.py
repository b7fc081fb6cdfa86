"""A model learns a new kind of damage, and loses nothing by it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from PIL import Image  # noqa: E402

from unveil import models  # noqa: E402
from unveil.commands.application import run  # noqa: E402
from unveil.data.alignment import displacement  # noqa: E402
from unveil.errors import InvalidRequest, RecipeError, Terminated  # noqa: E402
from unveil.methods.abair.estimator import Estimator  # noqa: E402
from unveil.methods.abair.extension import extended  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402
from unveil.training import damaging, examination, teaching  # noqa: E402

LESSON = teaching.Lesson(rank=2, iterations=60, batch=2, patch=32, every=20, recognition=6, learning_rate=1e-2)

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(40, 200, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twelve pictures, and the same with a red cast."""
    place = tmp_path_factory.mktemp("pairs")
    for index in range(12):
        clean = picture(index)
        cast = np.clip(clean + np.array([45, 0, 0]), 0, 255).astype(np.uint8)
        for name, pixels in (("clean", clean), ("cast", cast)):
            (place / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(place / name / f"{index:02}.png")
    return place / "cast", place / "clean"


@pytest.fixture(scope="module")
def before(finished: Path) -> models.Model:
    return models.read(finished / "model.safetensors")


@pytest.fixture(scope="module")
def after(before: models.Model, pairs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> models.Model:
    material = teaching.gather(*pairs)
    return teaching.teach(
        before, material, "cast", printed="red cast", lesson=LESSON, folder=tmp_path_factory.mktemp("work"), threads=1
    )


def test_base_and_old_adapters_stay_byte_for_byte(before: models.Model, after: models.Model) -> None:
    for name, array in before.weights["restore"].items():
        assert after.weights["restore"][name].tobytes() == array.tobytes()
    assert after.graphs["restore"] == before.graphs["restore"]
    for name, adapter in before.adapters.items():
        again = after.adapters[name].tensors()
        assert {key: value.tobytes() for key, value in adapter.tensors().items()} == {
            key: value.tobytes() for key, value in again.items()
        }


def test_the_new_adapter_undoes_the_damage(after: models.Model, pairs: tuple[Path, Path]) -> None:
    degraded, clean = (np.asarray(Image.open(folder / "03.png")).astype(int) for folder in pairs)
    restored = Restorer(after).restore(degraded.astype(np.uint8), weights={"cast": 1.0}).astype(int)
    assert np.abs(restored - clean).mean() < 0.6 * np.abs(degraded - clean).mean()


def test_the_estimator_knows_the_new_class_before_clean(before: models.Model, after: models.Model) -> None:
    assert after.card.estimator is not None
    assert after.card.estimator.classes == ("noise", "dark", "cast", "clean")
    assert after.card.degradations["cast"] == "red cast"
    said = Restorer(after).diagnose(picture(3)).probabilities
    assert set(said) == {"noise", "dark", "cast", "clean"}
    assert sum(said.values()) == pytest.approx(1)


def test_an_extended_estimator_says_what_it_said() -> None:
    old = Estimator(classes=3, tones=4)
    grown = extended(old, ["noise", "dark", "clean"])
    views = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(grown(views)[:, [0, 1, 3]], old(views))
    assert (grown(views)[:, 2] < 0).all()


def test_the_examination_is_of_pictures_held_back(
    before: models.Model, after: models.Model, pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    material = teaching.gather(*pairs)
    assert not {*material.learnt} & {*material.watched, *material.kept}
    assert not {*material.watched} & {*material.kept}
    found = examination.examine(before, after, material, "cast", sheet=tmp_path / "sheet.png", threads=1)
    assert found.pictures == len(material.kept) == 2
    assert found.known_to_user > found.degraded + 2
    assert sum(found.named.values()) == pytest.approx(1)
    assert set(found.others) == {"noise", "dark", "clean"}
    assert found.others["clean"].degraded == 100
    assert Image.open(tmp_path / "sheet.png").width > 200


def test_a_finished_part_of_a_lesson_is_not_learnt_again(
    before: models.Model, after: models.Model, pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    material = teaching.gather(*pairs)
    blind = models.Model(
        path=None,
        card=replace(before.card, estimator=None, blend="none"),
        weights={"restore": before.weights["restore"]},
        adapters=before.adapters,
        graphs={"restore": before.graphs["restore"]},
        tables={},
    )
    teaching.teach(blind, material, "cast", lesson=LESSON, folder=tmp_path, threads=1)
    stamp = (tmp_path / "adapter" / "final.ckpt").stat().st_mtime_ns
    again = teaching.teach(blind, material, "cast", lesson=LESSON, folder=tmp_path, threads=1)
    assert (tmp_path / "adapter" / "final.ckpt").stat().st_mtime_ns == stamp
    assert again.card.undiagnosed == ("noise", "dark", "cast")
    for key, value in after.adapters["cast"].tensors().items():
        np.testing.assert_array_equal(again.adapters["cast"].tensors()[key], value)


def test_an_adapter_that_gains_nothing_is_not_kept(
    before: models.Model, pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    idle = replace(LESSON, iterations=4, every=2, learning_rate=1e-9)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="makes held-back pictures no better"):
            teaching.teach(before, teaching.gather(*pairs), "cast", lesson=idle, folder=tmp_path, threads=1)
    assert not list(tmp_path.rglob("final.ckpt"))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (
            lambda cast, clean: [path.unlink() for folder in (cast, clean) for path in sorted(folder.iterdir())[:4]],
            "8 pairs",
        ),
        (lambda cast, clean: (clean / "00.png").unlink(), "have no partner of the same name, the first of them 00"),
        (
            lambda cast, clean: [
                Image.fromarray(np.roll(np.asarray(Image.open(path)), (3, 5), (0, 1))).save(path)
                for path in cast.iterdir()
            ],
            "do not lie on each other",
        ),
        (
            lambda cast, clean: [Image.open(path).save(cast / path.name) for path in clean.iterdir()],
            "there is no damage to learn",
        ),
        (lambda cast, clean: Image.open(cast / "05.png").resize((90, 96)).save(cast / "05.png"), "a pair has one size"),
    ],
    ids=["few", "alone", "shifted", "equal", "sizes"],
)
def test_pairs_that_cannot_be_learnt_from_are_refused(
    spoil: object, complaint: str, pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    import shutil

    folders = [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in pairs]
    spoil(*folders)  # type: ignore[operator]
    with pytest.raises((InvalidRequest, RecipeError), match=complaint):
        teaching.gather(*folders)


def test_a_taught_name_is_not_taught_again(after: models.Model, pairs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="has an adapter 'cast' already"):
        teaching.teach(after, teaching.gather(*pairs), "cast", folder=tmp_path)


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-7, 1)])
def test_a_shift_is_found_under_damage(shift: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    large = np.asarray(Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).resize((160, 160)))
    clean = large[20:140, 20:140]
    degraded = large[20 + shift[0] : 140 + shift[0], 20 + shift[1] : 140 + shift[1]]
    noisy = np.clip(degraded + random.normal(0, 10, degraded.shape), 0, 255)
    assert displacement(noisy, clean) == shift


def test_a_recipe_damages_clean_pictures(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(
        "steps:\n- {degradation: blur, severity: [0.2, 0.4]}\n- {degradation: noise, severity: [0.2, 0.2]}\n"
    )
    degraded = damaging.damage_folder(pairs[1], tmp_path / "old.yaml", tmp_path / "out")
    assert len(list(degraded.iterdir())) == 12
    first = np.asarray(Image.open(degraded / "00000.png")).astype(int)
    truth = np.asarray(Image.open(tmp_path / "out" / "clean" / "00000.png")).astype(int)
    assert 3 < np.abs(first - truth).mean() < 60
    (tmp_path / "wrong.yaml").write_text("steps:\n- {degradation: fog, severity: [0, 1]}\n")
    with pytest.raises(RecipeError, match="unknown degradation 'fog'"):
        damaging.read_steps(tmp_path / "wrong.yaml")


@pytest.mark.slow
def test_the_command_writes_model_adapter_report_and_sheet(
    finished: Path,
    pairs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(teaching.Lesson, "__init__", _short(teaching.Lesson.__init__))
    words = _words(finished, pairs)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "adapter").write_text("the user's own")
    assert run([*words, "--work", "mine", "--json", "--threads", "1"]) == 0
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["adapter"]
    printed = json.loads(capsys.readouterr().out)
    assert printed["pictures"] == 2
    assert printed == json.loads((tmp_path / "cast.json").read_text())
    assert models.read_adapter(tmp_path / "cast.cast.adapter.safetensors").adapter.degradation == "cast"
    assert "cast" in models.read(tmp_path / "cast.safetensors").adapters
    assert (tmp_path / "cast.png").exists()
    assert not (tmp_path / "runs").exists()
    assert run(words) != 0
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_stopped_lesson_says_how_it_goes_on(
    stop: type[KeyboardInterrupt],
    code: int,
    finished: Path,
    pairs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise stop("adapter: stopped at step 3; the same command goes on from step 3")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(teaching, "teach", stopped)
    words = _words(finished, pairs)
    assert run(words) == code
    assert "interrupted: adapter: stopped at step 3; the same command goes on" in capsys.readouterr().err
    assert not list(tmp_path.glob("cast*"))


def _words(finished: Path, pairs: tuple[Path, Path]) -> list[str]:
    return ["teach", str(pairs[0]), str(pairs[1]), "--name", "cast", "--model", str(finished / "model.safetensors")]


def _short(init: object) -> object:
    def shorter(self: object, **_: object) -> None:
        init(self, rank=2, iterations=50, batch=2, patch=32, every=25, recognition=3, learning_rate=1e-2)  # type: ignore[operator]

    return shorter
