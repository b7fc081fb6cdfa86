"""Conventions by name: equal to scikit-image and torchmetrics, and exact where a figure can be had by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torch_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torch_ssim

from unveil.errors import InvalidRequest
from unveil.metrics import PROTOCOLS, protocol, ssim
from unveil.metrics.files import score_files


def picture(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Smooth colours, edges and grain, float 0..1."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 20
    smooth = np.stack([np.sin(x + y), np.cos(2 * x - y), np.sin(x * y / 8)], -1) / 3 + 0.5
    smooth[height // 3 : height // 2, width // 4 : width // 2] = random.random(3)
    return np.clip(smooth + random.normal(0, 0.02, smooth.shape), 0, 1)


def pair(height: int, width: int, *, sigma: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    truth = picture(height, width)
    return np.clip(truth + np.random.default_rng(1).normal(0, sigma, truth.shape), 0, 1), truth


def eight_bit(values: np.ndarray) -> np.ndarray:
    return (values * 255).round().astype(np.uint8)


def inside(values: np.ndarray, border: int) -> np.ndarray:
    return values[border:-border, border:-border]


def torchmetrics_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Of the Gaussian windows that lie wholly inside; torchmetrics' own mean takes a reflected border too."""
    _, full = torch_ssim(batched(a), batched(b), data_range=255.0, sigma=1.5, return_full_image=True)
    return float(full[..., 5:-5, 5:-5].mean())


def batched(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float64)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.3])
@pytest.mark.parametrize("size", [(40, 61), (120, 90)])
def test_rgb_equals_both_references(size, sigma):
    a, b = pair(*size, sigma=sigma)
    found = protocol("rgb").score(a, b)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1), abs=1e-4)
    assert found.psnr == pytest.approx(float(torch_psnr(batched(a), batched(b), data_range=1.0)), abs=1e-4)
    assert found.ssim == pytest.approx(structural_similarity(a, b, data_range=1, channel_axis=2), abs=1e-5)


@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.3])
@pytest.mark.parametrize("size", [(40, 61), (120, 90)])
def test_rgb8_equals_both_references(size, sigma):
    a, b = pair(*size, sigma=sigma)
    first, second = eight_bit(a), eight_bit(b)
    found = protocol("rgb8").score(a, b)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(second, first), abs=1e-4)
    # BasicSR leaves out the windows over the border, which this call has in.
    full = structural_similarity(
        first, second, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )[1]
    assert found.ssim == pytest.approx(inside(full, 5).mean(), abs=1e-5)
    assert found.ssim == pytest.approx(torchmetrics_ssim(first, second), abs=1e-5)


@pytest.mark.parametrize("sigma", [0.02, 0.2])
def test_y_equals_both_references(sigma):
    a, b = pair(80, 64, sigma=sigma)
    first, second = (rgb2ycbcr(eight_bit(values))[..., :1] for values in (a, b))
    found = protocol("y").score(a, b)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(second, first, data_range=255), abs=1e-4)
    assert found.psnr == pytest.approx(float(torch_psnr(batched(first), batched(second), data_range=255.0)), abs=1e-4)
    assert found.ssim == pytest.approx(torchmetrics_ssim(first, second), abs=1e-5)


def test_a_border_is_left_out():
    a, b = pair(60, 50)
    a[:4], a[-4:], a[:, :4], a[:, -4:] = 1 - b[:4], 1 - b[-4:], 1 - b[:, :4], 1 - b[:, -4:]
    found = protocol("rgb8:4").score(a, b)
    assert found == protocol("rgb8").score(inside(a, 4), inside(b, 4))
    assert found.psnr > protocol("rgb8").score(a, b).psnr + 1


def test_a_difference_of_two_levels_has_its_known_psnr():
    a = np.full((20, 20, 3), 100, np.uint8)
    assert protocol("rgb8").score(a + np.uint8(2), a).psnr == pytest.approx(20 * math.log10(255 / 2), abs=1e-9)


def test_rounding_hides_what_no_file_can_hold():
    a = np.full((20, 20, 3), 100 / 255)
    assert protocol("rgb8").score(a + 0.4 / 255, a).psnr == math.inf
    assert protocol("rgb").score(a + 0.4 / 255, a).psnr == pytest.approx(20 * math.log10(255 / 0.4), abs=1e-6)


def test_y_ignores_what_luma_cannot_see():
    a = np.full((20, 20, 3), 0.4)
    change = np.array([24.966, 0, -65.481]) / 255
    # Only the rounding to 8 bit is left of a change of colour at equal luma.
    assert protocol("y").score(a + change, a).psnr > 50
    assert protocol("rgb8").score(a + change, a).psnr < 20


def test_depths_can_be_mixed():
    a, b = (eight_bit(values) for values in pair(30, 30))
    wide = a.astype(np.uint16) * 257
    for name in PROTOCOLS:
        assert protocol(name).score(wide, b) == protocol(name).score(a, b)


def test_unknown_names_and_borders_are_refused():
    with pytest.raises(InvalidRequest, match="did you mean 'rgb'"):
        protocol("rgb9")
    with pytest.raises(InvalidRequest, match="border in 'rgb8:x'"):
        protocol("rgb8:x")
    with pytest.raises(InvalidRequest, match="nothing left inside a border of 9"):
        protocol("rgb:9").score(*pair(18, 40))
    with pytest.raises(InvalidRequest, match="three channels"):
        protocol("y").score(np.zeros((20, 20)), np.zeros((20, 20)))
    with pytest.raises(InvalidRequest, match="window is 'round'"):
        ssim(np.zeros((20, 20)), np.zeros((20, 20)), window="round")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidRequest, match="at least 11 x 11"):
        protocol("rgb8").score(*pair(10, 40))


def test_files_are_scored_like_their_pixels(tmp_path):
    a, b = (eight_bit(values) for values in pair(30, 41))
    for name, values in (("a", a), ("b", b)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    for name in (*PROTOCOLS, "rgb8:4"):
        assert score_files(tmp_path / "a.png", tmp_path / "b.png", by=name) == protocol(name).score(a, b)
