"""Accuracy, confusion and calibration error on cases worked out by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from unveil.methods.abair.estimation import cross_calibrated  # noqa: E402
from unveil.methods.abair.reliability import calibration_error, measure  # noqa: E402


def test_rows_are_what_it_is_and_columns_what_it_is_called() -> None:
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8]])
    found = measure(probabilities, torch.tensor([0, 0, 1, 2]), ("noise", "rain", "clean"))
    assert found.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 1))
    assert found.count == 4
    assert found.accuracy == 0.75
    lines = found.text().splitlines()
    assert lines[0].startswith("4 pictures, 75.0% called rightly, expected calibration error")
    assert lines[1].split() == ["noise", "rain", "clean", "right"]
    assert lines[2].split() == ["noise", "1", "1", "0", "50%"]


def test_calibration_error_by_hand() -> None:
    """Two bins: in the lower one 0.6 sure and right once of two, in the upper one 0.9 sure and always right."""
    sure = torch.tensor([0.6, 0.6, 0.9, 0.9])
    probabilities = torch.stack((sure, 1 - sure), 1)
    labels = torch.tensor([0, 1, 0, 0])
    expected = (2 * abs(0.6 - 0.5) + 2 * abs(0.9 - 1)) / 4
    assert calibration_error(probabilities, labels, bins=4) == pytest.approx(expected, abs=1e-6)


def test_being_sure_and_right_is_no_error_and_sure_and_wrong_a_whole_one() -> None:
    certain = torch.eye(3)
    assert calibration_error(certain, torch.arange(3)) == 0
    assert calibration_error(certain, torch.tensor([1, 2, 0])) == 1


def test_errors_of_one_bin_cancel_and_of_two_do_not() -> None:
    sure = torch.tensor([0.55, 0.95])
    probabilities = torch.stack((sure, 1 - sure), 1)
    labels = torch.tensor([0, 1])
    assert calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(0.75 - 0.5))
    assert calibration_error(probabilities, labels, bins=10) == pytest.approx((0.45 + 0.95) / 2)


def test_of_no_pictures_nothing_is_known() -> None:
    found = measure(torch.empty(0, 2), torch.empty(0, dtype=torch.long), ("a", "b"))
    assert math.isnan(found.ece)
    assert math.isnan(found.accuracy)


def test_honest_logits_have_a_small_error_after_calibration_whatever_their_scale() -> None:
    torch.manual_seed(0)
    honest = 2 * torch.randn(4000, 3)
    labels = torch.multinomial(honest.softmax(1), 1)[:, 0]
    targets = torch.nn.functional.one_hot(labels, 3).float()
    assert calibration_error((5 * honest).softmax(1), labels) > 0.1
    assert calibration_error(cross_calibrated(5 * honest, targets, sharpening=1.0), labels) < 0.03
    # What is sharper in use than it is honest is measured as it is used.
    assert calibration_error(cross_calibrated(5 * honest, targets, sharpening=0.3), labels) > 0.08


def test_each_half_is_calibrated_by_the_other() -> None:
    """Labels that are pure chance: fitted on the pictures themselves a bias would help, on others it cannot."""
    torch.manual_seed(0)
    scores, labels = torch.zeros(40, 2), torch.arange(40) % 2
    targets = torch.nn.functional.one_hot(labels, 2).float()
    found = cross_calibrated(scores, targets, sharpening=1.0)
    assert (found.argmax(1) == labels).float().mean() == 0
