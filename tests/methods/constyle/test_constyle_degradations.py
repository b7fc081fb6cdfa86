"""What stage 1 of ConStyle v2 does to pictures."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from unveil.errors import InvalidRequest  # noqa: E402
from unveil.methods.constyle.degradations import TwoRounds, contrast, snow, snowed  # noqa: E402
from unveil.methods.constyle.degradations.kernels import Kernels, final_sinc, sinc  # noqa: E402
from unveil.methods.constyle.degradations.rounds import FIRST, SECOND, noisy, sharpen  # noqa: E402
from unveil.methods.constyle.degradations.weather import streaks  # noqa: E402


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def soft(batch: int = 4, height: int = 48, width: int = 40) -> torch.Tensor:
    coarse = torch.rand(batch, 3, 6, 5, generator=generator(1))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("seed", range(6))
def test_two_rounds_keep_size_and_range_and_depend_on_the_seed_alone(seed: int) -> None:
    clean = soft()
    once, again = (TwoRounds()(clean, generator(seed)) for _ in range(2))
    assert once.shape == clean.shape
    assert torch.equal(once, again)
    assert not torch.equal(once, TwoRounds()(clean, generator(seed + 100)))
    assert torch.equal((once * 255).round() / 255, once)
    assert (once - clean).abs().mean() > 0.003


def test_kernels_sum_to_one_and_are_drawn_by_their_shares() -> None:
    kernels = FIRST.kernels(2000, generator())
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(2000))
    # Only a low pass has negative lobes.
    share = (kernels.amin((1, 2)) < -1e-4).float().mean()
    assert 0.06 < float(share) < 0.14
    outer = (kernels[:, 0].abs().sum(1) + kernels[:, :, 0].abs().sum(1)) > 1e-8
    assert float(outer.float().mean()) < 0.14
    round_ones = Kernels(sigma=(2.0, 2.0), sinc=0.0, shares=(1, 0, 0, 0, 0, 0))(50, generator())
    torch.testing.assert_close(round_ones, round_ones.transpose(1, 2))
    middle = round_ones[:, 10, 10] / round_ones[:, 10, 12]
    torch.testing.assert_close(middle, torch.full((50,), math.exp(0.5)))


def test_a_plateau_is_flatter_than_a_gaussian() -> None:
    plain = Kernels(sigma=(2.0, 2.0), sinc=0.0, shares=(1, 0, 0, 0, 0, 0))(1, generator(3))
    plateau = Kernels(sigma=(2.0, 2.0), sinc=0.0, shares=(0, 0, 0, 0, 1, 0), plateau=(2.0, 2.0))(1, generator(3))
    assert plateau[0, 10, 11] / plateau[0, 10, 10] > plain[0, 10, 11] / plain[0, 10, 10]


def test_the_low_pass_has_its_value_in_the_middle_and_stops_fast_waves() -> None:
    kernel = sinc(torch.tensor([math.pi / 2]))[0]
    assert float(kernel[10, 10]) == pytest.approx(math.pi / 16)
    wave = torch.cos(2.6 * (torch.arange(21.0) - 10))[None]
    assert abs(float((kernel * wave).sum())) < 0.05
    assert float((final_sinc(4000, generator())[:, 10, 10] == 1).float().mean()) == pytest.approx(0.2, abs=0.03)


def test_noise_has_the_strength_that_was_asked_for() -> None:
    flat = torch.full((64, 3, 32, 32), 0.5)
    for seed in range(8):
        found = noisy(flat, SECOND, generator(seed)) - flat
        deviation = found.std((1, 2, 3)) * 255
        grey = (found[:, 0] == found[:, 1]).all(2).all(1).float().mean()
        assert 0.15 < float(grey) < 0.65
        if float(deviation.max()) > 1:
            assert float(deviation.max()) < 400


def test_gaussian_noise_spans_its_range() -> None:
    flat = torch.full((256, 3, 16, 16), 0.5)
    for seed in range(12):
        deviation = (noisy(flat, FIRST, generator(seed)) - flat).std((1, 2, 3)) * 255
        if 20 < float(deviation.max()) < 40:
            assert float(deviation.min()) < 4
            return
    pytest.fail("no batch had Gaussian noise")


def test_sharpening_makes_edges_steeper_and_leaves_flat_places() -> None:
    image = torch.full((1, 3, 64, 64), 0.3)
    image[..., 32:] = 0.7
    sharp = sharpen(image)
    assert float(sharp[..., 33].mean()) > 0.71
    assert float(sharp[..., 30].mean()) < 0.29
    flat = torch.full((1, 3, 64, 64), 0.4)
    torch.testing.assert_close(sharpen(flat), flat, atol=1e-4, rtol=0)


def test_contrast_shrinks_towards_the_mean_of_each_channel() -> None:
    image = soft(1)[0]
    found = contrast(image, 1)
    torch.testing.assert_close(found.mean((1, 2)), image.mean((1, 2)), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.std((1, 2)), image.std((1, 2)) * 0.4, atol=1e-3, rtol=0)
    with pytest.raises(InvalidRequest, match="1 to 5"):
        contrast(image, 0)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_snow_only_brightens_and_falls_twice(severity: int) -> None:
    image = torch.full((3, 96, 80), 0.2)
    found = snow(image, severity, generator())
    assert found.shape == image.shape
    assert float(found.min()) >= 0.2
    streaked = (found - found.amin()).amax(0)
    assert 0.001 < float((streaked > 0.05).float().mean()) < 0.999
    # The layer and itself turned by 180 degrees: the sum is symmetric where nothing is clipped.
    if float(found.max()) < 1:
        torch.testing.assert_close(streaked, streaked.flip(0, 1))


def test_streaks_run_along_their_angle_and_keep_the_light() -> None:
    layer = torch.zeros(81, 81)
    layer[40, 40] = 1
    along = streaks(layer, 8, 3.0, -90.0)
    assert float(along.sum()) == pytest.approx(1, abs=1e-4)
    rows, columns = torch.nonzero(along).T
    assert set(columns.tolist()) == {40}
    assert rows.min() == 40
    assert len(set(rows.tolist())) == 17


def test_snowed_pictures_are_of_8_bits_and_reproducible() -> None:
    image = soft(1)[0]
    found = snowed(image, generator(5))
    assert torch.equal(found, snowed(image, generator(5)))
    assert torch.equal((found * 255).round() / 255, found)
