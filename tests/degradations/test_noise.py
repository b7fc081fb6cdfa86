import pytest
import torch

from unveil.degradations import Noise, quantise
from unveil.degradations.base import draw_bits, normal_of


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


def test_formula_of_a_mixed_batch(scene):
    images, severity = scene(6), torch.linspace(0.1, 1, 6)
    drawn = Noise().draw(tuple(images.shape), severity, torch.Generator().manual_seed(1))
    drawn["signal_dependent"] = torch.tensor([True, False, False, True, True, False])
    for index, strength in enumerate(severity.tolist()):
        if drawn["signal_dependent"][index]:
            read = strength * float(drawn["read"][index]) * 20 / 255
            deviation = (0.02 * strength * images[index] + read**2).sqrt()
        else:
            deviation = strength * 60 / 255
        expected = (images[index] + deviation * normal_of(drawn["bits"])[index]).clamp(0, 1)
        assert torch.allclose(Noise().apply(images, severity, drawn)[index], expected, atol=1e-6)


def test_numbers_for_whole_pictures_are_standard_normal():
    numbers = normal_of(draw_bits((4, 3, 301, 307), torch.Generator().manual_seed(1)))
    count = numbers.numel()
    assert numbers.mean().abs() < 4 / count**0.5
    assert numbers.square().mean() == pytest.approx(1, abs=4 * (2 / count) ** 0.5)
    assert numbers.pow(4).mean() == pytest.approx(3, abs=0.05)
    assert numbers.max() == pytest.approx(4.4, abs=0.1)
    for limit in (-2.5, -1.0, -0.1, 0.5, 1.5, 3.0):
        below = torch.special.ndtr(torch.tensor(limit)).item()
        assert (numbers < limit).float().mean() == pytest.approx(below, abs=4 * (below * (1 - below) / count) ** 0.5)


def test_numbers_of_neighbours_channels_and_samples_are_independent():
    numbers = normal_of(draw_bits((4, 3, 301, 307), torch.Generator().manual_seed(2)))
    line = numbers.view(-1)
    for step in (1, 2, 3, 4, 8, 307, 301 * 307, 2**15, 3 * 301 * 307):
        assert (line[step:] * line[:-step]).mean().abs() < 4.5 / (len(line) - step) ** 0.5
