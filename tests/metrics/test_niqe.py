"""The score without a truth: its parts are right, and it gets worse when pictures do."""

from __future__ import annotations

import numpy as np
import pytest

from unveil.errors import InvalidRequest
from unveil.metrics import niqe as module
from unveil.metrics.niqe import features, fit, niqe


def landscape(seed: int, height: int = 200, width: int = 300) -> np.ndarray:
    """Detail of all sizes, as photographs have it: amplitudes fall with frequency. H W 3, 0..1."""
    random = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    slope = 1 / np.maximum(np.hypot(down, across), 1 / width)
    spectrum = random.normal(size=slope.shape) + 1j * random.normal(size=slope.shape)
    grey = np.fft.irfft2(spectrum * slope, (height, width))
    grey = np.clip((grey - grey.mean()) / grey.std() * 0.18 + 0.5, 0, 1)
    return np.repeat(grey[..., None], 3, 2)


def test_more_noise_and_more_blur_are_less_natural():
    clean = landscape(0)
    random = np.random.default_rng(1).normal(size=clean.shape)
    noisy = [niqe(np.clip(clean + sigma * random, 0, 1)) for sigma in (0, 0.05, 0.1, 0.2)]
    assert noisy == sorted(noisy)
    assert noisy[-1] > noisy[0] + 1
    blurred = [niqe(sum(np.roll(clean, shift, 1) for shift in range(width)) / width) for width in (1, 3, 7)]
    assert blurred == sorted(blurred)


def test_depth_does_not_matter():
    pixels = (landscape(2) * 255).round().astype(np.uint8)
    assert niqe(pixels) == niqe(pixels.astype(np.uint16) * 257) == niqe(pixels / 255)


def test_gaussian_values_have_the_shape_and_width_of_a_gaussian():
    values = np.random.default_rng(3).normal(0, 0.7, (3, 200, 200))
    shape, left, right = module._fitted(values)
    assert shape == pytest.approx([2] * 3, abs=0.1)
    # A generalised Gaussian of shape 2 has widths of sqrt(2) sigma, which the ratio of gammas brings back.
    assert left == pytest.approx([0.7 * np.sqrt(2)] * 3, rel=0.03)
    assert right == pytest.approx(left, rel=0.03)


def test_lopsided_values_have_two_widths():
    values = np.abs(np.random.default_rng(4).normal(0, 1, (1, 200, 200)))
    values[:, ::2] *= -0.25
    _, left, right = module._fitted(values)
    assert left / right == pytest.approx([0.25], rel=0.03)


def test_a_table_of_its_own_pictures_finds_them_natural():
    natural = fit([features(landscape(seed, 400, 600)) for seed in range(8)])
    assert natural.mean.shape == (36,)
    own, foreign = (niqe(landscape(9, 400, 600), natural=table) for table in (natural, None))
    assert own < foreign


def test_blocks_are_counted_before_anything_else():
    assert features(landscape(0))[0].shape == (6, 36)
    with pytest.raises(InvalidRequest, match="at least 4"):
        niqe(landscape(0, 190, 190))
    with pytest.raises(InvalidRequest, match="something in them"):
        niqe(np.full((200, 200, 3), 0.5))
