import pytest
import torch

from unveil.degradations import Noise, quantise


@pytest.mark.parametrize("sigma", [5, 25, 50])
def test_gaussian_sigma_is_as_asked(sigma):
    images = torch.full((2, 3, 128, 128), 0.5)
    noisy = Noise(signal_dependent=0)(images, Noise.severity_of(sigma), torch.Generator().manual_seed(1))
    expected = sigma if sigma < 50 else 49.5  # the tails are clipped
    assert (noisy - images).std() * 255 == pytest.approx(expected, rel=0.02)
    assert (noisy - images).mean().abs() * 255 < 1


def test_signal_dependent_noise_is_stronger_in_the_light():
    noise = Noise(signal_dependent=1)
    images = torch.full((8, 3, 64, 64), 0.1)
    images[..., 32:] = 0.6
    change = noise(images, 0.5, torch.Generator().manual_seed(1)) - images
    assert (change[..., 32:].std((1, 2, 3)) > 1.2 * change[..., :32].std((1, 2, 3))).all()


def test_kinds_are_mixed_by_share():
    drawn = Noise().draw((2000, 1, 1, 1), torch.ones(2000), torch.Generator().manual_seed(1))
    assert drawn["signal_dependent"].float().mean() == pytest.approx(0.2, abs=0.04)


def test_quantise_gives_whole_levels():
    images = torch.tensor([-0.1, 0.0, 0.4999 / 255, 100.4 / 255, 1.0, 1.2])
    assert torch.equal(quantise(images) * 255, torch.tensor([0.0, 0.0, 0.0, 100.0, 255.0, 255.0]))
