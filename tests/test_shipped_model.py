"""The models in the package do what the README says of it, on pictures that come with scikit-image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unveil
from unveil import models
from unveil.metrics import psnr

EXAMPLES = Path(__file__).parents[1] / "examples"
SHOWN = [
    ("noisy-cat.jpg", "chelsea", "noise"),
    ("rainy-rocket.jpg", "rocket", "rain"),
    ("dark-coffee.jpg", "coffee", "dark"),
]


SIZES = {"abair-fast": 12e6, "abair-best": 25e6}


@pytest.fixture(scope="module", params=SIZES)
def restorer(request: pytest.FixtureRequest) -> unveil.Restorer:
    return unveil.Restorer(models.read(models.bundled_folder() / f"{request.param}.safetensors"))


def photograph(name: str) -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="scikit-image is an extra of 'dev'")
    return getattr(data, name)()[..., :3]


def test_the_card_says_what_people_need_to_know(restorer: unveil.Restorer) -> None:
    card = restorer.card
    assert card.licence
    assert card.summary
    assert "photographs" in card.training_data
    assert list(card.degradations) == ["noise", "blur", "rain", "haze", "dark", "jpeg", "bits", "snow", "lowres"]
    assert card.estimator is not None
    assert card.estimator.classes == (*card.degradations, "clean")
    assert card.metrics


def test_the_files_stay_small() -> None:
    found = {path.stem: path.stat().st_size for path in models.bundled_folder().glob("*.safetensors")}
    assert found.keys() == SIZES.keys()
    assert all(size <= SIZES[name] for name, size in found.items()), found


def test_the_larger_model_is_the_better_one() -> None:
    """On noise, by hand, so that it is the networks that are compared."""
    clean = photograph("chelsea")
    degraded = clean + np.random.default_rng(0).normal(0, 25, clean.shape)
    degraded = degraded.clip(0, 255).round().astype(np.uint8)
    restorers = (unveil.load(name) for name in ("abair-fast", "abair-best"))
    reached = [psnr(restorer.restore(degraded, weights={"noise": 1.0}), clean) for restorer in restorers]
    assert reached[1] > reached[0] + 0.15


@pytest.mark.parametrize(("name", "source", "degradation"), SHOWN)
def test_examples_are_recognised_and_come_back_better(
    restorer: unveil.Restorer, name: str, source: str, degradation: str
) -> None:
    degraded, clean = np.asarray(Image.open(EXAMPLES / name).convert("RGB")), photograph(source)
    assert restorer.diagnose(degraded).main == degradation
    assert psnr(restorer.restore(degraded), clean) > psnr(degraded, clean) + 1


def test_noise_of_a_kind_it_was_not_made_with_is_removed(restorer: unveil.Restorer) -> None:
    """Uniform noise from NumPy, where training drew normal noise from torch."""
    clean = photograph("astronaut")
    random = np.random.default_rng(0)
    degraded = (clean + random.uniform(-40, 40, clean.shape)).clip(0, 255).round().astype(np.uint8)
    assert psnr(restorer.restore(degraded), clean) > psnr(degraded, clean) + 5


def test_a_clean_photograph_is_left_alone(restorer: unveil.Restorer) -> None:
    clean = photograph("astronaut")
    assert psnr(restorer.restore(clean), clean) > 40


def test_every_adapter_changes_what_it_is_for(restorer: unveil.Restorer) -> None:
    image = photograph("coffee")[:128, :128]
    base = restorer.restore(image, weights={})
    for degradation in restorer.card.degradations:
        assert not np.array_equal(restorer.restore(image, weights={degradation: 1.0}), base), degradation
