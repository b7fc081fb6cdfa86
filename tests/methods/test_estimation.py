"""The estimator and its training batches."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unveil.methods.abair.estimation import Estimation  # noqa: E402
from unveil.methods.abair.estimator import Estimator  # noqa: E402

CLASSES = ("noise", "haze", "jpeg", "clean")


def phase(**options: float) -> Estimation:
    torch.manual_seed(0)
    estimator = Estimator(classes=len(CLASSES), widths=(8, 8, 16), hidden=16)
    return Estimation(estimator, CLASSES, iterations=10, learning_rate=1e-3, **options)


def test_the_estimator_keeps_within_the_papers_totals() -> None:
    count = sum(parameter.numel() for parameter in Estimator(classes=6).parameters())
    assert 500_000 < count < 900_000


def test_views_are_of_one_side_and_targets_sum_to_one() -> None:
    views, targets = phase().views(torch.rand(20, 3, 64, 64), torch.Generator().manual_seed(1))
    assert views.shape == (20, 3, 32, 32)
    torch.testing.assert_close(targets.sum(1), torch.ones(20))


def test_composed_samples_name_two_degradations_and_never_clean() -> None:
    _, targets = phase(composed=1.0, cut=0.0, reduced=0.0).views(
        torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(1)
    )
    assert torch.equal((targets == 0.5).sum(1), torch.full((8,), 2))
    assert not targets[:, -1].any()


def test_samples_labelled_clean_are_clean() -> None:
    clean = (torch.rand(12, 3, 32, 32) * 255).round() / 255
    views, targets = phase(composed=0.0, cut=0.0, reduced=0.0).views(clean, torch.Generator().manual_seed(2))
    spared = targets[:, -1] == 1
    assert spared.any()
    assert torch.equal(views[spared], clean[spared, :, :16, :16])
    assert not torch.equal(views[~spared], clean[~spared, :, :16, :16])


def test_calibration_finds_the_temperature_of_overconfident_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits that are twice as sure as they should be want a temperature of two."""
    tested = phase()
    torch.manual_seed(0)
    honest = torch.randn(1500, len(CLASSES))
    targets = torch.nn.functional.one_hot(torch.multinomial(honest.softmax(1), 1)[:, 0], len(CLASSES)).float()
    order = iter(range(1500))
    seen: list[int] = []

    def single(clean: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(next(order))
        return clean, targets[seen[-1]][None]

    monkeypatch.setattr(tested, "_single", single)
    monkeypatch.setattr(tested.estimator, "forward", lambda views: 2 * honest[seen[-1]].expand(len(views), -1))
    photograph = np.zeros((8, 8, 3), np.uint8)
    tested.calibrate([photograph] * 1500, side=8, crops=1, global_weight=0.5)
    assert tested.temperature == pytest.approx(2.0, abs=0.2)
    assert 0.3 < tested.accuracy < 0.9
