import numpy as np
import pytest

from unveil.models import EstimatorCard
from unveil.restoration import Diagnosis
from unveil.restoration.diagnosis import read_logits, shrink, views


def test_crops_are_at_native_resolution_on_a_grid():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    seen = views(pixels, side=32, crops=4)
    assert seen.shape == (5, 3, 32, 32)
    assert seen.dtype == np.float32
    for index, (top, left) in enumerate([(34, 59), (34, 209), (134, 59), (134, 209)]):
        expected = pixels[top : top + 32, left : left + 32].transpose(2, 0, 1) / 255
        np.testing.assert_allclose(seen[index], expected, atol=1e-6)


@pytest.mark.parametrize("crops", [1, 2, 5, 6])
def test_number_of_crops_can_be_chosen(crops):
    assert views(np.zeros((40, 50, 1), np.uint8), side=16, crops=crops).shape == (crops + 1, 3, 16, 16)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (31, 33, 1), (500, 2, 3)])
def test_small_pictures_are_reflected(shape):
    seen = views(np.full(shape, 51, np.uint8), side=32, crops=4)
    np.testing.assert_allclose(seen, 0.2, atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_shrinking_by_a_whole_number_averages_blocks(factor):
    pixels = np.random.default_rng(0).integers(0, 65536, (16 * factor, 16 * factor, 3), dtype=np.uint16)
    expected = (pixels / 65535).reshape(16, factor, 16, factor, 3).mean((1, 3)).transpose(2, 0, 1)
    np.testing.assert_allclose(shrink(pixels, 16)[0], expected, atol=1e-6)


def test_shrinking_shares_out_pixels_on_the_border_of_areas():
    row = np.array([0.0, 0.3, 0.9], np.float32).reshape(3, 1, 1)
    # Two areas of one and a half pixels: (0 + 0.3 / 2) / 1.5 and (0.3 / 2 + 0.9) / 1.5.
    np.testing.assert_allclose(shrink(row, 2)[0, 0, :, 0], [0.1, 0.7], atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(37, 91), (400, 20), (17, 16)])
def test_shrinking_keeps_the_mean(height, width):
    pixels = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    small = shrink(pixels, 16)
    np.testing.assert_allclose(small.mean((0, 2, 3)), pixels.mean((0, 1)), atol=1e-5)


def card(**changes):
    values = {"classes": ("noise", "rain", "clean"), "side": 32, "crops": 2, "global_weight": 0.5} | changes
    return EstimatorCard(name="e", config={}, **values)


def test_whole_view_weighs_less_than_a_crop():
    logits = np.array([[1, 0, 0], [3, 0, 0], [0, 5, 0]], np.float32)
    found = read_logits(logits, card(), {}).probabilities
    mean = np.array([4, 2.5, 0]) / 2.5
    np.testing.assert_allclose(list(found.values()), np.exp(mean) / np.exp(mean).sum(), rtol=1e-9)
    assert sum(found.values()) == pytest.approx(1, abs=1e-12)


def test_temperature_softens():
    logits = np.array([[4, 0, 0]] * 3, np.float32)
    soft, sharp = (read_logits(logits, card(temperature=value), {}).probabilities["noise"] for value in (4, 0.5))
    assert soft == pytest.approx(np.e / (np.e + 2))
    assert sharp > 0.999


def test_huge_logits_do_not_overflow():
    found = read_logits(np.array([[1e30, 0, -1e30]] * 3), card(), {}).probabilities
    assert found == {"noise": 1.0, "rain": 0.0, "clean": 0.0}


def test_diagnosis_ranks_and_prints():
    found = Diagnosis({"noise": 0.2, "rain": 0.7, "clean": 0.1}, {"rain": "rain streaks"}, clean_threshold=0.6)
    assert found.ranked == [("rain", 0.7), ("noise", 0.2), ("clean", 0.1)]
    assert found.main == "rain"
    assert not found.is_clean
    assert repr(found) == "Diagnosis(rain 0.70, noise 0.20, clean 0.10)"
    assert found.as_dict() == {
        "main": "rain",
        "is_clean": False,
        "probabilities": {"rain": 0.7, "noise": 0.2, "clean": 0.1},
    }


def test_clean_from_its_threshold_on():
    assert Diagnosis({"rain": 0.4, "clean": 0.6}, {}, clean_threshold=0.6).is_clean
    assert not Diagnosis({"rain": 1.0}, {}, clean_threshold=0.6).is_clean
