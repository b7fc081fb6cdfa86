"""PSNR and SSIM against scikit-image, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from unveil.errors import InvalidRequest
from unveil.metrics import psnr, ssim


def pair(height: int, width: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width]
    smooth = 0.5 + 0.4 * np.sin(x / 5)[..., None] * np.cos(y / 7 + np.arange(channels)[:, None, None]).transpose(
        1, 2, 0
    )
    return smooth, np.clip(smooth + rng.normal(0, 0.1, smooth.shape), 0, 1)


@pytest.mark.parametrize("size", [(7, 7), (7, 40), (33, 50), (120, 91)])
def test_both_equal_scikit_image_on_floats(size):
    a, b = pair(*size)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-4)
    assert ssim(a, b) == pytest.approx(structural_similarity(a, b, data_range=1, channel_axis=2), abs=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_both_equal_scikit_image_on_whole_numbers(dtype):
    top = np.iinfo(dtype).max
    a, b = ((values * top).round().astype(dtype) for values in pair(40, 60))
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=top), abs=1e-4)
    assert ssim(a, b) == pytest.approx(structural_similarity(a, b, data_range=top, channel_axis=2), abs=1e-5)


def test_grey_without_a_channel_axis_equals_scikit_image():
    a, b = (values[..., 0] for values in pair(30, 20, 1))
    assert ssim(a, b) == pytest.approx(structural_similarity(a, b, data_range=1), abs=1e-5)
    assert ssim(a[..., None], b[..., None]) == ssim(a, b)


def test_flat_and_dark_pictures_stay_exact():
    a = np.full((64, 64, 3), 0.999)
    b = a - 0.001
    assert ssim(a, b) == pytest.approx(structural_similarity(a, b, data_range=1, channel_axis=2), abs=1e-6)


def test_equal_pictures_are_infinitely_close():
    a, _ = pair(16, 16)
    assert psnr(a, a) == math.inf
    assert ssim(a, a) == pytest.approx(1)


def test_floats_are_clipped_before_comparing():
    a, b = pair(16, 16)
    beyond = np.where(b > 0.9, 5.0, b)
    assert psnr(a, beyond) == pytest.approx(psnr(a, np.clip(beyond, 0, 1)))
    assert ssim(a, beyond) == pytest.approx(ssim(a, np.clip(beyond, 0, 1)))


def test_peak_scales_floats():
    a, b = pair(16, 16)
    assert psnr(a * 255, b * 255, peak=255) == pytest.approx(psnr(a, b))


def test_types_may_differ_and_each_has_its_own_range():
    a = np.full((8, 8, 3), 255, np.uint8)
    assert psnr(a, np.full((8, 8, 3), 65535, np.uint16)) == math.inf
    assert psnr(a, np.ones((8, 8, 3), np.float32)) == math.inf


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_what_cannot_be_compared_is_refused(metric):
    a = np.zeros((8, 8, 3))
    with pytest.raises(InvalidRequest, match=r"\(8, 8, 3\).*\(8, 9, 3\)"):
        metric(a, np.zeros((8, 9, 3)))
    with pytest.raises(InvalidRequest, match="int64"):
        metric(a.astype(np.int64), a)
    with pytest.raises(InvalidRequest, match="nothing to compare"):
        metric(a[:0], a[:0])


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(InvalidRequest, match="at least 7 x 7"):
        ssim(np.zeros((6, 20, 3)), np.zeros((6, 20, 3)))
