import pytest
import torch

from unveil.degradations import Dark


@pytest.mark.parametrize("exposure", [0.35, 0.1, 0.02])
def test_exposure_is_a_factor_in_linear_light(scene, exposure):
    images, severity = scene(2), torch.full((2,), Dark.severity_of(exposure))
    dark = Dark(curves=0, noise=0)
    drawn = dark.draw((2, 3, 64, 64), severity, torch.Generator().manual_seed(1))
    drawn["cast"].zero_()
    expected = (exposure * images**2.2) ** (1 / 2.2)
    assert torch.allclose(dark.apply(images, severity, drawn), expected, atol=1e-4)


def test_tone_curve_is_as_written(scene):
    images, severity = scene(2), torch.full((2,), 0.5)
    dark = Dark(curves=1, noise=0)
    drawn = dark.draw((2, 3, 64, 64), severity, torch.Generator().manual_seed(1))
    gain, ceiling = (1 - 0.5 * drawn[key].view(2, 1, 1, 1) for key in ("gain", "ceiling"))
    assert torch.allclose(dark.apply(images, severity, drawn), ceiling * (gain * images) ** 3, atol=1e-5)


def test_every_picture_gets_darker(scene):
    images = scene(16)
    assert (Dark()(images, 0.3, torch.Generator().manual_seed(1)).mean((1, 2, 3)) < images.mean((1, 2, 3))).all()


def test_noise_can_be_left_out():
    flat = torch.full((4, 3, 32, 32), 0.5)
    assert Dark(noise=0)(flat, 0.8, torch.Generator().manual_seed(1)).std((2, 3)).max() < 1e-6
    assert Dark()(flat, 0.8, torch.Generator().manual_seed(1)).std((2, 3)).max() > 1e-3
