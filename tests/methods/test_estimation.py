"""The estimator and its training batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unveil.methods.abair.estimation import Estimation, fit_calibration  # noqa: E402
from unveil.methods.abair.estimator import Estimator  # noqa: E402

CLASSES = ("noise", "haze", "jpeg", "clean")


def phase(**options: Any) -> Estimation:
    torch.manual_seed(0)
    estimator = Estimator(classes=len(CLASSES), widths=(8, 8, 16), hidden=16)
    return Estimation(estimator, CLASSES, iterations=10, learning_rate=1e-3, **options)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_estimator_keeps_within_the_papers_totals() -> None:
    count = sum(parameter.numel() for parameter in Estimator(classes=6).parameters())
    assert 500_000 < count < 900_000


def test_tones_tell_a_lifted_black_from_a_deep_one() -> None:
    estimator = Estimator(classes=3, tones=5)
    views = torch.stack((torch.zeros(3, 32, 32), torch.full((3, 32, 32), 0.5)))
    views[:, :, ::8, ::8] = 1.0
    tones = estimator._histograms(views)
    assert tones.shape == (2, 10)
    torch.testing.assert_close(tones.sum(1), torch.full((2,), 2.0))
    torch.testing.assert_close(tones[0, ::2], torch.tensor([1.0, 0, 0, 0, 0]))
    torch.testing.assert_close(tones[1, ::2], torch.tensor([0, 0, 1.0, 0, 0]))
    assert torch.equal(tones[:, 9], torch.ones(2))


def test_a_picture_is_seen_in_crops_and_halved() -> None:
    pictures = torch.rand(5, 3, 64, 64)
    views = phase(crops=3).views(pictures, seeded())
    assert views.shape == (20, 3, 32, 32)
    torch.testing.assert_close(views[15:], torch.nn.functional.avg_pool2d(pictures, 2))


def test_targets_sum_to_one_and_pictures_stay_on_the_grid() -> None:
    pictures, targets = phase(composed=0.3, cut=0.2).pictures(torch.rand(20, 3, 64, 64), seeded())
    torch.testing.assert_close(targets.sum(1), torch.ones(20))
    torch.testing.assert_close(pictures * 255, (pictures * 255).round(), atol=1e-3, rtol=0)


def test_two_full_damages_share_the_target_and_leave_nothing_to_clean() -> None:
    onsets = dict.fromkeys(CLASSES[:-1], (0.0, 0.0))
    _, targets = phase(composed=1.0, cut=0.0, onsets=onsets).pictures(torch.rand(8, 3, 32, 32), seeded())
    torch.testing.assert_close(targets.sort(1).values[:, -2:], torch.full((8, 2), 0.5))
    assert targets[:, -1].abs().max() < 1e-6


def test_what_yields_gets_less_of_a_shared_target_and_all_of_its_own() -> None:
    onsets = dict.fromkeys(CLASSES[:-1], (0.0, 0.0))
    tested = phase(composed=0.5, cut=0.0, onsets=onsets, yielding={"noise": (0.25, 0.6), "jpeg": (0.25, 0.6)})
    tested.frequencies = torch.tensor([1.0, 0, 0, 0])
    for severity, wanted in (
        (0.6, {(0.5, 0, 0.5, 0), (0.2, 0.8, 0, 0), (0, 0.8, 0.2, 0)}),
        (0.7, {(0.5, 0, 0.5, 0), (0.5, 0.5, 0, 0), (0, 0.5, 0.5, 0)}),
    ):
        tested._severity = lambda name, count, generator, s=severity: torch.full((count,), s)  # type: ignore[method-assign]
        _, targets = tested.pictures(torch.rand(40, 3, 32, 32), seeded())
        assert torch.equal(targets[20:], torch.tensor([[1.0, 0, 0, 0]]).expand(20, -1))
        assert {tuple(round(share, 3) for share in row) for row in targets[:20].tolist()} == wanted


def test_what_yields_meets_others_more_often() -> None:
    def pairs(**options: Any) -> torch.Tensor:
        tested = phase(composed=1.0, cut=0.0, onsets=dict.fromkeys(CLASSES[:-1], (0.0, 0.0)), **options)
        _, targets = tested.pictures(torch.rand(200, 3, 16, 16), seeded())
        return (targets > 0).float().mean(0)

    assert pairs(yielding={"noise": (0.5, 1.0)})[0] > pairs()[0] + 0.1


def test_emphasis_is_of_the_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    onsets = dict.fromkeys(CLASSES[:-1], (0.0, 0.0))
    tested = phase(composed=0.0, cut=0.0, onsets=onsets, clean_weight=1.0, emphasis={"haze": 6.0})
    _, targets = tested.pictures(torch.rand(300, 3, 16, 16), seeded())
    torch.testing.assert_close(targets.mean(0), torch.tensor([1, 6, 1, 1]) / 9, atol=0.08, rtol=0)
    drawn: list[torch.Tensor] = []
    honest = tested._degraded

    def watched(*given: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
        pictures, wanted = honest(*given, **options)
        drawn.append(wanted[0])
        return pictures, wanted

    monkeypatch.setattr(tested, "_degraded", watched)
    tested.calibrate([np.full((16, 16, 3), 90, np.uint8)] * 200, side=16, crops=1, global_weight=1.0)
    torch.testing.assert_close(torch.stack(drawn).mean(0), torch.full((4,), 0.25), atol=0.1, rtol=0)


def test_damage_below_its_onset_counts_as_clean_and_halfway_as_half() -> None:
    tested = phase(composed=0.0, cut=0.0, clean_weight=0.0, onsets={"noise": (0.2, 0.4)})
    tested.frequencies = torch.tensor([1.0, 0, 0, 0])
    for severity, share in ((0.1, 0.0), (0.3, 0.5), (0.6, 1.0)):
        tested._severity = lambda name, count, generator, s=severity: torch.full((count,), s)  # type: ignore[method-assign]
        _, targets = tested.pictures(torch.rand(4, 3, 32, 32), seeded())
        torch.testing.assert_close(targets, torch.tensor([[share, 0, 0, 1 - share]]).expand(4, -1))


def test_light_damage_is_drawn_more_often() -> None:
    severity = phase()._severity("noise", 4000, seeded())
    low, high = severity.min(), severity.max()
    assert (severity < (low + high) / 2).float().mean() > 0.58


def test_samples_labelled_clean_are_looked_at_differently_but_hardly_harmed() -> None:
    smooth = torch.nn.functional.interpolate(torch.rand(12, 3, 4, 4, generator=seeded()), (64, 64), mode="bilinear")
    tested = phase(composed=0.0, cut=0.0)
    tested.frequencies = torch.tensor([0.0, 0, 0, 1])
    pictures, targets = tested.pictures(smooth, seeded())
    assert (targets[:, -1] == 1).all()
    change = (pictures - smooth).abs().mean((1, 2, 3))
    assert 0.005 < change.mean() < 0.1
    assert change.max() < 0.25


def test_calibration_finds_the_temperature_of_overconfident_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits that are twice as sure as they should be want a temperature of two and hardly a bias."""
    tested = phase()
    torch.manual_seed(0)
    honest = torch.randn(1500, len(CLASSES))
    targets = torch.nn.functional.one_hot(torch.multinomial(honest.softmax(1), 1)[:, 0], len(CLASSES)).float()
    order = iter(range(1500))
    seen: list[int] = []

    def degraded(clean: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(next(order))
        return clean, targets[seen[-1]][None]

    monkeypatch.setattr(tested, "_degraded", degraded)
    monkeypatch.setattr(tested.estimator, "forward", lambda views: 2 * honest[seen[-1]].expand(len(views), -1))
    photograph = np.zeros((8, 8, 3), np.uint8)
    tested.calibrate([photograph] * 1500, side=8, crops=1, global_weight=0.5)
    assert tested.temperature == pytest.approx(2.0, abs=0.2)
    assert tested.bias.abs().max() < 0.15
    assert 0.3 < tested.accuracy < 0.9


def test_calibration_finds_the_bias_against_a_class() -> None:
    torch.manual_seed(0)
    honest = torch.randn(4000, 3)
    targets = torch.nn.functional.one_hot(torch.multinomial(honest.softmax(1), 1)[:, 0], 3).float()
    temperature, bias = fit_calibration(honest + torch.tensor([1.0, 0.0, 0.0]), targets)
    assert temperature == pytest.approx(1.0, abs=0.15)
    assert float(bias[0] - bias[1:].mean()) == pytest.approx(-1.0, abs=0.2)


def undoing(**options: Any) -> tuple[Estimation, list[tuple[str, int]]]:
    """A phase whose degradations all count in full, and what it asked to be undone: names and numbers of pictures."""
    asked: list[tuple[str, int]] = []

    def undo(degradation: str, pictures: torch.Tensor) -> torch.Tensor:
        asked.append((degradation, len(pictures)))
        return torch.full_like(pictures, 0.25)

    onsets = dict.fromkeys(CLASSES[:-1], (0.0, 0.0))
    return phase(cut=0.0, onsets=onsets, undo=undo, **options), asked


def test_of_two_degradations_the_last_is_undone_and_the_other_one_is_left_to_name() -> None:
    tested, asked = undoing(composed=1.0, undone=(1.0, 0.0))
    pictures, targets = tested.pictures(torch.rand(40, 3, 16, 16), seeded())
    assert sum(count for _, count in asked) == 40
    # Haze comes first of the three, so it is never the last of two; JPEG always is, and is never left.
    assert {name for name, _ in asked} == {"noise", "jpeg"}
    assert set(map(tuple, targets.tolist())) == {(1, 0, 0, 0), (0, 1, 0, 0)}
    torch.testing.assert_close(pictures, torch.full_like(pictures, 64 / 255))


def test_a_picture_whose_only_degradation_is_undone_is_clean() -> None:
    tested, asked = undoing(composed=0.0, undone=(0.0, 0.5), clean_weight=0.0)
    pictures, targets = tested.pictures(torch.rand(60, 3, 16, 16), seeded())
    restored = (pictures - 64 / 255).abs().amax((1, 2, 3)) < 1e-6
    assert 15 < restored.sum() == sum(count for _, count in asked) < 45
    assert torch.equal(targets[:, -1] == 1, restored)


def test_what_is_clean_or_would_be_sharpened_is_never_undone() -> None:
    asked: list[str] = []
    classes = ("blur", "lowres", "noise", "clean")
    estimator = Estimator(classes=len(classes), widths=(8, 16), hidden=8)

    def undo(degradation: str, pictures: torch.Tensor) -> torch.Tensor:
        asked.append(degradation)
        return pictures

    tested = Estimation(
        estimator, classes, composed=0.3, cut=0.0, undone=(1.0, 1.0), undo=undo, iterations=1, learning_rate=1e-3
    )
    tested.pictures(torch.rand(60, 3, 16, 16), seeded())
    assert set(asked) == {"noise"}


def test_calibration_undoes_nothing() -> None:
    tested, asked = undoing(composed=1.0, undone=(1.0, 1.0))
    tested.calibrate([np.full((16, 16, 3), 90, np.uint8)] * 30, side=16, crops=1, global_weight=1.0)
    assert asked == []


def test_undone_without_anything_that_undoes_is_refused() -> None:
    with pytest.raises(ValueError, match="undone wants undo"):
        phase(undone=(0.5, 0.0))
